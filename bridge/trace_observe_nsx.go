// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package bridge

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"net/netip"
	"slices"
	"strings"

	"github.com/viaduct-sdk/viaduct"
	"github.com/viaduct-sdk/viaduct/nsx"
	"github.com/viaduct-sdk/viaduct/nsx/firewall"
	"github.com/viaduct-sdk/viaduct/nsx/ncp"
)

// observeOwned asks for the virtual servers of the exporting Service by its UID.
func (c *Cluster) observeOwned(ctx context.Context, s service) nsxFacts {
	if c.virtualServers == nil || s.live == nil {
		return nsxFacts{}
	}
	ctx, cancel := share(ctx)
	defer cancel()
	f := nsxFacts{given: true, lacking: whyNoNSX, pools: map[string]tracedPool{}}
	servers, err := c.virtualServers(ctx, key(s.live), s.UID)
	if err != nil {
		f.err = err
		return f
	}
	f.owned = map[string]bool{}
	for _, v := range servers {
		f.owned[v.Path] = true
		f.servers = append(f.servers, tracedServer{
			path: v.Path, ip: v.IP, ports: v.Ports, protocol: v.Protocol, enabled: true,
			balancer: v.LBServicePath, pool: v.PoolPath, status: v.Status,
			realization: realization{state: v.Realization.State, message: v.Realization.Message},
		})
		p := tracedPool{realization: realization{state: string(nsx.Realized)}}
		for _, m := range v.Members {
			p.members = append(p.members, nsx.MemberStatus{
				IPAddress: m.IP, Port: m.Port, Status: nsx.LBStatus(m.Status), FailureCause: m.FailureCause,
			})
		}
		f.pools[v.PoolPath] = p
	}
	return f
}

// traceReader reads typed objects by their policy paths.
type traceReader struct{ firewall.Source }

// observeNSX asks NSX for what serves the virtual addresses, and for the
// firewall on the way. What the exporting cluster's own client told of the
// virtual servers is kept if it tells whose they are.
func observeNSX(ctx context.Context, r traceReader, p *pathFacts) {
	if p.nsx.managed() {
		p.nsx.lacking = whyManaged
		p.firewall.err = errors.New(whyManaged)
		return
	}
	ctx, cancel := share(ctx)
	defer cancel()
	n := nsxFacts{
		given: true, detailed: true, owned: p.nsx.owned,
		balancers: map[string]tracedBalancer{}, gateways: map[string]tracedGateway{}, pools: map[string]tracedPool{},
	}
	n.err = r.servers(ctx, &n, p.vips())
	if n.err == nil {
		for _, s := range n.servers {
			r.behind(ctx, &n, s)
		}
	}
	p.nsx = n
	if n.err == nil {
		r.firewall(ctx, p)
	}
}

// managed reports whether the virtual servers are objects of the Manager API,
// of which the Policy API knows nothing.
func (n nsxFacts) managed() bool {
	return slices.ContainsFunc(n.servers, func(s tracedServer) bool { return !strings.HasPrefix(s.path, "/infra/") })
}

// servers lists the virtual servers on the addresses, and those that are owned.
// The list is read instead of searched: the index of a search is behind.
func (r traceReader) servers(ctx context.Context, n *nsxFacts, vips []netip.Addr) error {
	scopes := ncp.DefaultScopes().ServiceUID
	for raw, err := range r.List(ctx, "/infra/lb-virtual-servers") {
		if err != nil {
			return err
		}
		var v nsx.VirtualServer
		if err := json.Unmarshal(raw, &v); err != nil {
			return err
		}
		address, err := netip.ParseAddr(v.IPAddress)
		if !n.owned[v.Path.String()] && (err != nil || !slices.Contains(vips, address)) {
			continue
		}
		s := tracedServer{
			path: v.Path.String(), ip: v.IPAddress, ports: v.Ports, enabled: v.Enabled == nil || *v.Enabled,
			balancer: v.LBServicePath.String(), pool: v.PoolPath.String(),
		}
		for _, scope := range scopes {
			if uid, ok := v.Tags.Get(scope); ok && s.service == "" {
				s.service = uid
			}
		}
		if s.protocol, err = r.protocol(ctx, v.ApplicationProfilePath); err != nil {
			return err
		}
		s.realization = r.realization(ctx, v.Path)
		n.servers = append(n.servers, s)
	}
	return nil
}

// protocol tells it from the kind of the application profile.
func (r traceReader) protocol(ctx context.Context, profile nsx.Path) (string, error) {
	switch profile {
	case nsx.DefaultTCPProfilePath, nsx.DefaultHTTPProfilePath, "":
		return "TCP", nil
	case nsx.DefaultUDPProfilePath:
		return "UDP", nil
	default:
	}
	var p nsx.Resource
	err := r.Get(ctx, profile.String(), &p)
	switch {
	case errors.Is(err, viaduct.ErrNotFound):
		return "TCP", nil
	case err != nil:
		return "", err
	case p.ResourceType == string(nsx.LBFastUDPProfile):
		return "UDP", nil
	default:
		return "TCP", nil
	}
}

