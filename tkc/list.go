// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package tkc

import (
	"cmp"
	"context"
	"iter"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"

	"github.com/viaduct-sdk/viaduct"
)

// ListOptions narrow a list or a watch down. The zero value means all clusters
// of all namespaces, or of those that [WithNamespaces] names.
type ListOptions struct {
	// Namespace of the clusters.
	Namespace string
	// LabelSelector in the syntax of Kubernetes: "team=web". A cluster that the
	// Supervisor has under two APIs is found if it fits under one of them.
	LabelSelector string
}

// Get returns the TK cluster of this name. namespace may be empty where only one
// of the namespaces has a cluster of that name.
//
// Errors match [viaduct.ErrNotFound] when there is none, and
// [viaduct.ErrInvalid] when the name is ambiguous; Candidates of the [*Error] has
// those that it may mean.
func (c *Client) Get(ctx context.Context, namespace, name string) (Cluster, error) {
	const op = "get cluster"
	if name == "" {
		return Cluster{}, invalid(op, namespace, "it has no name")
	}
	if namespace == "" {
		return c.find(ctx, name)
	}
	key := types.NamespacedName{Namespace: namespace, Name: name}
	p, err := c.get(ctx, op, key)
	if err != nil {
		return Cluster{}, err
	}
	return p.view(), nil
}

// get returns what there is of a name; not an empty pair without an error.
func (c *Client) get(ctx context.Context, op string, key types.NamespacedName) (pair, error) {
	var p pair
	err := c.use(ctx, func(apis []API) error {
		p = pair{}
		for _, api := range apis {
			o, err := c.objects(api, key.Namespace).Get(ctx, key.Name, metav1.GetOptions{})
			switch {
			case err == nil:
				p.set(api, o)
			case !apierrors.IsNotFound(err) || isUnserved(err):
				return serverError(op, key.String(), err)
			}
		}
		return nil
	})
	if err == nil && p.isEmpty() {
		err = &Error{Op: op, Object: key.String(), Message: "there is none", kind: viaduct.ErrNotFound}
	}
	return p, err
}

func (p *pair) set(api API, o *unstructured.Unstructured) {
	if api.isTanzu() {
		p.tanzu = o
	} else {
		p.cluster = o
	}
}

func (c *Client) find(ctx context.Context, name string) (Cluster, error) {
	all, err := c.List(ctx, ListOptions{})
	if err != nil {
		return Cluster{}, err
	}
	all = slices.DeleteFunc(all, func(cluster Cluster) bool { return cluster.Name != name })
	switch len(all) {
	case 1:
		return all[0], nil
	case 0:
		return Cluster{}, &Error{Op: "get cluster", Object: name, Message: "there is none in any namespace", kind: viaduct.ErrNotFound}
	}
	e := &Error{Op: "get cluster", Object: name, kind: viaduct.ErrInvalid}
	names := make([]string, len(all))
	for i, cluster := range all {
		e.Candidates = append(e.Candidates, cluster.Key())
		names[i] = cluster.Namespace
	}
	e.Message = "the name is ambiguous: there is one in each of the namespaces " + strings.Join(names, ", ")
	return Cluster{}, e
}

// All iterates over the TK clusters, by namespace and name. What the Supervisor
// has under two APIs is joined, so that everything is fetched when the loop
// begins. The sequence may be ranged over again, and fetches again.
//
// It yields at most one error, last; which ones see [Client.List].
func (c *Client) All(ctx context.Context, opts ListOptions) iter.Seq2[Cluster, error] {
	return func(yield func(Cluster, error) bool) {
		all, err := c.List(ctx, opts)
		if err != nil {
			yield(Cluster{}, err)
			return
		}
		for _, cluster := range all {
			if !yield(cluster, nil) {
				return
			}
		}
	}
}

// List returns the TK clusters, by namespace and name. It returns all of them and
// not a page: a Supervisor has hundreds at most, and those that it has under two
// APIs could not be told otherwise.
//
// Errors match [viaduct.ErrForbidden] when the user may not list across all
// namespaces, see [WithNamespaces]; [viaduct.ErrUnsupported] when the server has
// no TK clusters.
func (c *Client) List(ctx context.Context, opts ListOptions) ([]Cluster, error) {
	namespaces, err := c.namespaces(ctx, opts.Namespace)
	if err != nil {
		return nil, err
	}
	var pairs map[types.NamespacedName]pair
	err = c.use(ctx, func(apis []API) error {
		pairs = map[types.NamespacedName]pair{}
		for _, api := range apis {
			for _, namespace := range namespaces {
				items, _, err := listAll(ctx, c.objects(api, namespace), metav1.ListOptions{LabelSelector: opts.LabelSelector})
				if err != nil {
					return listError("list clusters", namespace, err)
				}
				for i := range items {
					key := keyOf(&items[i])
					p := pairs[key]
					p.set(api, &items[i])
					pairs[key] = p
				}
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	all := make([]Cluster, 0, len(pairs))
	for _, p := range pairs {
		all = append(all, p.view())
	}
	slices.SortFunc(all, func(a, b Cluster) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	return all, nil
}

func keyOf(o *unstructured.Unstructured) types.NamespacedName {
	return types.NamespacedName{Namespace: o.GetNamespace(), Name: o.GetName()}
}

// namespaces are those to look in; one that is empty stands for all.
func (c *Client) namespaces(ctx context.Context, given string) ([]string, error) {
	if given != "" || c.opts.namespaces == nil {
		return []string{given}, nil
	}
	names, err := c.opts.namespaces(ctx)
	if err != nil {
		return nil, &Error{Op: "list namespaces", err: err}
	}
	names = slices.Clone(names)
	slices.Sort(names)
	return slices.Compact(names), nil
}

// listAll returns the objects of all pages, and the version of the list.
func listAll(ctx context.Context, objects dynamic.ResourceInterface, opts metav1.ListOptions) ([]unstructured.Unstructured, string, error) {
	const pageSize = 500
	opts.Limit = pageSize
	var all []unstructured.Unstructured
	restarted := false
	for {
		list, err := objects.List(ctx, opts)
		if apierrors.IsResourceExpired(err) && !restarted {
			// The pages are too old to go on with. Once more, all in one.
			restarted, all = true, nil
			opts.Limit, opts.Continue = 0, ""
			continue
		}
		if err != nil {
			return nil, "", err
		}
		all = append(all, list.Items...)
		if opts.Continue = list.GetContinue(); opts.Continue == "" {
			return all, list.GetResourceVersion(), nil
		}
	}
}
