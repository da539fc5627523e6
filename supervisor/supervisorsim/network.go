// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package supervisorsim

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"

	"github.com/viaduct-sdk/viaduct"
	"github.com/viaduct-sdk/viaduct/vcenter/vcentersim"
)

// Where NCP's objects live.
const (
	segmentsPath       = "/infra/segments/"
	tier1sPath         = "/infra/tier-1s/"
	poolsPath          = "/infra/lb-pools/"
	virtualServersPath = "/infra/lb-virtual-servers/"
	lbServicesPath     = "/infra/lb-services/"
	groupsPath         = "/infra/domains/default/groups/"
	policiesPath       = "/infra/domains/default/security-policies/"
)

// errGone says that a namespace is on its way out, so that nothing is made for
// it any more.
var errGone = errors.New("namespace is gone")

// network is what NCP makes for a namespace, or for the VirtualNetwork of a TK
// cluster in one: a tier-1 gateway and the segments behind it.
type network struct {
	networkID
	snat    netip.Addr
	subnets []*subnet
}

// networkID is what a network is known by.
type networkID struct {
	// uid is that of the namespace, or of the VirtualNetwork.
	uid string
	// project is the UID of the namespace, and namespace its name.
	project, namespace string
	// virtual is the name of the VirtualNetwork; empty for a namespace's own.
	virtual string
}

func (id networkID) name() string {
	if id.virtual == "" {
		return id.namespace
	}
	return id.namespace + "-" + id.virtual
}

// tags say in NSX what an object of the network is for.
func (id networkID) tags() []tag {
	all := []tag{{tagProject, id.namespace}, {tagProjectUID, id.project}}
	if id.virtual != "" {
		all = append(all, tag{tagVirtualNetwork, id.virtual}, tag{tagVirtualNetworkUID, id.uid})
	}
	return all
}

// networkOfTags reads back what tags wrote.
func networkOfTags(tags map[string]string) networkID {
	id := networkID{
		uid: tags[tagVirtualNetworkUID], project: tags[tagProjectUID],
		namespace: tags[tagProject], virtual: tags[tagVirtualNetwork],
	}
	if id.uid == "" {
		id.uid = id.project
	}
	return id
}

// within reports whether the network is the one with this UID, or belongs to
// the namespace with it.
func (id networkID) within(uid string) bool { return id.uid == uid || id.project == uid }

// subnet is a segment with the addresses of its pods.
type subnet struct {
	prefix        netip.Prefix
	path          string
	logicalSwitch string
	pods          *addressPool
	portGroup     bool
}

func (n *network) router() string { return "t1_" + n.uid + "_rtr" }

func (n *network) routerPath() string { return tier1sPath + n.router() }

func (n *network) prefixes() []string {
	all := make([]string, 0, len(n.subnets))
	for _, s := range n.subnets {
		all = append(all, s.prefix.String())
	}
	return all
}

// networks are the networks of all namespaces, by the namespace's UID. The
// Supervisor's own, which the namespaces that WCP did not make share, has the
// cluster's name in place of a UID.
type networks struct {
	cfg    Config
	m      *manager
	egress *addressPool
	// pool is the id of the IP pool behind egress.
	pool string

	mu    sync.Mutex
	free  *subnetPool
	byUID map[string]*network
	gone  map[string]bool
}

func newNetworks(cfg Config, m *manager) *networks {
	return &networks{
		cfg:    cfg,
		m:      m,
		egress: newAddressPool(cfg.EgressCIDR),
		pool:   poolID(cfg.ncpCluster(), cfg.EgressCIDR),
		free:   newSubnetPool(cfg.PodCIDRs, cfg.SubnetBits),
		byUID:  map[string]*network{},
		gone:   map[string]bool{},
	}
}

// load reads back what an earlier run left in NSX.
func (n *networks) load() error {
	segments, err := n.m.list(segmentsPath)
	if err != nil {
		return err
	}
	for _, o := range segments {
		var s segment
		if err := n.m.nsx.Read(o.path, &s); err != nil {
			return err
		}
		prefix, err := netip.ParsePrefix(o.tags[tagSubnet])
		if err != nil {
			return fmt.Errorf("supervisorsim: segment %s: %w", o.path, err)
		}
		n.free.hold(prefix)
		id := networkOfTags(o.tags)
		if n.byUID[id.uid] == nil {
			n.byUID[id.uid] = &network{networkID: id}
		}
		n.byUID[id.uid].subnets = append(n.byUID[id.uid].subnets, newSubnet(prefix, o.path))
	}
	return n.m.loadPool(n.pool, n.egress, func(tags map[string]string) string { return networkOfTags(tags).uid })
}

func newSubnet(prefix netip.Prefix, path string) *subnet {
	return &subnet{prefix: prefix, path: path, pods: newAddressPool(prefix, prefix.Addr().Next())}
}

// ensure makes the network of a namespace and returns NCP's annotations for the
// namespace. It changes nothing when all is there. The error is errGone after
// remove.
func (n *networks) ensure(ctx context.Context, id networkID) (map[string]string, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.gone[id.uid] || n.gone[id.project] {
		return nil, errGone
	}
	net := n.byUID[id.uid]
	if net == nil {
		net = &network{networkID: id}
		n.byUID[id.uid] = net
	}
	if err := n.ensureRouter(net); err != nil {
		return nil, fmt.Errorf("supervisorsim: tier-1 gateway of network %q: %w", id.name(), err)
	}
	if len(net.subnets) == 0 {
		if err := n.grow(net); err != nil {
			return nil, fmt.Errorf("supervisorsim: subnet of network %q: %w", id.name(), err)
		}
	}
	for i := range net.subnets {
		if err := n.ensureSegment(ctx, net, i); err != nil {
			return nil, fmt.Errorf("supervisorsim: segment of network %q: %w", id.name(), err)
		}
	}
	if err := n.ensureBaseline(net); err != nil {
		return nil, fmt.Errorf("supervisorsim: firewall policy of network %q: %w", id.name(), err)
	}
	return n.annotations(net), nil
}

