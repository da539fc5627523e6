// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package tkc

import (
	"cmp"
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/viaduct-sdk/viaduct"
)

const fieldManager = "viaduct"

// Spec is what a new TK cluster is to be: what all APIs have in common. For
// anything else, create the object with a client of your own.
type Spec struct {
	Namespace, Name string
	Labels          map[string]string

	// Version is the Kubernetes release, such as v1.26.5+vmware.2-fips.1-tkg.1.
	// v1alpha1 also takes the beginning of one, "v1.21".
	Version string
	// VMClass and StorageClass are the defaults of all nodes, such as
	// "best-effort-small" and the name of a storage policy.
	VMClass, StorageClass string
	// ControlPlane is how many nodes the control plane has: 1, which zero means,
	// or 3.
	ControlPlane int
	Pools        []PoolSpec
	Network      Network

	// API to use. Empty means a TanzuKubernetesCluster where the server has
	// them, a Cluster otherwise, in the newest version that is known.
	API API
	// Class is the ClusterClass of a Cluster: "tanzukubernetescluster" unless
	// another is named. Other APIs have none.
	Class string
}

// PoolSpec is a group of workers to be. Empty classes mean those of the [Spec].
type PoolSpec struct {
	Name                  string
	Replicas              int
	VMClass, StorageClass string
}

// Create asks for a new TK cluster and returns it as it begins; [Client.WaitReady]
// waits for it.
//
// Errors match [viaduct.ErrExists] when there is a TK cluster of that name, under
// whichever API; [viaduct.ErrInvalid] when the spec is incomplete or the server
// refuses it; [viaduct.ErrUnsupported] when the server lacks the API, or the API
// can't express the spec.
func (c *Client) Create(ctx context.Context, spec Spec) (Cluster, error) {
	const op = "create cluster"
	key := types.NamespacedName{Namespace: spec.Namespace, Name: spec.Name}
	if err := spec.validate(); err != nil {
		return Cluster{}, err
	}
	api, err := c.apiFor(ctx, spec.API)
	if err != nil {
		return Cluster{}, err
	}
	// Under the other API the server would not object, and make one of the two.
	switch _, err := c.get(ctx, op, key); {
	case err == nil:
		return Cluster{}, &Error{Op: op, Object: key.String(), Message: "there is one already", kind: viaduct.ErrExists}
	case !errors.Is(err, viaduct.ErrNotFound):
		return Cluster{}, err
	}
	o, err := spec.object(api)
	if err != nil {
		return Cluster{}, err
	}
	made, err := c.objects(api, spec.Namespace).Create(ctx, o, metav1.CreateOptions{FieldManager: fieldManager})
	if err != nil {
		return Cluster{}, serverError(op, key.String(), err)
	}
	return viewOf(made), nil
}

// apiFor returns the API to write with, if the server has it.
func (c *Client) apiFor(ctx context.Context, want API) (API, error) {
	if want == "" {
		var api API
		err := c.use(ctx, func(apis []API) error {
			api = apis[0]
			return nil
		})
		return api, err
	}
	for _, group := range preferred() {
		if !slices.Contains(group, want) {
			continue
		}
		served, err := c.served(ctx, group)
		if err != nil {
			return "", err
		}
		if slices.Contains(served, want) {
			return want, nil
		}
		return "", unsupported("create cluster", string(want), "the server does not have this API")
	}
	return "", invalid("create cluster", string(want), "this is no API for TK clusters")
}

func (s Spec) validate() error {
	key := types.NamespacedName{Namespace: s.Namespace, Name: s.Name}.String()
	var missing []string
	for name, value := range map[string]string{
		"Namespace": s.Namespace, "Name": s.Name, "Version": s.Version, "VMClass": s.VMClass, "StorageClass": s.StorageClass,
	} {
		if value == "" {
			missing = append(missing, name)
		}
	}
	if len(missing) > 0 {
		slices.Sort(missing)
		return invalid("create cluster", key, "the spec lacks "+strings.Join(missing, ", "))
	}
	if s.ControlPlane < 0 {
		return invalid("create cluster", key, "a control plane can't have fewer nodes than none")
	}
	seen := map[string]bool{}
	for _, pool := range s.Pools {
		if pool.Name == "" || seen[pool.Name] || pool.Replicas < 0 {
			return invalid("create cluster", key, "each pool needs a name of its own and a number of workers")
		}
		seen[pool.Name] = true
	}
	return nil
}

