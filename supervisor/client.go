// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"context"
	"fmt"
	"iter"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	kuberest "k8s.io/client-go/rest"

	"github.com/viaduct-sdk/viaduct"
	"github.com/viaduct-sdk/viaduct/internal/page"
)

// Client reads a Supervisor through its Kubernetes API. It is immutable and safe
// for concurrent use.
type Client struct {
	kube    kubernetes.Interface
	dynamic dynamic.Interface
}

// NewClient returns a client for the Supervisor that config reaches: that of a
// [Login], or any other. config is copied. It does no I/O.
//
// An error matches [viaduct.ErrInvalid].
func NewClient(config *kuberest.Config) (*Client, error) {
	if config == nil {
		return nil, fmt.Errorf("supervisor: %w: no config", viaduct.ErrInvalid)
	}
	c := kuberest.CopyConfig(config)
	if c.QPS == 0 {
		c.QPS, c.Burst = 50, 100
	}
	client, err := kuberest.HTTPClientFor(c)
	if err != nil {
		return nil, fmt.Errorf("supervisor: %w: %w", viaduct.ErrInvalid, err)
	}
	kube, err := kubernetes.NewForConfigAndClient(c, client)
	if err != nil {
		return nil, fmt.Errorf("supervisor: %w: %w", viaduct.ErrInvalid, err)
	}
	dyn, err := dynamic.NewForConfigAndClient(c, client)
	if err != nil {
		return nil, fmt.Errorf("supervisor: %w: %w", viaduct.ErrInvalid, err)
	}
	return NewClientFor(kube, dyn), nil
}

// NewClientFor returns a client that works through those of the caller. dynamic
// may be nil where no VirtualMachineServices are read.
func NewClientFor(kube kubernetes.Interface, dynamic dynamic.Interface) *Client {
	return &Client{kube: kube, dynamic: dynamic}
}

// ListOptions narrow a list down. The zero value lists everything.
type ListOptions struct {
	// LabelSelector in the syntax of Kubernetes: "app=redis,tier!=web".
	LabelSelector string
	// PageSize is the most objects that are fetched at once: 500 when zero.
	PageSize int64
	// Cursor is the Next of the page before; empty for the first.
	Cursor string
}

// Page is one page of a list. An empty Next means that it is the last.
type Page[T any] = page.Page[T]

func (o ListOptions) kube() metav1.ListOptions {
	const size = 500
	limit := o.PageSize
	if limit == 0 {
		limit = size
	}
	return metav1.ListOptions{LabelSelector: o.LabelSelector, Limit: limit, Continue: o.Cursor}
}

// listing fetches a page of one kind of object and makes views of its items.
type listing[T any] func(ctx context.Context, opts metav1.ListOptions) (items []T, next string, err error)

func (l listing[T]) page(ctx context.Context, opts ListOptions) (Page[T], error) {
	items, next, err := l(ctx, opts.kube())
	return Page[T]{Items: items, Next: next}, err
}

func (l listing[T]) all(ctx context.Context, opts ListOptions) iter.Seq2[T, error] {
	return page.Seq(func(cursor string) (Page[T], error) {
		from := opts
		if cursor != "" {
			from.Cursor = cursor
		}
		return l.page(ctx, from)
	})
}

// list is what the typed lists of Kubernetes have in common.
type list interface {
	runtime.Object
	metav1.ListInterface
}

// listOf makes a listing of a typed client's List and of a view of its items.
func listOf[L list, I, T any](op, namespace string, fetch func(context.Context, metav1.ListOptions) (L, error), items func(L) []I, view func(*I) (T, bool)) listing[T] {
	return func(ctx context.Context, opts metav1.ListOptions) ([]T, string, error) {
		l, err := fetch(ctx, opts)
		if err != nil {
			return nil, "", kubeError(op, namespace, err)
		}
		all := items(l)
		views := make([]T, 0, len(all))
		for i := range all {
			if v, ok := view(&all[i]); ok {
				views = append(views, v)
			}
		}
		return views, l.GetContinue(), nil
	}
}
