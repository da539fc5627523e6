// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package bridge

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	kubejson "k8s.io/apimachinery/pkg/util/json"

	"github.com/viaduct-sdk/viaduct"
	"github.com/viaduct-sdk/viaduct/internal/poll"
	"github.com/viaduct-sdk/viaduct/nsx"
	"github.com/viaduct-sdk/viaduct/nsx/firewall"
)

// Observe reads and never writes.

// firewallAge is how long what was read of the distributed firewall is good for.
const firewallAge = 5 * time.Minute

// readings is how often the firewall is read when what was read contradicts
// itself.
const readings = 10

// firewallCache keeps what was read of a distributed firewall, so that many
// exports or imports cost one reading.
type firewallCache struct {
	source firewall.Source
	// segments are those whose machines are to be known.
	segments []nsx.Path
	// turn is held by the one who reads; those who wait heed their context.
	turn  chan struct{}
	state *firewallState

	mu sync.Mutex
	// own are the policies and groups that bear marks of Viaduct, by path.
	own map[string]map[string]any
}

func newFirewallCache(source firewall.Source, segments []nsx.Path) *firewallCache {
	return &firewallCache{source: source, segments: segments, turn: make(chan struct{}, 1)}
}

// firewallState is the distributed firewall at one time, without what Viaduct
// made.
type firewallState struct {
	read     time.Time
	rules    *firewall.Ruleset
	policies map[string]firewall.Policy
	groups   map[string]firewall.Group
	gaps     []string
	segments []nsx.Segment
	// ofNCP are the security policies that NCP made of NetworkPolicies.
	ofNCP map[string]bool
	// sources are the machines that are to be known.
	sources []firewallSource
}

// get returns the firewall from memory when that is fresh, and not from before a
// time.
func (c *firewallCache) get(ctx context.Context, notBefore time.Time) (*firewallState, error) {
	select {
	case c.turn <- struct{}{}:
		defer func() { <-c.turn }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	if c.state != nil && time.Since(c.state.read) < firewallAge && !c.state.read.Before(notBefore) {
		return c.state, nil
	}
	attempt := 0
	err := poll.Until(ctx, func(ctx context.Context) (string, bool, error) {
		attempt++
		state, err := c.load(ctx)
		var changing *changingError
		switch {
		case err == nil:
			c.state = state
			return "", true, nil
		case errors.As(err, &changing) && attempt < readings:
			return err.Error(), false, nil
		default:
			return "", false, err
		}
	})
	if err != nil {
		return nil, err
	}
	return c.state, nil
}

// changingError is that of a firewall that was read while somebody changed it,
// so that it contradicts itself.
type changingError struct{ err error }

func (e *changingError) Error() string   { return "read the distributed firewall: " + e.err.Error() }
func (e *changingError) Unwrap() []error { return []error{viaduct.ErrUnavailable, e.err} }

func maybeChanging(err error) error {
	if errors.Is(err, viaduct.ErrNotFound) || errors.Is(err, viaduct.ErrInvalid) {
		return &changingError{err}
	}
	return firewallError("read", err)
}

// remember notes what was written or, as nil, deleted, for imports that are
// observed from memory.
func (c *firewallCache) remember(path string, o map[string]any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.own == nil: // not read yet
		return
	case o == nil:
		delete(c.own, path)
		return
	}
	if rules, ok := o["rules"].([]any); ok {
		sortRules(rules)
	}
	c.own[path] = o
}

func (c *firewallCache) remembered(path string) map[string]any {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.own[path]
}

