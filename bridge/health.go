// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package bridge

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/types"

	"github.com/viaduct-sdk/viaduct"
	"github.com/viaduct-sdk/viaduct/nsx"
	"github.com/viaduct-sdk/viaduct/nsx/ncp"
)

// HealthState is how a virtual address is doing. Open set: later releases may
// know more.
type HealthState string

// The states of health, from good to bad; a report has the worst of its parts.
const (
	// HealthUp: realized, and all members answer.
	HealthUp HealthState = "up"
	// HealthDegraded: connections are served, by fewer than there should be.
	HealthDegraded HealthState = "degraded"
	// HealthUnknown: NSX does not say.
	HealthUnknown HealthState = "unknown"
	// HealthDown: connections are not served.
	HealthDown HealthState = "down"
)

// worse orders the states.
func (s HealthState) worse(o HealthState) bool {
	order := []HealthState{HealthUp, HealthDegraded, HealthUnknown, HealthDown}
	return slices.Index(order, s) > slices.Index(order, o)
}

// HealthReport is how an exported service is doing, as NSX says.
type HealthReport struct {
	State HealthState `json:"state"`
	// Servers are what serves each port on each address, sorted by port,
	// protocol and address; never empty.
	Servers []ServerHealth `json:"servers"`
}

// ServerHealth is how one port of a virtual address is doing.
type ServerHealth struct {
	Port    Port        `json:"port"`
	Address netip.Addr  `json:"address"`
	State   HealthState `json:"state"`
	// Reason says why State is not [HealthUp].
	Reason string `json:"reason,omitempty"`
	// Path is the virtual server's in NSX; empty when there is none.
	Path string `json:"path,omitempty"`
	// Realization and Status are NSX's words, empty when it has none yet.
	Realization string `json:"realization,omitempty"`
	Status      string `json:"status,omitempty"`
	// MembersUp of Members pool members are up.
	MembersUp int `json:"membersUp"`
	Members   int `json:"members"`
}

// String returns a line for each server.
func (r HealthReport) String() string {
	lines := make([]string, len(r.Servers))
	for i, s := range r.Servers {
		lines[i] = fmt.Sprintf("%s on %s: %s, %d of %d members up", s.Port, s.Address, s.State, s.MembersUp, s.Members)
		if s.Reason != "" {
			lines[i] += " (" + s.Reason + ")"
		}
	}
	return strings.Join(lines, "\n")
}

// Health says how an exported service is doing now, from NSX alone: neither
// cluster's API server is asked, so that it also tells when the exporting one is
// away. The document may be as old as it likes. Pass an *ncp.Finder, or a
// *manager.Finder where NCP writes the Manager API, for the NSX Manager behind
// the exporting cluster.
//
// A virtual server that is gone, or is another Service's by now, is down and no
// error: export again, and import the new document. What NSX does not tell is
// [HealthUnknown] with its reason.
//
// It reads and never writes. Errors match [viaduct.ErrInvalid] when an argument
// is missing or the document is damaged, and [viaduct.ErrUnavailable] when NSX
// is away: then nothing is known.
func Health(ctx context.Context, lb LoadBalancers, e *Exported) (*HealthReport, error) {
	if lb == nil || e == nil {
		return nil, fmt.Errorf("bridge: health: an argument is missing: %w", viaduct.ErrInvalid)
	}
	if err := e.validate(); err != nil {
		return nil, err
	}
	uid := cmp.Or(e.Proof.ServiceUID, e.VIPService.UID)
	servers, err := lb.VirtualServers(ctx, string(uid))
	if err != nil {
		return nil, fmt.Errorf("bridge: health of %s: %w", e.Source, err)
	}
	return judgeHealth(e, uid, servers), nil
}

// judgeHealth compares what a document promises with what NSX has. It is pure,
// as all that follows.
func judgeHealth(e *Exported, uid types.UID, servers []ncp.VirtualServer) *HealthReport {
	r := &HealthReport{State: HealthUp}
	for _, port := range e.sortedPorts() {
		for _, address := range sortedAddresses(e.Addresses) {
			h := ServerHealth{Port: port, Address: address}
			i := slices.IndexFunc(servers, func(s ncp.VirtualServer) bool { return serves(s, address, port) })
			if i < 0 {
				h.State, h.Reason = HealthDown, "NSX has no virtual server for it"
				if len(servers) == 0 {
					h.Reason, h.State = e.whyNone(uid)
				}
			} else {
				h.judge(servers[i])
			}
			if h.State.worse(r.State) {
				r.State = h.State
			}
			r.Servers = append(r.Servers, h)
		}
	}
	return r
}

// whyNone says what it means that NSX has nothing of the Service.
func (e *Exported) whyNone(uid types.UID) (string, HealthState) {
	reason := "NSX has no virtual server of the Service with UID " + string(uid)
	if e.Proof.ServiceUID == "" {
		return reason + ", and the document does not say by which UID NSX knows it: export again with NSX attached", HealthUnknown
	}
	return reason + ": the Service is gone or was made anew; export again", HealthDown
}

// judge takes over what NSX says of a virtual server.
func (h *ServerHealth) judge(s ncp.VirtualServer) {
	h.Path, h.Realization, h.Status, h.Members = s.Path, s.Realization.State, s.Status, len(s.Members)
	var down, silent []string
	for _, m := range s.Members {
		switch m.Status {
		case string(nsx.LBUp):
			h.MembersUp++
		case "", string(nsx.LBUnknown):
			silent = append(silent, m.IP+":"+m.Port)
		default:
			down = append(down, strings.TrimSpace(fmt.Sprintf("%s:%s %s %s", m.IP, m.Port, m.Status, m.FailureCause)))
		}
	}
	h.State, h.Reason = h.verdict(s, down, silent)
}

func (h *ServerHealth) verdict(s ncp.VirtualServer, down, silent []string) (HealthState, string) {
	switch s.Realization.State {
	case string(nsx.Realized):
	case string(nsx.Failed):
		return HealthDown, "NSX could not realize it: " + cmp.Or(s.Realization.Message, "no reason given")
	default:
		return HealthUnknown, "NSX has not said that it is realized"
	}
	switch nsx.LBStatus(s.Status) {
	case nsx.LBDown, nsx.LBDetached, nsx.LBDisabled:
		return HealthDown, strings.Join(append([]string{"NSX says " + s.Status}, down...), ", ")
	default:
		return h.behind(nsx.LBStatus(s.Status), down, silent)
	}
}

// behind is the verdict on a virtual server that works, from its members.
func (h *ServerHealth) behind(status nsx.LBStatus, down, silent []string) (HealthState, string) {
	switch {
	case h.Members == 0:
		return HealthDown, "its pool has no members: no pod behind the Service is ready"
	case h.MembersUp == 0 && len(silent) > 0:
		return HealthUnknown, "NSX does not say how " + strings.Join(silent, ", ") + " are"
	case h.MembersUp == 0:
		return HealthDown, "no member is up: " + strings.Join(down, ", ")
	case len(down)+len(silent) > 0:
		for _, member := range silent {
			down = append(down, member+" unknown")
		}
		return HealthDegraded, "not up: " + strings.Join(down, ", ")
	case status == "" || status == nsx.LBUnknown:
		return HealthUnknown, "NSX does not say how the virtual server is"
	case status != nsx.LBUp:
		return HealthDegraded, "NSX says " + string(status)
	default:
		return HealthUp, ""
	}
}
