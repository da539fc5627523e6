// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"fmt"
	"io"
	"net/netip"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/viaduct-sdk/viaduct"
	"github.com/viaduct-sdk/viaduct/nsx/nsxsim"
	"github.com/viaduct-sdk/viaduct/supervisor/supervisorsim"
	"github.com/viaduct-sdk/viaduct/vcenter/vcentersim"
)

// Config says what Start starts. The zero Config is a Supervisor with
// vCenter and NSX, and the ranges of the documentation's reference installation.
type Config struct {
	// TKClusters names the Tanzu Kubernetes clusters to start beside the
	// Supervisor. More can follow with StartTKCluster.
	TKClusters []string

	// Namespaces names vSphere Namespaces to create, in vCenter, once all parts
	// are ready.
	Namespaces []string

	// ControllerManager gives every cluster a kube-controller-manager, which
	// collects garbage, empties deleted namespaces and writes EndpointSlices.
	ControllerManager bool

	// Assets is a directory with binaries named etcd, kube-apiserver and, when
	// ControllerManager asks for it, kube-controller-manager. Empty means the
	// directory that KUBEBUILDER_ASSETS names, or else what Build compiles.
	Assets string

	// Progress receives a line now and then while something takes more than a
	// second. Nil means silence.
	Progress io.Writer

	// Address is where the API servers listen: the loopback interface when it
	// is zero. It must be an IPv4 address of this machine, or rather of the
	// network namespace that the lab runs in, and lets the nodes of a cluster
	// reach its API server from namespaces of their own.
	Address netip.Addr

	// ServiceCIDR is the service range of the Supervisor; 10.96.0.0/23 when
	// zero. TK clusters have ranges of their own.
	ServiceCIDR netip.Prefix

	// SupervisorSim changes what the Supervisor is set up with: its ranges, its
	// isolation, its switches, its TK cluster APIs. Kubernetes, NSX and VCenter
	// are the lab's, and so are the TK clusters unless TKG.Clusters is set.
	SupervisorSim supervisorsim.Config

	// NSX and VCenter are options of the simulators.
	NSX     []nsxsim.Option
	VCenter []vcentersim.Option

	// ControlPlanesOnly starts the Kubernetes control planes and nothing
	// beside them, for those who bring their own simulators. Lab.NSX,
	// Lab.VCenter and Lab.SupervisorSim are nil then, and Namespaces must be
	// empty.
	ControlPlanesOnly bool
}

// Reference is the installation that the documentation uses: the vSphere
// Namespaces acme-data and acme-app, and the TK cluster acme-fitness.
func Reference() Config {
	return Config{
		TKClusters: []string{"acme-fitness"},
		Namespaces: []string{"acme-data", "acme-app"},
	}
}

const supervisorName = "supervisor"

func (c Config) withDefaults() Config {
	if !c.Address.IsValid() {
		c.Address = netip.AddrFrom4([4]byte{127, 0, 0, 1})
	}
	if !c.ServiceCIDR.IsValid() {
		c.ServiceCIDR = netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 96, 0, 0}), 23)
	}
	return c
}

func (c Config) validate() error {
	seen := make(map[string]bool)
	for _, name := range c.TKClusters {
		if err := validateName(name); err != nil {
			return err
		}
		if seen[name] {
			return fmt.Errorf("lab: TK cluster %q is named twice: %w", name, viaduct.ErrInvalid)
		}
		seen[name] = true
	}
	if !c.Address.Is4() || c.Address.IsUnspecified() {
		return fmt.Errorf("lab: API servers at %s, which is no single IPv4 address: %w", c.Address, viaduct.ErrInvalid)
	}
	if c.ControlPlanesOnly && len(c.Namespaces) > 0 {
		return fmt.Errorf("lab: vSphere Namespaces without a vCenter: %w", viaduct.ErrInvalid)
	}
	return nil
}

func validateName(name string) error {
	if problems := validation.IsDNS1123Subdomain(name); len(problems) > 0 {
		return fmt.Errorf("lab: TK cluster name %q: %s: %w", name, strings.Join(problems, "; "), viaduct.ErrInvalid)
	}
	if name == supervisorName {
		return fmt.Errorf("lab: TK cluster name %q is the Supervisor's: %w", name, viaduct.ErrInvalid)
	}
	return nil
}

// tkServiceCIDR is the service range of the nth TK cluster. The first 150
// ranges are disjoint; after that they repeat, as the ranges of real TK
// clusters do.
func tkServiceCIDR(n int) netip.Prefix {
	const first, ranges = 97, 150
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(first + n%ranges), 0, 0}), 16)
}