// behind reads what a virtual server stands on.
func (r traceReader) behind(ctx context.Context, n *nsxFacts, s tracedServer) {
	if _, seen := n.balancers[s.balancer]; !seen && s.balancer != "" {
		b := r.balancer(ctx, nsx.Path(s.balancer))
		n.balancers[s.balancer] = b
		if _, seen := n.gateways[b.gateway]; !seen && b.gateway != "" {
			n.gateways[b.gateway] = r.gateway(ctx, nsx.Path(b.gateway))
		}
	}
	if _, seen := n.pools[s.pool]; !seen && s.pool != "" {
		n.pools[s.pool] = r.pool(ctx, nsx.Path(s.pool), nsx.Path(s.balancer))
	}
}

func (r traceReader) balancer(ctx context.Context, path nsx.Path) tracedBalancer {
	var s nsx.LBService
	if err := r.Get(ctx, path.String(), &s); err != nil {
		return tracedBalancer{err: err, absent: errors.Is(err, viaduct.ErrNotFound)}
	}
	b := tracedBalancer{
		enabled: s.Enabled == nil || *s.Enabled, distributed: s.Size == nsx.LBServiceDistributed,
		gateway: s.ConnectivityPath.String(), realization: r.realization(ctx, path),
	}
	status, err := onlyResult[nsx.LBServiceStatus](ctx, r, path.String()+"/detailed-status")
	b.statusErr, b.status, b.message = err, string(status.Status), status.ErrorMessage
	return b
}

func (r traceReader) gateway(ctx context.Context, path nsx.Path) tracedGateway {
	var g nsx.Tier1
	if err := r.Get(ctx, path.String(), &g); err != nil {
		return tracedGateway{err: err, absent: errors.Is(err, viaduct.ErrNotFound)}
	}
	return tracedGateway{advertises: g.RouteAdvertisementTypes, realization: r.realization(ctx, path)}
}

// pool reads a pool and, through its load balancer, how its members are.
func (r traceReader) pool(ctx context.Context, path, balancer nsx.Path) tracedPool {
	var pool nsx.Pool
	if err := r.Get(ctx, path.String(), &pool); err != nil {
		return tracedPool{err: err, absent: errors.Is(err, viaduct.ErrNotFound)}
	}
	p := tracedPool{realization: r.realization(ctx, path)}
	if pool.SNAT != nil {
		p.snat = pool.SNAT.Type
		for _, a := range pool.SNAT.IPAddresses {
			p.snatAddresses = append(p.snatAddresses, a.IPAddress)
		}
	}
	status, err := onlyResult[nsx.PoolStatus](ctx, r, balancer.String()+"/lb-pools/"+path.ID()+"/detailed-status")
	p.membersErr, p.members = err, status.Members
	if err != nil {
		for _, m := range pool.Members {
			p.members = append(p.members, nsx.MemberStatus{IPAddress: m.IPAddress, Port: m.Port})
		}
	}
	return p
}

// realization asks how far NSX got with an object, and for its alarms when that
// is not all the way.
func (r traceReader) realization(ctx context.Context, path nsx.Path) realization {
	query := "?intent_path=" + strings.ReplaceAll(path.String(), "/", "%2F")
	var status nsx.RealizationStatus
	if err := r.Get(ctx, "/infra/realized-state/status"+query, &status); err != nil {
		return realization{err: err}
	}
	if status.PublishStatus == nsx.Realized || status.Consolidated.Status == "SUCCESS" {
		return realization{state: string(nsx.Realized)}
	}
	rz := realization{state: cmp.Or(string(status.PublishStatus), status.Consolidated.Status)}
	var entities struct {
		Results []nsx.RealizedEntity `json:"results"`
	}
	if err := r.Get(ctx, "/infra/realized-state/realized-entities"+query, &entities); err != nil {
		return rz // its alarms would only have said why
	}
	var messages []string
	for _, e := range entities.Results {
		for _, a := range e.Alarms {
			messages = append(messages, cmp.Or(a.Message, a.Details.Message))
		}
	}
	rz.message = strings.Join(messages, "; ")
	return rz
}

// onlyResult gets an answer that has one result for each enforcement point.
func onlyResult[T any](ctx context.Context, r traceReader, path string) (T, error) {
	var body struct {
		Results []T `json:"results"`
	}
	if err := r.Get(ctx, path, &body); err != nil || len(body.Results) == 0 {
		var zero T
		return zero, cmp.Or(err, viaduct.ErrNotFound)
	}
	return body.Results[0], nil
}
