// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package supervisorsim

import (
	"fmt"
	"log/slog"
	"net/netip"
	"time"

	"k8s.io/client-go/rest"

	"github.com/viaduct-sdk/viaduct"
	"github.com/viaduct-sdk/viaduct/nsx/nsxsim"
	"github.com/viaduct-sdk/viaduct/vcenter/vcentersim"
)

// What a Supervisor is set up with when its Config leaves a field empty.
const (
	DefaultClusterID   = "domain-c8"
	DefaultIngressCIDR = "192.168.30.64/27"
	DefaultEgressCIDR  = "192.168.30.96/27"
	DefaultPodCIDR     = "10.244.0.0/20"
	DefaultNCPVersion  = "3.2.1"

	defaultVCenterUUID = "5a2f7f5e-6bd3-4bcd-8e0c-3d8d0f6b2c11"
	defaultSubnetBits  = 28
	defaultResync      = 5 * time.Minute
)

// BaselinePolicy is NCP's setting baseline_policy_type: what the distributed
// firewall does with the traffic of a namespace that no NetworkPolicy speaks of.
type BaselinePolicy string

// The baseline policies.
const (
	// BaselineNamespace isolates each namespace: its pods reach each other and
	// whatever is outside, and nothing outside reaches them, the load balancer
	// included. It is what an empty BaselinePolicy means.
	BaselineNamespace BaselinePolicy = "allow_namespace"
	// BaselineNamespaceStrict also drops what leaves the namespace.
	BaselineNamespaceStrict BaselinePolicy = "allow_namespace_strict"
	// BaselineCluster lets all pods of the cluster reach each other, and drops
	// what comes from elsewhere.
	BaselineCluster BaselinePolicy = "allow_cluster"
	// BaselineNone adds no rule, as NCP does unless it is told otherwise.
	BaselineNone BaselinePolicy = "none"
)

// Config describes the Supervisor to simulate. Kubernetes and NSX are
// required; an empty field otherwise means the default beside it.
type Config struct {
	// Kubernetes reaches the Supervisor's API server with the rights of a
	// cluster administrator. It is copied.
	Kubernetes *rest.Config
	// NSX is the NSX Manager that NCP drives.
	NSX *nsxsim.Server
	// VCenter gets a port group for each segment of a namespace. Nil: none.
	VCenter *vcentersim.Server
	// VCenterUUID is the second half of NCP's cluster tag; the instance UUID
	// of VCenter when that is set.
	VCenterUUID string
	// ClusterID is the Supervisor's cluster in vCenter: domain-c8.
	ClusterID string
	// IngressCIDR holds the addresses of LoadBalancer Services, EgressCIDR
	// those that namespaces are translated to. The first and the last address
	// of each are left out.
	IngressCIDR, EgressCIDR netip.Prefix
	// PodCIDRs are cut into the namespaces' subnets of SubnetBits (28).
	PodCIDRs   []netip.Prefix
	SubnetBits int
	// Baseline isolates namespaces: BaselineNamespace.
	Baseline BaselinePolicy
	// NCPVersion is the tag ncp/version.
	NCPVersion string
	// Login describes /wcp/* and its users. Its Kubernetes, Namespaces and Guests
	// are the simulator's.
	Login WCPConfig
	// TKG describes the TKG service. Without a cluster provider there is none.
	TKG TKGConfig
	// Resync is how often everything is compared again, although nothing was
	// seen to change: five minutes.
	Resync time.Duration
	// Logger hears of what failed and will be tried again. Nil: nothing is
	// logged.
	Logger *slog.Logger
	// Switches are the answers to what is not known of the real thing.
	Switches Switches
}

// Switches choose between behaviours that differ between versions of NCP, or
// that no public source settles. The zero value is the newest known behaviour.
type Switches struct {
	// DoubleIngress makes NCP write its internal 100.64.0.0/10 address to the
	// Service's status as a second ingress, as older versions did.
	DoubleIngress bool
	// NoInternalAddress leaves out the annotation ncp/internal_ip_for_policy.
	NoInternalAddress bool
	// RemoveNotReady takes a pod that is not ready out of the pools instead of
	// keeping it there as a member that is DOWN.
	RemoveNotReady bool
	// StickyErrors keeps a Service without address, once its pool was
	// exhausted, until the Service is changed or made anew, which is what the
	// NCP documentation tells users to do.
	StickyErrors bool
}

// withDefaults returns cfg completed, or an error that matches
// [viaduct.ErrInvalid] and names the field.
func (cfg Config) withDefaults() (Config, error) {
	switch {
	case cfg.Kubernetes == nil:
		return cfg, fmt.Errorf("supervisorsim: Config.Kubernetes is nil: %w", viaduct.ErrInvalid)
	case cfg.NSX == nil:
		return cfg, fmt.Errorf("supervisorsim: Config.NSX is nil: %w", viaduct.ErrInvalid)
	}
	if cfg.VCenter != nil {
		cfg.VCenterUUID = cfg.VCenter.InstanceUUID()
	}
	setDefault(&cfg.VCenterUUID, defaultVCenterUUID)
	setDefault(&cfg.ClusterID, DefaultClusterID)
	setDefault(&cfg.IngressCIDR, netip.MustParsePrefix(DefaultIngressCIDR))
	setDefault(&cfg.EgressCIDR, netip.MustParsePrefix(DefaultEgressCIDR))
	setDefault(&cfg.SubnetBits, defaultSubnetBits)
	setDefault(&cfg.Baseline, BaselineNamespace)
	setDefault(&cfg.NCPVersion, DefaultNCPVersion)
	setDefault(&cfg.Resync, defaultResync)
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if len(cfg.PodCIDRs) == 0 {
		cfg.PodCIDRs = []netip.Prefix{netip.MustParsePrefix(DefaultPodCIDR)}
	}
	var err error
	if cfg.TKG, err = cfg.TKG.withDefaults(); err != nil {
		return cfg, err
	}
	return cfg, cfg.validate()
}

func (cfg Config) validate() error {
	for _, p := range []netip.Prefix{cfg.IngressCIDR, cfg.EgressCIDR} {
		if !p.Addr().Is4() || p.Bits() > 30 {
			return fmt.Errorf("supervisorsim: address pool %s is not an IPv4 network of /30 or larger: %w", p, viaduct.ErrInvalid)
		}
	}
	for _, p := range cfg.PodCIDRs {
		if !p.Addr().Is4() || p.Bits() > cfg.SubnetBits {
			return fmt.Errorf("supervisorsim: pod CIDR %s holds no subnet of /%d: %w", p, cfg.SubnetBits, viaduct.ErrInvalid)
		}
	}
	if cfg.SubnetBits > 29 {
		return fmt.Errorf("supervisorsim: a subnet of /%d has no room for pods: %w", cfg.SubnetBits, viaduct.ErrInvalid)
	}
	switch cfg.Baseline {
	case BaselineNamespace, BaselineNamespaceStrict, BaselineCluster, BaselineNone:
		return nil
	default:
		return fmt.Errorf("supervisorsim: baseline policy %q: %w", cfg.Baseline, viaduct.ErrInvalid)
	}
}

// ncpCluster is the name that NCP gives its cluster in NSX.
func (cfg Config) ncpCluster() string {
	return cfg.ClusterID + ":" + cfg.VCenterUUID
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}