func (c *firewallCache) load(ctx context.Context) (*firewallState, error) {
	r := recorder{Source: c.source, own: map[string]map[string]any{}, ofNCP: map[string]bool{}}
	snapshot, err := firewall.Load(ctx, r)
	if err != nil {
		return nil, maybeChanging(err)
	}
	s := &firewallState{
		read: time.Now(), policies: map[string]firewall.Policy{}, groups: map[string]firewall.Group{}, gaps: snapshot.Gaps,
		ofNCP: r.ofNCP,
	}
	if s.segments, err = (traceReader{c.source}).segments(ctx, nil); err != nil {
		return nil, firewallError("read", err)
	}
	for _, path := range c.segments {
		if err := c.loadSources(ctx, s, path); err != nil {
			return nil, firewallError("read", err)
		}
	}
	for _, p := range snapshot.Policies {
		s.policies[p.Path] = p
	}
	for _, g := range snapshot.Groups {
		s.groups[g.Path] = g
	}
	if s.rules, err = firewall.Compile(snapshot); err != nil {
		return nil, maybeChanging(err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.own = r.own
	return s, nil
}

// firewallError says which right is missing, where that is the matter.
func firewallError(verb string, err error) error {
	if errors.Is(err, viaduct.ErrForbidden) {
		return fmt.Errorf("%s the distributed firewall: %w; the user of the NSX client needs a role that reads segments, "+
			"and reads and writes groups and security policies, such as Security Admin", verb, err)
	}
	if Retryable(err) {
		return &statusError{viaduct.ErrUnavailable, fmt.Errorf("%s the distributed firewall: %w", verb, err)}
	}
	return fmt.Errorf("%s the distributed firewall: %w", verb, err)
}

// recorder keeps what Viaduct made apart from the search results, so that it is
// not judged and costs no requests.
type recorder struct {
	firewall.Source
	own   map[string]map[string]any
	ofNCP map[string]bool
}

// tagNetworkPolicy is on what NCP makes of a NetworkPolicy.
const tagNetworkPolicy = "ncp/network_policy"

func (r recorder) Search(ctx context.Context, query string) iter.Seq2[json.RawMessage, error] {
	return func(yield func(json.RawMessage, error) bool) {
		for raw, err := range r.Source.Search(ctx, query) {
			if err == nil && r.keep(raw) {
				continue
			}
			if strings.Contains(string(raw), tagNetworkPolicy) {
				if o, err := decodeIntent(raw); err == nil && len(tagsOf(o, tagNetworkPolicy)) > 0 {
					r.ofNCP[text(o, "path")] = true
				}
			}
			if !yield(raw, err) {
				return
			}
		}
	}
}

// keep reports whether an object is Viaduct's, and keeps it then. Rules come
// after their policies.
func (r recorder) keep(raw json.RawMessage) bool {
	if !strings.Contains(string(raw), markPrefix) {
		return false
	}
	o, err := decodeIntent(raw)
	if err != nil || deleted(o) {
		return false
	}
	if policy, ok := r.own[text(o, "parent_path")]; ok && text(o, "resource_type") == "Rule" {
		rules, _ := policy["rules"].([]any)
		rules = append(rules, o)
		sortRules(rules)
		policy["rules"] = rules
		return true
	}
	if _, ours := readNSXMark(o); !ours {
		return false
	}
	delete(o, "rules") // they come by themselves
	r.own[text(o, "path")] = o
	return true
}

// deleted reports whether an object waits for its purge.
func deleted(o map[string]any) bool {
	is, _ := o["marked_for_delete"].(bool)
	return is
}

// decodeIntent decodes an object of NSX with whole numbers as such.
func decodeIntent(raw []byte) (map[string]any, error) {
	var o map[string]any
	if err := kubejson.Unmarshal(raw, &o); err != nil {
		return nil, fmt.Errorf("decode an object of NSX: %w: %w", viaduct.ErrInvalid, err)
	}
	return o, nil
}

func text(o map[string]any, field string) string {
	s, _ := o[field].(string)
	return s
}

// distributedFirewall is where a cluster's nodes are guarded.
type distributedFirewall struct {
	client   *nsx.Client
	segments []nsx.Path
	cache    *firewallCache
}

func newDistributedFirewall(client *nsx.Client, segments []nsx.Path) *distributedFirewall {
	return &distributedFirewall{client: client, segments: segments, cache: newFirewallCache(client.Raw(), segments)}
}

// firewallObserved is what is known of the firewall for one import.
type firewallObserved struct {
	// given says that the cluster has WithDistributedFirewall.
	given bool
	// state is the firewall, for an import that is to be opened; nil otherwise.
	state *firewallState
	// from are the segments of the cluster.
	from []nsx.Path
	// policy and group are the objects at the import's own paths; nil when
	// there are none.
	policy, group map[string]any
}

// firewallSource is somebody on a segment.
type firewallSource struct {
	address netip.Addr
	at      firewall.Interface
}

// observe reads what an import has in NSX, and the firewall when it is to be
// judged. What was read for many may serve: writes are bound to revisions.
// Without a document there is nothing to be judged. What refuses an import may
// have been changed since it was read, and is read anew.
func (f *distributedFirewall) observe(ctx context.Context, cluster string, target types.NamespacedName, e *Exported, fromMemory bool) (firewallObserved, error) {
	o := firewallObserved{given: true, from: f.segments}
	policy, group := firewallPaths(cluster, target)
	if e != nil {
		start := time.Now()
		var err error
		if o.state, err = f.cache.get(ctx, time.Time{}); err == nil && o.judge(e).after != firewall.Allow {
			o.state, err = f.cache.get(ctx, start)
		}
		if err != nil {
			return o, err
		}
	}
	if e != nil && fromMemory {
		o.policy, o.group = f.cache.remembered(policy.String()), f.cache.remembered(group.String())
		return o, nil
	}
	var err error
	if o.policy, err = f.read(ctx, policy); err != nil {
		return o, err
	}
	o.group, err = f.read(ctx, group)
	return o, err
}

// listOwn lists the policies and groups of a cluster's imports.
func (f *distributedFirewall) listOwn(ctx context.Context, cluster string) ([]map[string]any, error) {
	var own []map[string]any
	for _, list := range []string{"security-policies", "groups"} {
		for raw, err := range f.client.Raw().List(ctx, "/infra/domains/"+nsx.DefaultDomain+"/"+list) {
			if err != nil {
				return nil, firewallError("read", err)
			}
			o, err := decodeIntent(raw)
			if err != nil {
				return nil, err
			}
			if m, ours := readNSXMark(o); ours && m.cluster == cluster {
				own = append(own, o)
			}
		}
	}
	return own, nil
}

// read returns the object at a path, nil when there is none.
func (f *distributedFirewall) read(ctx context.Context, path nsx.Path) (map[string]any, error) {
	var raw json.RawMessage
	err := f.client.Raw().Get(ctx, path.String(), &raw)
	if errors.Is(err, viaduct.ErrNotFound) {
		return nil, nil //nolint:nilnil // an absent object is what was observed
	}
	if err != nil {
		return nil, firewallError("read", err)
	}
	o, err := decodeIntent(raw)
	if err == nil {
		if rules, ok := o["rules"].([]any); ok {
			sortRules(rules)
		}
	}
	return o, err
}

// loadSources adds the machines on a segment, as far as NSX was told their
// addresses, or else an address of each subnet: rules about segments and subnets
// make no difference between machines.
func (c *firewallCache) loadSources(ctx context.Context, s *firewallState, path nsx.Path) error {
	i := slices.IndexFunc(s.segments, func(g nsx.Segment) bool { return g.Path == path })
	if i < 0 { // fixed to a gateway
		var segment nsx.Segment
		if err := c.source.Get(ctx, path.String(), &segment); err != nil {
			return err
		}
		i = len(s.segments)
		s.segments = append(s.segments, segment)
	}
	known := len(s.sources)
	for raw, err := range c.source.List(ctx, path.String()+"/ports") {
		if err != nil {
			return err
		}
		var port nsx.SegmentPort
		if err := json.Unmarshal(raw, &port); err != nil {
			return err
		}
		for _, b := range port.AddressBindings {
			if address, err := netip.ParseAddr(b.IPAddress); err == nil {
				s.sources = append(s.sources, firewallSource{address, firewall.Interface{ID: port.Path.String(), Within: []string{path.String()}}})
			}
		}
	}
	if len(s.sources) > known {
		return nil
	}
	for _, prefix := range subnetsOf(s.segments[i]) {
		s.sources = append(s.sources, firewallSource{lastHost(prefix), firewall.Interface{Within: []string{path.String()}}})
	}
	return nil
}

func subnetsOf(s nsx.Segment) []netip.Prefix {
	var all []netip.Prefix
	for _, n := range s.Subnets {
		for _, text := range []string{n.Network, n.GatewayAddress} {
			if prefix, err := netip.ParsePrefix(text); err == nil {
				all = append(all, prefix.Masked())
				break
			}
		}
	}
	return all
}

// lastHost is an address of a subnet that is hardly ever the gateway's.
func lastHost(prefix netip.Prefix) netip.Addr {
	bytes := prefix.Masked().Addr().AsSlice()
	for bit := prefix.Bits(); bit < 8*len(bytes); bit++ {
		bytes[bit/8] |= 0x80 >> (bit % 8)
	}
	last, _ := netip.AddrFromSlice(bytes)
	if prefix.Bits() < last.BitLen()-1 && last.Is4() {
		return last.Prev()
	}
	return last
}