// annotations are NCP's annotations on the namespace of a network.
func (n *networks) annotations(net *network) map[string]string {
	all := map[string]string{
		annotationRouter:       net.router(),
		annotationSNAT:         net.snat.String(),
		annotationExternalPool: n.pool,
	}
	for i, s := range net.subnets {
		all[fmt.Sprintf(annotationLogicalSwitch, i)] = s.logicalSwitch
		all[fmt.Sprintf(annotationSubnet, i)] = s.prefix.String()
	}
	return all
}

// get returns the network of a namespace, or errGone when it has none. The caller holds the lock for as long as it relies on the answer.
func (n *networks) get(uid string) (*network, error) {
	if net := n.byUID[uid]; net != nil {
		return net, nil
	}
	return nil, errGone
}

// grow gives the network one more subnet.
func (n *networks) grow(net *network) error {
	prefix, err := n.free.take()
	if err != nil {
		return err
	}
	id := fmt.Sprintf("vnet_%s_%d", identify("segment", n.m.cluster, net.uid), len(net.subnets))
	net.subnets = append(net.subnets, newSubnet(prefix, segmentsPath+id))
	return nil
}

func (n *networks) ensureRouter(net *network) error {
	addr, err := n.egress.take(net.uid, netip.Addr{})
	if err != nil {
		return err
	}
	net.snat = addr
	tags := net.tags()
	err = n.m.ensure(allocationPath(n.pool, "snat", net.uid), ipAllocation{
		intent:  n.m.describe("IpAddressAllocation", "snat-"+net.name(), tags...),
		Address: addr.String(),
	})
	if err != nil {
		return err
	}
	external := append(slices.Clone(tags), tag{tagExternalPool, n.pool}, tag{tagSNATAddress, addr.String()})
	return n.m.ensure(net.routerPath(), tier1{
		intent:    n.m.describe("Tier1", net.router(), external...),
		Advertise: []string{"TIER1_LB_SNAT", "TIER1_LB_VIP", "TIER1_NAT", "TIER1_STATIC_ROUTES"},
	})
}

// ensureSegment makes the i-th segment of the network, the translation of its
// addresses, and its port group in vCenter.
func (n *networks) ensureSegment(ctx context.Context, net *network, i int) error {
	s := net.subnets[i]
	name := fmt.Sprintf("vnet-%s-%d", net.name(), i)
	tags := append(net.tags(), tag{tagSubnet, s.prefix.String()})
	gateway := netip.PrefixFrom(s.prefix.Addr().Next(), s.prefix.Bits())
	err := n.m.ensure(s.path, segment{
		intent:           n.m.describe("Segment", name, tags...),
		ConnectivityPath: net.routerPath(),
		Subnets:          []segmentSubnet{{GatewayAddress: gateway.String(), Network: s.prefix.String()}},
	})
	if err != nil {
		return err
	}
	err = n.m.ensure(fmt.Sprintf("%s/nat/USER/nat-rules/%s", net.routerPath(), identify("snat", s.path)), natRule{
		intent:            n.m.describe("PolicyNatRule", "snat-"+name, tags...),
		Action:            "SNAT",
		SourceNetwork:     s.prefix.String(),
		TranslatedNetwork: net.snat.String(),
		Enabled:           true,
	})
	if err != nil {
		return err
	}
	var live struct {
		UniqueID string `json:"unique_id"`
	}
	if err := n.m.nsx.Read(s.path, &live); err != nil {
		return err
	}
	s.logicalSwitch = live.UniqueID
	return n.ensurePortGroup(ctx, net, s, name)
}

func (n *networks) ensurePortGroup(ctx context.Context, net *network, s *subnet, name string) error {
	if n.cfg.VCenter == nil || s.portGroup || net.uid == n.m.cluster {
		return nil
	}
	err := n.cfg.VCenter.AddSegmentPortGroup(ctx, vcentersim.SegmentPortGroup{
		Name:              name,
		SegmentPath:       s.path,
		LogicalSwitchUUID: s.logicalSwitch,
	})
	if err != nil && !errors.Is(err, viaduct.ErrExists) {
		return err
	}
	s.portGroup = true
	return nil
}

// known returns the UIDs of the namespaces that have a network, without the
// Supervisor's own.
func (n *networks) known() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	var uids []string
	for uid, net := range n.byUID {
		if uid != n.m.cluster && net.virtual == "" {
			uids = append(uids, uid)
		}
	}
	slices.Sort(uids)
	return uids
}

// virtual returns the networks of VirtualNetworks.
func (n *networks) virtual() []networkID {
	n.mu.Lock()
	defer n.mu.Unlock()
	var all []networkID
	for _, net := range n.byUID {
		if net.virtual != "" {
			all = append(all, net.networkID)
		}
	}
	return all
}

// named returns the UIDs of the networks of VirtualNetworks of that name, of
// those that are gone among them.
func (n *networks) named(namespace, virtual string) []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	var uids []string
	for uid, net := range n.byUID {
		if net.namespace == namespace && net.virtual == virtual {
			uids = append(uids, uid)
		}
	}
	return uids
}

// find returns the UID of the VirtualNetwork of that name in a namespace, ""
// when it has no network.
func (n *networks) find(project, virtual string) string {
	n.mu.Lock()
	defer n.mu.Unlock()
	for uid, net := range n.byUID {
		if net.project == project && net.virtual == virtual {
			return uid
		}
	}
	return ""
}
