// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package supervisorsim

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"

	"github.com/viaduct-sdk/viaduct"
)

// The scopes of the tags that NCP writes (nsx_policy_cleanup.py of NCP,
// nsx-operator pkg/nsx/services/common).
const (
	tagCluster       = "ncp/cluster"
	tagVersion       = "ncp/version"
	tagProject       = "ncp/project"
	tagProjectUID    = "ncp/project_uid"
	tagServiceUID    = "ncp/service_uid"
	tagVSType        = "ncp/lb_vs_type"
	tagPoolID        = "ncp/ip_pool_id"
	tagCreatedFor    = "ncp/created_for"
	tagExternal      = "ncp/external"
	tagExternalPool  = "ncp/extpoolid"
	tagSNATAddress   = "ncp/snat_ip"
	tagSubnet        = "ncp/subnet"
	tagNetworkPolicy = "ncp/network_policy"

	tagVirtualNetwork    = "ncp/vnet"
	tagVirtualNetworkUID = "ncp/vnet_uid"
)

// The NSX objects that NCP makes, reduced to the fields that it sets.
type (
	tag struct {
		Scope string `json:"scope"`
		Tag   string `json:"tag"`
	}

	intent struct {
		ResourceType string `json:"resource_type"`
		DisplayName  string `json:"display_name"`
		Tags         []tag  `json:"tags"`
	}

	ipPool struct {
		intent
	}

	ipPoolSubnet struct {
		intent
		CIDR   string    `json:"cidr"`
		Ranges []ipRange `json:"allocation_ranges"`
	}

	ipRange struct {
		Start string `json:"start"`
		End   string `json:"end"`
	}

	ipAllocation struct {
		intent
		Address string `json:"allocation_ip"`
	}

	ipBlock struct {
		intent
		CIDR string `json:"cidr"`
	}

	tier1 struct {
		intent
		Advertise []string `json:"route_advertisement_types"`
	}

	natRule struct {
		intent
		Action            string `json:"action"`
		SourceNetwork     string `json:"source_network"`
		TranslatedNetwork string `json:"translated_network"`
		Enabled           bool   `json:"enabled"`
	}

	segment struct {
		intent
		ConnectivityPath string          `json:"connectivity_path"`
		Subnets          []segmentSubnet `json:"subnets"`
	}

	segmentSubnet struct {
		GatewayAddress string `json:"gateway_address"`
		Network        string `json:"network,omitempty"`
	}

	lbService struct {
		intent
		ConnectivityPath string `json:"connectivity_path"`
		Size             string `json:"size"`
		Enabled          bool   `json:"enabled"`
	}

	lbVirtualServer struct {
		intent
		Enabled         bool     `json:"enabled"`
		Address         string   `json:"ip_address"`
		Ports           []string `json:"ports"`
		PoolPath        string   `json:"pool_path"`
		LBServicePath   string   `json:"lb_service_path"`
		ApplicationPath string   `json:"application_profile_path"`
		PersistencePath string   `json:"lb_persistence_profile_path,omitempty"`
	}

	lbPool struct {
		intent
		Algorithm string         `json:"algorithm"`
		Members   []lbPoolMember `json:"members"`
		SNAT      *typed         `json:"snat_translation"`
	}

	lbPoolMember struct {
		DisplayName string `json:"display_name"`
		Address     string `json:"ip_address"`
		Port        string `json:"port"`
		AdminState  string `json:"admin_state"`
	}

	typed struct {
		Type string `json:"type"`
	}
)

// nsxManager is what this package needs of NSX: the back door of nsxsim.
type nsxManager interface {
	Put(path string, object any) error
	Read(path string, into any) error
	Remove(path string) error
	Paths(prefix string) []string
	SetMemberStatus(poolPath, ip, status string)
}

// manager writes NSX objects in the name of one NCP.
type manager struct {
	nsx     nsxManager
	cluster string
	version string
}

// describe returns the part that all objects have in common: NCP's name and
// version, and the tags that say what the object is for.
func (m *manager) describe(resourceType, displayName string, tags ...tag) intent {
	return intent{
		ResourceType: resourceType,
		DisplayName:  displayName,
		Tags:         append([]tag{{tagCluster, m.cluster}, {tagVersion, m.version}}, tags...),
	}
}

// ensure makes the object at path be as wanted. It writes nothing when it is so
// already, so that revisions stand still.
func (m *manager) ensure(path string, want any) error {
	var live map[string]any
	err := m.nsx.Read(path, &live)
	if err != nil && !errors.Is(err, viaduct.ErrNotFound) {
		return err
	}
	if err == nil && agrees(live, want) {
		return nil
	}
	return m.nsx.Put(path, want)
}

// owned is an object of this NCP with its tags by scope.
type owned struct {
	path string
	tags map[string]string
}

// list returns the objects beneath prefix that carry this NCP's tag, by path.
func (m *manager) list(prefix string) ([]owned, error) {
	var all []owned
	for _, path := range m.nsx.Paths(prefix) {
		var object struct {
			Tags []tag `json:"tags"`
		}
		err := m.nsx.Read(path, &object)
		if errors.Is(err, viaduct.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		o := owned{path: path, tags: map[string]string{}}
		for _, t := range object.Tags {
			o.tags[t.Scope] = t.Tag
		}
		if o.tags[tagCluster] == m.cluster {
			all = append(all, o)
		}
	}
	return all, nil
}

// agrees reports whether each field that want sets has that value in live.
// Fields that NSX adds of its own accord do not count.
func agrees(live map[string]any, want any) bool {
	data, err := json.Marshal(want)
	if err != nil {
		return false
	}
	var fields map[string]any
	if json.Unmarshal(data, &fields) != nil {
		return false
	}
	for name, value := range fields {
		if !reflect.DeepEqual(live[name], value) {
			return false
		}
	}
	return true
}

// identify returns an id made of parts, of the form of a UUID: always the same
// for the same parts, and nothing to be read from it.
func identify(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	b := sum[:16]
	b[6] = b[6]&0x0f | 0x80
	b[8] = b[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
