// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// What WCP and NCP write on the namespace of a vSphere Namespace.
const (
	labelClusterID         = "vSphereClusterID"
	annotationResourcePool = "vmware-system-resource-pool"
	annotationFolder       = "vmware-system-vm-folder"
	annotationRouter       = "ncp/router_id"
	annotationSNAT         = "ncp/snat_ip"
	annotationExternalPool = "ncp/extpoolid"
	prefixLogicalSwitch    = "ls_id-"
	prefixSubnet           = "ncp/subnet-"
)

// Namespace is a namespace of a Supervisor with what WCP and NCP wrote on it. A
// field is empty when its annotation is absent, as on namespaces of the system
// and where the network is not NSX's.
type Namespace struct {
	Name        string
	UID         string
	Labels      map[string]string
	Created     time.Time
	Terminating bool

	// ClusterID is the Supervisor's cluster in vCenter: domain-c8.
	ClusterID string
	// Tier1ID is the id of the tier-1 gateway in NSX.
	Tier1ID string
	// Networks are the namespace's segments, in NCP's order.
	Networks []Network
	// SNATAddress is the address that pods of the namespace are seen with from
	// outside.
	SNATAddress netip.Addr
	// ExternalPool is the NSX IP pool that SNATAddress is of.
	ExternalPool ExternalPool
	// ResourcePool and Folder are ids of vCenter objects.
	ResourcePool, Folder string

	// Problems are the annotations that are there and make no sense.
	Problems []string
}

// Network is one segment of a namespace.
type Network struct {
	// LogicalSwitchUUID is the id that the segment's port groups in vCenter
	// carry, and the unique_id of the segment in NSX.
	LogicalSwitchUUID string
	Subnet            netip.Prefix
}

// ExternalPool is an NSX IP pool, by the name that NCP gives it.
type ExternalPool struct {
	ID string
	// NCPCluster is NCP's name of the cluster, the value of the tag ncp/cluster
	// on all objects that it makes: the cluster's id in vCenter, a colon, and
	// vCenter's instance UUID.
	NCPCluster  string
	VCenterUUID string
	First, Last netip.Addr
}

// IsVSphere reports whether WCP made the namespace, so that it is a vSphere
// Namespace.
func (n Namespace) IsVSphere() bool { return n.ClusterID != "" }

// Tier1Path returns the policy path of the tier-1 gateway, "" when there is
// none.
func (n Namespace) Tier1Path() string {
	if n.Tier1ID == "" {
		return ""
	}
	return "/infra/tier-1s/" + n.Tier1ID
}

// ParseNamespace reads what WCP and NCP wrote on a namespace.
func ParseNamespace(ns *corev1.Namespace) Namespace {
	n := Namespace{
		Name:         ns.Name,
		UID:          string(ns.UID),
		Labels:       ns.Labels,
		Created:      ns.CreationTimestamp.Time,
		Terminating:  ns.DeletionTimestamp != nil,
		ClusterID:    ns.Labels[labelClusterID],
		Tier1ID:      ns.Annotations[annotationRouter],
		ResourcePool: ns.Annotations[annotationResourcePool],
		Folder:       ns.Annotations[annotationFolder],
	}
	problem := func(name string) {
		n.Problems = append(n.Problems, fmt.Sprintf("%s: %q", name, ns.Annotations[name]))
	}
	if text := ns.Annotations[annotationSNAT]; text != "" {
		addr, err := netip.ParseAddr(text)
		if err != nil {
			problem(annotationSNAT)
		}
		n.SNATAddress = addr
	}
	if text := ns.Annotations[annotationExternalPool]; text != "" {
		pool, ok := parseExternalPool(text)
		if !ok {
			problem(annotationExternalPool)
		}
		n.ExternalPool = pool
	}
	n.Networks = parseNetworks(ns.Annotations, problem)
	slices.Sort(n.Problems)
	return n
}

// parseNetworks pairs ls_id-N with ncp/subnet-N.
func parseNetworks(annotations map[string]string, problem func(name string)) []Network {
	found := map[int]*Network{}
	at := func(name, prefix string) *Network {
		text, ok := strings.CutPrefix(name, prefix)
		i, err := strconv.Atoi(text)
		if !ok || err != nil || i < 0 {
			return nil
		}
		if found[i] == nil {
			found[i] = &Network{}
		}
		return found[i]
	}
	for name, value := range annotations {
		if n := at(name, prefixLogicalSwitch); n != nil {
			n.LogicalSwitchUUID = value
		}
		if n := at(name, prefixSubnet); n != nil {
			subnet, err := netip.ParsePrefix(value)
			if err != nil {
				problem(name)
			}
			n.Subnet = subnet
		}
	}
	var order []int
	for i := range found {
		order = append(order, i)
	}
	slices.Sort(order)
	var networks []Network
	for _, i := range order {
		networks = append(networks, *found[i])
	}
	return networks
}

// parseExternalPool takes apart domain-c8:<uuid>-ippool-<first>-<last>, whose
// addresses have dashes in place of dots. A pool of another name is returned
// with its name alone.
func parseExternalPool(id string) (ExternalPool, bool) {
	p := ExternalPool{ID: id}
	cluster, addresses, ok := strings.Cut(id, "-ippool-")
	if !ok {
		return p, false
	}
	if _, uuid, ok := strings.Cut(cluster, ":"); ok {
		p.NCPCluster, p.VCenterUUID = cluster, uuid
	}
	parts := strings.Split(addresses, "-")
	const octets = 4
	if len(parts) != 2*octets {
		return p, false
	}
	first, err := netip.ParseAddr(strings.Join(parts[:octets], "."))
	last, err2 := netip.ParseAddr(strings.Join(parts[octets:], "."))
	if cmp.Or(err, err2) != nil {
		return p, false
	}
	p.First, p.Last = first, last
	return p, p.NCPCluster != ""
}

// Namespaces reads the Supervisor's namespaces.
type Namespaces struct{ c *Client }

// Namespaces returns a handle for the Supervisor's namespaces.
func (c *Client) Namespaces() Namespaces { return Namespaces{c} }

// Get returns a namespace. Errors match [viaduct.ErrNotFound] when it does not
// exist, which a user without rights on it may see too, and
// [viaduct.ErrForbidden].
func (n Namespaces) Get(ctx context.Context, name string) (Namespace, error) {
	ns, err := n.c.kube.CoreV1().Namespaces().Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return Namespace{}, kubeError("get namespace", name, err)
	}
	return ParseNamespace(ns), nil
}

// List returns one page of namespaces, those of the system included; see
// [Namespace.IsVSphere]. vCenter's users may not list namespaces: the error then
// matches [viaduct.ErrForbidden], and [Login.Workloads] knows theirs.
func (n Namespaces) List(ctx context.Context, opts ListOptions) (Page[Namespace], error) {
	return n.listing().page(ctx, opts)
}

// All iterates over every namespace, fetching pages as the loop advances. An
// error is yielded once, last.
func (n Namespaces) All(ctx context.Context, opts ListOptions) iter.Seq2[Namespace, error] {
	return n.listing().all(ctx, opts)
}

func (n Namespaces) listing() listing[Namespace] {
	return listOf("list namespaces", "", n.c.kube.CoreV1().Namespaces().List,
		func(l *corev1.NamespaceList) []corev1.Namespace { return l.Items },
		func(ns *corev1.Namespace) (Namespace, bool) { return ParseNamespace(ns), true })
}
