// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package tkc

import (
	"context"
	"encoding/json"
	"errors"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/dynamic"

	"github.com/viaduct-sdk/viaduct"
)

// API is an API that has TK clusters, written as group and version.
type API string

// The APIs that this package knows, each group's newest last.
const (
	TanzuV1alpha1   API = "run.tanzu.vmware.com/v1alpha1"
	TanzuV1alpha2   API = "run.tanzu.vmware.com/v1alpha2"
	TanzuV1alpha3   API = "run.tanzu.vmware.com/v1alpha3"
	ClusterV1beta1  API = "cluster.x-k8s.io/v1beta1"
	ClusterV1beta2  API = "cluster.x-k8s.io/v1beta2"
	tanzuGroup          = "run.tanzu.vmware.com"
	clusterAPIGroup     = "cluster.x-k8s.io"
)

// preferred are the APIs of each group, the best first.
func preferred() [][]API {
	return [][]API{
		{TanzuV1alpha3, TanzuV1alpha2, TanzuV1alpha1},
		{ClusterV1beta2, ClusterV1beta1},
	}
}

func (a API) groupVersion() schema.GroupVersion {
	gv, err := schema.ParseGroupVersion(string(a))
	if err != nil {
		return schema.GroupVersion{}
	}
	return gv
}

func (a API) isTanzu() bool { return a.groupVersion().Group == tanzuGroup }

func (a API) resource() schema.GroupVersionResource {
	if a.isTanzu() {
		return a.groupVersion().WithResource("tanzukubernetesclusters")
	}
	return a.groupVersion().WithResource("clusters")
}

func (a API) kind() string {
	if a.isTanzu() {
		return "TanzuKubernetesCluster"
	}
	return "Cluster"
}

// APIs returns the APIs for TK clusters that the Supervisor has and that this
// client uses: the newest that it knows of each group, TanzuKubernetesClusters
// first. It asks the server.
//
// The error matches [viaduct.ErrUnsupported] when there is none: the Supervisor
// has no TKG service, or one that is newer than this package.
func (c *Client) APIs(ctx context.Context) ([]API, error) {
	var found []API
	for _, group := range preferred() {
		served, err := c.served(ctx, group)
		if err != nil {
			return nil, err
		}
		if len(served) > 0 {
			found = append(found, served[0])
		}
	}
	if len(found) == 0 {
		return nil, unsupported("discover APIs", "", "the server has no API for TK clusters: neither TanzuKubernetesClusters nor Clusters in a version that is known")
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.apis = slices.Clone(found)
	return found, nil
}

// served returns those of a group's APIs that the server has, in their order.
// That a group is there does not say that it has TK clusters: releases of
// Kubernetes are in it too.
func (c *Client) served(ctx context.Context, group []API) ([]API, error) {
	var listed metav1.APIGroup
	if err := c.discover(ctx, "/apis/"+group[0].groupVersion().Group, &listed); err != nil {
		return nil, ignoreNotFound(err)
	}
	var found []API
	for _, api := range group {
		version := api.groupVersion().Version
		if !slices.ContainsFunc(listed.Versions, func(v metav1.GroupVersionForDiscovery) bool { return v.Version == version }) {
			continue
		}
		var resources metav1.APIResourceList
		if err := ignoreNotFound(c.discover(ctx, "/apis/"+string(api), &resources)); err != nil {
			return nil, err
		}
		name := api.resource().Resource
		if slices.ContainsFunc(resources.APIResources, func(r metav1.APIResource) bool { return r.Name == name }) {
			found = append(found, api)
		}
	}
	return found, nil
}

func (c *Client) discover(ctx context.Context, path string, into any) error {
	body, err := c.raw.Get().AbsPath(path).Do(ctx).Raw()
	if err != nil {
		return serverError("discover APIs", path, err)
	}
	if err := json.Unmarshal(body, into); err != nil {
		return &Error{Op: "discover APIs", Object: path, Message: "the answer is not of the Kubernetes API", kind: viaduct.ErrUnavailable, err: err}
	}
	return nil
}

// rawSerializer decodes nothing but the server's errors.
func rawSerializer() runtime.NegotiatedSerializer {
	scheme := runtime.NewScheme()
	metav1.AddToGroupVersion(scheme, schema.GroupVersion{Version: "v1"})
	return serializer.NewCodecFactory(scheme).WithoutConversion()
}

// use calls f with the APIs that the server has. When f finds that one of them
// has gone since, it is called again with what there is now.
func (c *Client) use(ctx context.Context, f func(apis []API) error) error {
	c.mu.Lock()
	apis := slices.Clone(c.apis)
	c.mu.Unlock()
	if apis != nil {
		err := f(apis)
		if !isUnserved(err) {
			return err
		}
	}
	apis, err := c.APIs(ctx)
	if err != nil {
		return err
	}
	return f(apis)
}

// isUnserved reports whether the server said that it has no such resource at
// all, rather than no such object.
func isUnserved(err error) bool {
	return apierrors.IsNotFound(err) && apierrors.HasStatusCause(err, metav1.CauseTypeUnexpectedServerResponse)
}

func ignoreNotFound(err error) error {
	if errors.Is(err, viaduct.ErrNotFound) {
		return nil
	}
	return err
}

func (c *Client) objects(api API, namespace string) dynamic.ResourceInterface {
	resource := c.dynamic.Resource(api.resource())
	if namespace == "" {
		return resource
	}
	return resource.Namespace(namespace)
}
