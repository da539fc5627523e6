// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package bridge

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/viaduct-sdk/viaduct"
)

// documentVersion is the version of [Exported] that this release writes. A
// reader refuses a newer one and reads all older ones.
const documentVersion = 1

// Exported is a service that can be reached from outside its cluster. It is a
// JSON document: store it, ship it through a pipeline, hand it to another team.
// It holds no credentials, and the importing side needs none for the exporting
// cluster.
//
// Decoding validates: [json.Unmarshal] returns an error that matches
// [viaduct.ErrInvalid] when the document is damaged, and
// [viaduct.ErrUnsupported] when a newer release wrote it in a newer version.
type Exported struct {
	Version int `json:"version"`
	// Source is the Service that was exported.
	Source Source `json:"source"`
	// VIPService is the Service of type LoadBalancer that holds the virtual
	// address: the exported one itself or its companion.
	VIPService VIPService `json:"vipService"`
	// Addresses are the virtual addresses (VIPs), IPv4 first.
	Addresses []netip.Addr `json:"addresses"`
	// Ports are the ports of the virtual address, sorted by number.
	Ports []Port `json:"ports"`
	// SessionAffinity is ClientIP when each client stays with one pod.
	SessionAffinity corev1.ServiceAffinity `json:"sessionAffinity,omitempty"`
	// Consumers are the clusters that it may be imported into; any when it is
	// empty. See [WithConsumers].
	Consumers []string `json:"consumers,omitempty"`
	// Proof says how it is known that the addresses answer.
	Proof Proof `json:"proof"`

	plan      Plan
	unguarded []string
}

// VIPService names the Service of type LoadBalancer in the exporting cluster.
type VIPService struct {
	Name string    `json:"name"`
	UID  types.UID `json:"uid"`
}

// Port is a port of a service. Ports are matched by name between exporter and
// importer; a single port may have none.
type Port struct {
	Name        string          `json:"name,omitempty"`
	Protocol    corev1.Protocol `json:"protocol"`
	Port        int32           `json:"port"`
	AppProtocol string          `json:"appProtocol,omitempty"`
}

// String returns "name 5432/TCP".
func (p Port) String() string {
	number := fmt.Sprintf("%d/%s", p.Port, p.Protocol)
	if p.Name == "" {
		return number
	}
	return p.Name + " " + number
}

// Plan returns what [Export] did, or would have done in a dry run. It is not
// part of the document.
func (e *Exported) Plan() Plan { return e.plan }

// Unguarded says what of the exporting cluster's address pools [Export] could
// not check the addresses against, in clauses for people; none when they are
// from pools from which NCP takes addresses for Services. It is not part of the
// document.
func (e *Exported) Unguarded() []string { return e.unguarded }

// sortedPorts returns the ports by number and protocol.
func (e *Exported) sortedPorts() []Port {
	return slices.SortedFunc(slices.Values(e.Ports), func(a, b Port) int {
		return cmp.Or(cmp.Compare(a.Port, b.Port), cmp.Compare(a.Protocol, b.Protocol))
	})
}

func sortedAddresses(addresses []netip.Addr) []netip.Addr {
	return slices.SortedFunc(slices.Values(addresses), netip.Addr.Compare)
}

func joinAddresses(addresses []netip.Addr) string {
	text := make([]string, len(addresses))
	for i, a := range addresses {
		text[i] = a.String()
	}
	return strings.Join(text, ", ")
}

// UnmarshalJSON decodes and validates a document.
func (e *Exported) UnmarshalJSON(data []byte) error {
	var head struct {
		Version int `json:"version"`
	}
	if err := json.Unmarshal(data, &head); err != nil {
		return damaged(err.Error())
	}
	if head.Version > documentVersion {
		return fmt.Errorf("bridge: exported document has version %d and this release reads up to %d: %w; upgrade the importing side",
			head.Version, documentVersion, viaduct.ErrUnsupported)
	}
	type plain Exported // without this method
	var doc plain
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&doc); err != nil {
		return damaged(err.Error())
	}
	if err := (*Exported)(&doc).validate(); err != nil {
		return err
	}
	*e = Exported(doc)
	return nil
}

