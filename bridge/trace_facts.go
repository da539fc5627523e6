// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package bridge

import (
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/viaduct-sdk/viaduct/nsx"
	"github.com/viaduct-sdk/viaduct/nsx/firewall"
)

// Facts are what observing a trace found and what judging it looks at. An err
// beside a fact says that it could not be found out.

type traceFacts struct {
	cluster   string
	target    types.NamespacedName
	importing importingFacts
	// paths are one for each exporter, sorted; one without a source when
	// nothing says whose import it is.
	paths []pathFacts
}

// importingFacts are of the importing cluster.
type importingFacts struct {
	err              error
	namespaceMissing bool
	service          service

	backendsErr error
	backends    []traceBackend
	// unlabelled are slices with Viaduct's names that lack the label by which
	// kube-proxy finds them.
	unlabelled []string
	// mirrored are Endpoints of the name that Kubernetes copies into slices.
	mirrored *traceBackend
}

// traceBackend is an EndpointSlice or Endpoints.
type traceBackend struct {
	kind, name string
	// belongs says whose it is when it is not ours.
	belongs   string
	ours      bool
	source    Source
	owner     types.UID // the Service that controls it
	managedBy string    // Kubernetes' label
	addresses []traceAddress
	ports     []Port
}

type traceAddress struct {
	text  string
	ready bool
}

// pathFacts are of the way from the virtual address of one exporter on.
type pathFacts struct {
	source    Source
	addresses []netip.Addr // that the slices hold
	ports     []Port       // of the slices
	exporting exportingFacts
	nsx       nsxFacts
	firewall  firewallFacts
}

// vips are the virtual addresses to look for: those that the import leads to,
// or those that the exporter has when there is no such import.
func (p pathFacts) vips() []netip.Addr {
	if len(p.addresses) > 0 {
		return p.addresses
	}
	return p.exporting.present()
}

// vipPorts are the ports to look for on them.
func (p pathFacts) vipPorts() []Port {
	if len(p.ports) > 0 || p.exporting.vipService.live == nil {
		return p.ports
	}
	return portsOf(p.exporting.vipService.Service)
}

// exportingFacts are of the exporting cluster.
type exportingFacts struct {
	given bool
	err   error
	exportObserved
	vipService service

	podsErr error
	pods    []corev1.Pod
}

// present are the virtual addresses that the exporting Service has now.
func (e exportingFacts) present() []netip.Addr {
	if e.vipService.live == nil {
		return nil
	}
	v, err := judgeStatus(e.vipService.Service)
	if err != nil {
		return nil
	}
	return v.addresses
}

// nsxFacts are of the load balancers of NSX.
type nsxFacts struct {
	given bool
	err   error
	// detailed is true when NSX itself was asked, so that more is known than
	// virtual servers and the status of members. Otherwise lacking says why.
	detailed bool
	lacking  string
	// owned are the paths of the virtual servers of the exporting Service; nil
	// when it is not known which they are.
	owned map[string]bool
	// servers are those on the virtual addresses, and those that are owned.
	servers   []tracedServer
	balancers map[string]tracedBalancer
	gateways  map[string]tracedGateway
	pools     map[string]tracedPool
}

// realization is how far NSX got with an object.
type realization struct {
	state, message string
	err            error
}

// tracedServer is a virtual server.
type tracedServer struct {
	path, ip, protocol string
	ports              []string
	enabled            bool
	balancer, pool     string
	// service is the UID of the Service that NCP made it for.
	service     string
	status      string
	realization realization
}

type tracedBalancer struct {
	err         error
	absent      bool
	enabled     bool
	distributed bool
	gateway     string
	statusErr   error
	status      string
	message     string
	realization realization
}

type tracedGateway struct {
	err         error
	absent      bool
	advertises  []string
	realization realization
}

type tracedPool struct {
	err         error
	absent      bool
	realization realization
	// snat is how members see connections, as NSX names it.
	snat          string
	snatAddresses []string
	membersErr    error
	members       []nsx.MemberStatus
}

// serving returns the virtual servers that serve the addresses on the ports, and
// says which address and port none serves.
func (n nsxFacts) serving(vips []netip.Addr, ports []Port) (servers []tracedServer, missing []string) {
	for _, vip := range vips {
		for _, port := range ports {
			i := slices.IndexFunc(n.servers, func(s tracedServer) bool { return s.serves(vip, port) })
			if i < 0 {
				missing = append(missing, netip.AddrPortFrom(vip, uint16(port.Port)).String()+"/"+string(port.Protocol)) //nolint:gosec // a port number
				continue
			}
			if !slices.ContainsFunc(servers, func(s tracedServer) bool { return s.path == n.servers[i].path }) {
				servers = append(servers, n.servers[i])
			}
		}
	}
	return servers, missing
}

// firewallFacts are of the distributed firewall.
type firewallFacts struct {
	given bool
	err   error
	rules *firewall.Ruleset
	gaps  []string
	// interfaces are where the addresses that matter are attached.
	interfaces map[string]firewall.Interface
	client     *TraceClient
}
