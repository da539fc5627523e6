// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package bridge

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/viaduct-sdk/viaduct"
	"github.com/viaduct-sdk/viaduct/nsx/ncp"
)

// Annotations that NCP puts on a Service.
const (
	annotationLoadBalancerError = "ncp/error.loadbalancer"
	annotationInternalAddress   = "ncp/internal_ip_for_policy"
)

// vip is how far a virtual address has come.
type vip struct {
	addresses []netip.Addr
	proof     Proof
	// waiting says what is still missing; empty when the VIP is proved.
	waiting string
	// unguarded says which pools could not be checked.
	unguarded []string
}

// judgeStatus looks at the status of a LoadBalancer Service, NCP's errors
// first. It is pure, as all of this file.
func judgeStatus(s *corev1.Service) (vip, error) {
	if code := s.Annotations[annotationLoadBalancerError]; code != "" {
		return vip{}, fmt.Errorf("NCP could not make its load balancer: %s: %w", code, viaduct.ErrUnavailable)
	}
	v := vip{proof: Proof{Source: ProofServiceStatus}}
	for _, ingress := range s.Status.LoadBalancer.Ingress {
		if ingress.IP == "" && ingress.Hostname != "" {
			return vip{}, fmt.Errorf("its virtual address is the hostname %q, and an import holds addresses: %w", ingress.Hostname, viaduct.ErrUnsupported)
		}
		address, err := netip.ParseAddr(ingress.IP)
		if err != nil {
			return vip{}, fmt.Errorf("its status holds the address %q: %w", ingress.IP, viaduct.ErrInvalid)
		}
		if ingress.IP == s.Annotations[annotationInternalAddress] || internalRange().Contains(address) {
			continue
		}
		if err := checkVIP(address); err != nil {
			return vip{}, fmt.Errorf("its status holds no virtual address: %w: %w", err, viaduct.ErrInvalid)
		}
		v.addresses = append(v.addresses, address)
	}
	v.addresses = sortedAddresses(v.addresses)
	if len(v.addresses) == 0 {
		v.waiting = "the Service has no address in its status"
	}
	return v, nil
}

// judgeNSX looks at what NSX says of the addresses in the Service's status. An
// error means that waiting does not help.
func judgeNSX(v vip, ports []Port, servers []ncp.VirtualServer) (vip, error) {
	v.proof = Proof{Source: ProofNSX}
	for _, port := range ports {
		for _, address := range v.addresses {
			i := slices.IndexFunc(servers, func(s ncp.VirtualServer) bool { return serves(s, address, port) })
			if i < 0 {
				v.waiting = fmt.Sprintf("NSX has no virtual server for %s on %s", port, address)
				return v, nil
			}
			server, waiting, err := judgeServer(servers[i], address, port)
			if err != nil || waiting != "" {
				v.waiting = waiting
				return v, err
			}
			v.proof.VirtualServers = append(v.proof.VirtualServers, server)
			v.proof.ServiceUID = types.UID(servers[i].Owner.ServiceUID)
		}
	}
	slices.SortFunc(v.proof.VirtualServers, func(a, b VirtualServer) int {
		return cmp.Or(cmp.Compare(a.Port, b.Port), cmp.Compare(a.Protocol, b.Protocol), a.Address.Compare(b.Address))
	})
	return v, nil
}

func judgeServer(s ncp.VirtualServer, address netip.Addr, port Port) (VirtualServer, string, error) {
	server := VirtualServer{Path: s.Path, Address: address, Protocol: port.Protocol, Port: port.Port, Members: len(s.Members)}
	switch s.Realization.State {
	case "REALIZED":
	case "ERROR":
		return server, "", fmt.Errorf("NSX could not realize virtual server %s: %s: %w", s.Path,
			cmp.Or(s.Realization.Message, "no reason given"), viaduct.ErrUnavailable)
	default:
		return server, fmt.Sprintf("virtual server %s is %s", s.Path, cmp.Or(s.Realization.State, "not realized")), nil
	}
	var down []string
	for _, m := range s.Members {
		if m.Status == "UP" {
			server.MembersUp++
			continue
		}
		down = append(down, strings.TrimSpace(fmt.Sprintf("%s:%s %s %s", m.IP, m.Port, cmp.Or(m.Status, "UNKNOWN"), m.FailureCause)))
	}
	switch {
	case server.Members == 0:
		return server, fmt.Sprintf("pool %s has no members: no pod behind the Service is ready", s.PoolPath), nil
	case server.MembersUp == 0:
		return server, fmt.Sprintf("no member of pool %s is up (%s)", s.PoolPath, strings.Join(down, ", ")), nil
	}
	return server, "", nil
}

// serves reports whether a virtual server listens on the address and port.
func serves(s ncp.VirtualServer, address netip.Addr, port Port) bool {
	ip, err := netip.ParseAddr(s.IP)
	if err != nil || ip != address || s.Protocol != string(port.Protocol) {
		return false
	}
	return slices.ContainsFunc(s.Ports, func(r string) bool { return inRange(r, int(port.Port)) })
}

// inRange reports whether port lies in an NSX port or range such as
// "8000-8010".
func inRange(r string, port int) bool {
	first, last, isRange := strings.Cut(r, "-")
	if !isRange {
		last = first
	}
	low, err1 := strconv.Atoi(first)
	high, err2 := strconv.Atoi(last)
	return err1 == nil && err2 == nil && low <= port && port <= high
}