// validate checks that a document can be imported.
func (e *Exported) validate() error {
	switch {
	case e.Version != documentVersion:
		return damaged(fmt.Sprintf("version is %d", e.Version))
	case len(validation.IsDNS1123Label(e.Source.Cluster)) > 0:
		return damaged(fmt.Sprintf("source.cluster %q is not a DNS label", e.Source.Cluster))
	case len(validation.IsDNS1123Label(e.Source.Namespace)) > 0:
		return damaged(fmt.Sprintf("source.namespace %q is not a DNS label", e.Source.Namespace))
	case len(validation.IsDNS1035Label(e.Source.Name)) > 0:
		return damaged(fmt.Sprintf("source.name %q is not the name of a Service", e.Source.Name))
	case len(e.Addresses) == 0:
		return damaged("it holds no address (the result of a dry run cannot be imported)")
	case e.Source.UID == "" || e.VIPService.UID == "":
		return damaged("a uid is missing")
	}
	if a := e.SessionAffinity; a != "" && a != corev1.ServiceAffinityClientIP {
		return damaged(fmt.Sprintf("sessionAffinity is %q", a))
	}
	for _, address := range e.Addresses {
		if err := checkVIP(address); err != nil {
			return damaged(err.Error())
		}
	}
	if err := checkConsumers(e.Consumers); err != nil {
		return damaged(err.Error())
	}
	return e.validatePorts()
}

func (e *Exported) validatePorts() error {
	if len(e.Ports) == 0 {
		return damaged("it holds no port")
	}
	names, numbers := map[string]bool{}, map[string]bool{}
	for _, p := range e.Ports {
		number := fmt.Sprintf("%d/%s", p.Port, p.Protocol)
		switch {
		case len(validation.IsValidPortNum(int(p.Port))) > 0:
			return damaged(fmt.Sprintf("port %d is out of range", p.Port))
		case p.Protocol != corev1.ProtocolTCP && p.Protocol != corev1.ProtocolUDP:
			return damaged(fmt.Sprintf("protocol %q is neither TCP nor UDP", p.Protocol))
		case p.Name == "" && len(e.Ports) > 1:
			return damaged(fmt.Sprintf("port %s has no name beside others", number))
		case p.Name != "" && len(validation.IsDNS1123Label(p.Name)) > 0:
			return damaged(fmt.Sprintf("port name %q is not a DNS label", p.Name))
		case names[p.Name] || numbers[number]:
			return damaged(fmt.Sprintf("port %s is there twice", p))
		}
		names[p.Name], numbers[number] = true, true
	}
	return nil
}

func damaged(what string) error {
	return fmt.Errorf("bridge: exported document is damaged: %s: %w", what, viaduct.ErrInvalid)
}

// ProofSource says who vouches for a virtual address.
type ProofSource string

// The sources of a proof, the stronger one first.
const (
	// ProofNSX: NSX has realized the virtual servers, and members are up.
	ProofNSX ProofSource = "nsx"
	// ProofServiceStatus: only the status of the Service names the address.
	ProofServiceStatus ProofSource = "service-status"
)

// Proof says how it is known that a virtual address answers.
type Proof struct {
	Source ProofSource `json:"source"`
	// ServiceUID is the UID by which NSX knows the Service that has the
	// address: VIPService's, or for an export from a TK cluster that of the
	// Service on its Supervisor. [Health] asks for it. It is empty without NSX.
	ServiceUID types.UID `json:"serviceUID,omitempty"`
	// VirtualServers are those of NSX that serve the address, sorted by port;
	// empty without NSX.
	VirtualServers []VirtualServer `json:"virtualServers,omitempty"`
}

// VirtualServer is a virtual server of NSX as it was when the export was proved.
type VirtualServer struct {
	Path     string          `json:"path"`
	Address  netip.Addr      `json:"address"`
	Protocol corev1.Protocol `json:"protocol"`
	Port     int32           `json:"port"`
	// MembersUp of Members pool members were up.
	MembersUp int `json:"membersUp"`
	Members   int `json:"members"`
}