func (s Spec) object(api API) (*unstructured.Unstructured, error) {
	var spec map[string]any
	switch api {
	case TanzuV1alpha1:
		if len(s.Pools) > 1 {
			return nil, unsupported("create cluster", s.Namespace+"/"+s.Name, "v1alpha1 has one pool of workers only")
		}
		spec = s.tanzuV1alpha1()
	case TanzuV1alpha2, TanzuV1alpha3:
		spec = s.tanzu()
	default:
		if s.Network.CNI != "" {
			return nil, unsupported("create cluster", s.Namespace+"/"+s.Name, "the CNI of a Cluster is that of its ClusterBootstrap")
		}
		spec = s.clusterAPI(api)
	}
	o := &unstructured.Unstructured{Object: map[string]any{"spec": spec}}
	o.SetAPIVersion(string(api))
	o.SetKind(api.kind())
	o.SetNamespace(s.Namespace)
	o.SetName(s.Name)
	if len(s.Labels) > 0 {
		o.SetLabels(s.Labels)
	}
	return o, nil
}

func (s Spec) tanzuV1alpha1() map[string]any {
	nodes := func(count int, vmClass, storageClass string) map[string]any {
		return map[string]any{"count": int64(count), "class": cmp.Or(vmClass, s.VMClass), "storageClass": cmp.Or(storageClass, s.StorageClass)}
	}
	topology := map[string]any{"controlPlane": nodes(max(1, s.ControlPlane), "", "")}
	for _, pool := range s.Pools {
		topology["workers"] = nodes(pool.Replicas, pool.VMClass, pool.StorageClass)
	}
	field := "version"
	if strings.Contains(s.Version, "+") {
		field = "fullVersion"
	}
	spec := map[string]any{"topology": topology, "distribution": map[string]any{field: s.Version}}
	s.addSettings(spec)
	return spec
}

func (s Spec) tanzu() map[string]any {
	// Releases are objects, whose names can't have a plus sign.
	release := map[string]any{"reference": map[string]any{"name": strings.ReplaceAll(s.Version, "+", "---")}}
	topology := map[string]any{"controlPlane": map[string]any{
		"replicas": int64(max(1, s.ControlPlane)), "vmClass": s.VMClass, "storageClass": s.StorageClass, "tkr": release,
	}}
	pools := make([]any, 0, len(s.Pools))
	for _, pool := range s.Pools {
		pools = append(pools, map[string]any{
			"name": pool.Name, "replicas": int64(pool.Replicas),
			"vmClass": cmp.Or(pool.VMClass, s.VMClass), "storageClass": cmp.Or(pool.StorageClass, s.StorageClass),
		})
	}
	if len(pools) > 0 {
		topology["nodePools"] = pools
	}
	spec := map[string]any{"topology": topology}
	s.addSettings(spec)
	return spec
}

// addSettings adds the network of a TanzuKubernetesCluster.
func (s Spec) addSettings(spec map[string]any) {
	network := s.Network.object()
	if s.Network.CNI != "" {
		network["cni"] = map[string]any{"name": s.Network.CNI}
	}
	if len(network) > 0 {
		spec["settings"] = map[string]any{"network": network}
	}
}

func (n Network) object() map[string]any {
	network := map[string]any{}
	for name, prefixes := range map[string][]netip.Prefix{"pods": n.Pods, "services": n.Services} {
		blocks := make([]any, 0, len(prefixes))
		for _, p := range prefixes {
			blocks = append(blocks, p.String())
		}
		if len(blocks) > 0 {
			network[name] = map[string]any{"cidrBlocks": blocks}
		}
	}
	if n.Domain != "" {
		network["serviceDomain"] = n.Domain
	}
	return network
}

func (s Spec) clusterAPI(api API) map[string]any {
	pools := make([]any, 0, len(s.Pools))
	for _, pool := range s.Pools {
		machines := map[string]any{"class": "node-pool", "name": pool.Name, "replicas": int64(pool.Replicas)}
		if own := variables(pool.VMClass, pool.StorageClass); len(own) > 0 {
			machines["variables"] = map[string]any{"overrides": own}
		}
		pools = append(pools, machines)
	}
	topology := map[string]any{
		"version":      s.Version,
		"controlPlane": map[string]any{"replicas": int64(max(1, s.ControlPlane))},
		"variables":    variables(s.VMClass, s.StorageClass),
	}
	if len(pools) > 0 {
		topology["workers"] = map[string]any{"machineDeployments": pools}
	}
	class := cmp.Or(s.Class, "tanzukubernetescluster")
	if api == ClusterV1beta2 {
		topology["classRef"] = map[string]any{"name": class}
	} else {
		topology["class"] = class
	}
	spec := map[string]any{"topology": topology}
	if network := s.Network.object(); len(network) > 0 {
		spec["clusterNetwork"] = network
	}
	return spec
}

func variables(vmClass, storageClass string) []any {
	var all []any
	for _, v := range [][2]string{{"vmClass", vmClass}, {"storageClass", storageClass}} {
		if v[1] != "" {
			all = append(all, map[string]any{"name": v[0], "value": v[1]})
		}
	}
	return all
}
