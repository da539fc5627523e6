// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package bridge

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"

	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"

	"github.com/viaduct-sdk/viaduct"
)

// Spec says which services are to be reachable where. It is a document: YAML
// turned into JSON decodes into it, and an unknown field is refused.
//
//	services:
//	- from: supervisor
//	  namespace: acme-data
//	  selector: tier=data
//	  into: [acme-fitness]
type Spec struct {
	Services []ServiceSpec `json:"services"`
}

// ServiceSpec exports one Service, or all that a selector finds in a namespace,
// and imports them into other clusters.
type ServiceSpec struct {
	// From is the name of the exporting cluster.
	From      string `json:"from"`
	Namespace string `json:"namespace"`
	// Name is one Service; Selector, a label selector, finds those that exist
	// when the spec is applied. One of the two is set.
	Name     string `json:"name,omitempty"`
	Selector string `json:"selector,omitempty"`
	// Into names the importing clusters; none exports only.
	Into []string `json:"into,omitempty"`
	// Convert exports by [WithConversion].
	Convert bool `json:"convert,omitempty"`
	// NetworkPolicy exports by [WithNetworkPolicy], and Sources are whom it names.
	NetworkPolicy bool           `json:"networkPolicy,omitempty"`
	Sources       []netip.Prefix `json:"sources,omitempty"`
	// TargetNamespace and TargetName import elsewhere, as [WithTarget] does. A
	// name does not go together with a selector.
	TargetNamespace string `json:"targetNamespace,omitempty"`
	TargetName      string `json:"targetName,omitempty"`
	// CreateNamespace, Merge and Adopt are the options of those names.
	CreateNamespace bool `json:"createNamespace,omitempty"`
	Merge           bool `json:"merge,omitempty"`
	Adopt           bool `json:"adopt,omitempty"`
	// Firewall imports by [WithFirewall].
	Firewall bool `json:"firewall,omitempty"`
}

// UnmarshalJSON decodes a spec and refuses fields that it does not know. An
// error matches [viaduct.ErrInvalid].
func (s *Spec) UnmarshalJSON(data []byte) error {
	type plain Spec // without this method
	var spec plain
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&spec); err != nil {
		return fmt.Errorf("bridge: spec: %w: %w", viaduct.ErrInvalid, err)
	}
	*s = Spec(spec)
	return nil
}

// validate checks a spec against the clusters that are there.
func (s *Spec) validate(clusters map[string]*Cluster) error {
	for i, service := range s.Services {
		if err := service.validate(clusters); err != nil {
			return fmt.Errorf("bridge: spec: services[%d]: %w: %w", i, err, viaduct.ErrInvalid)
		}
	}
	return nil
}

func (s *ServiceSpec) validate(clusters map[string]*Cluster) error {
	for _, name := range append([]string{s.From}, s.Into...) {
		if clusters[name] == nil {
			return fmt.Errorf("there is no cluster %q", name)
		}
	}
	switch {
	case s.Namespace == "":
		return fmt.Errorf("namespace is missing")
	case (s.Name == "") == (s.Selector == ""):
		return fmt.Errorf("one of name and selector is to be set")
	case s.Selector != "" && s.TargetName != "":
		return fmt.Errorf("targetName would be the name of all that the selector finds")
	case len(s.Sources) > 0 && !s.NetworkPolicy:
		return fmt.Errorf("sources without networkPolicy")
	case slices.Contains(s.Into, s.From) && s.TargetName == "" && s.TargetNamespace == "":
		return fmt.Errorf("cluster %q would import from itself", s.From)
	}
	_, err := labels.Parse(s.Selector)
	return err
}

func (s *ServiceSpec) exportOptions() []ExportOption {
	var opts []ExportOption
	if s.Convert {
		opts = append(opts, WithConversion())
	}
	if s.NetworkPolicy {
		opts = append(opts, WithNetworkPolicy(s.Sources...))
	}
	return opts
}

func (s *ServiceSpec) importOptions() []ImportOption {
	opts := []ImportOption{WithTarget(types.NamespacedName{Namespace: s.TargetNamespace, Name: s.TargetName})}
	if s.CreateNamespace {
		opts = append(opts, WithCreateNamespace())
	}
	if s.Merge {
		opts = append(opts, WithMerge())
	}
	if s.Adopt {
		opts = append(opts, WithAdopt())
	}
	if s.Firewall {
		opts = append(opts, WithFirewall())
	}
	return opts
}
