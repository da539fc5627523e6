// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package bridge

import (
	"context"
	"errors"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/dynamic"

	"github.com/viaduct-sdk/viaduct"
)

// Apply writes and never decides: it carries out the steps of a plan in their
// order and stops at the first that fails. Each write is bound to what the plan
// saw, so that an object that changed in between is a conflict and stays as it
// is.

// absentVersion makes a server-side apply create and never change. An API
// server compares a resource version in the request with that of the stored
// object and ignores it when there is none; no stored object has version 1,
// which etcd gives to an empty store.
const absentVersion = "1"

// attempts is how often a plan that met a conflict is made anew.
const attempts = 5

// reconcile plans and applies, again from the start when something changed
// between the two. It returns the steps that were done, in a dry run those that
// would be, and the objects that the last attempt wrote.
func (c *Cluster) reconcile(ctx context.Context, o *commonOptions, plan func(context.Context) (Plan, error)) (Plan, written, error) {
	var done Plan
	for attempt := 1; ; attempt++ {
		p, err := plan(ctx)
		if err != nil || o.dryRun {
			return p, nil, err
		}
		w, err := c.apply(ctx, p, o)
		var failed *ApplyError
		if errors.As(err, &failed) {
			p.Steps = failed.Done
		}
		done.Steps = append(done.Steps, p.Steps...)
		if err == nil || attempt == attempts || !errors.Is(err, viaduct.ErrConflict) {
			return done, w, err
		}
	}
}

// written holds the objects that apply wrote, as the server returned them.
type written map[ObjectRef]*unstructured.Unstructured

func (c *Cluster) apply(ctx context.Context, p Plan, o *commonOptions) (written, error) {
	w := make(written, len(p.Steps))
	for i, step := range p.Steps {
		if err := c.step(ctx, step, w, o); err != nil {
			return w, &ApplyError{Done: p.Steps[:i], Failed: step, Pending: p.Steps[i+1:], Err: err}
		}
		o.report(step.Object, string(step.Action)+"d: "+step.Reason)
	}
	return w, nil
}

// step carries out a step at the server that it is for.
func (c *Cluster) step(ctx context.Context, s Step, w written, o *commonOptions) error {
	if s.Object.APIVersion == nsxAPI {
		return c.firewall.do(ctx, s, w, func(state string) { o.report(s.Object, state) })
	}
	return kubeError(c.do(ctx, s, w))
}

func (c *Cluster) do(ctx context.Context, s Step, w written) error {
	client := c.resource(s.Object.APIVersion, s.Object.Kind, s.Object.Namespace)
	if s.Action == ActionDelete {
		background := metav1.DeletePropagationBackground
		err := client.Delete(ctx, s.Object.Name, metav1.DeleteOptions{
			Preconditions:     &metav1.Preconditions{UID: &s.uid, ResourceVersion: &s.resourceVersion},
			PropagationPolicy: &background,
		})
		if apierrors.IsNotFound(err) {
			return nil // somebody was faster
		}
		return err
	}
	obj := s.After.DeepCopy()
	adoptByOwner(obj, s.Object, w)
	if s.Action == ActionCreate {
		obj.SetResourceVersion(absentVersion)
	} else {
		obj.SetUID(s.uid)
		obj.SetResourceVersion(s.resourceVersion)
	}
	stored, err := client.Apply(ctx, s.Object.Name, obj, metav1.ApplyOptions{FieldManager: fieldManager, Force: true})
	if apierrors.IsUnsupportedMediaType(err) {
		stored, err = write(ctx, client, s, obj)
	}
	if err != nil {
		return err
	}
	w[s.Object] = stored
	return nil
}

// write creates or updates on servers without server-side apply: the wanted
// fields are laid over the object that was observed.
func write(ctx context.Context, client dynamic.ResourceInterface, s Step, obj *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	if s.Action == ActionCreate {
		obj.SetResourceVersion("")
		stored, err := client.Create(ctx, obj, metav1.CreateOptions{FieldManager: fieldManager})
		if apierrors.IsAlreadyExists(err) {
			err = &statusError{viaduct.ErrConflict, err} // it was absent when it was observed
		}
		return stored, err
	}
	whole := &unstructured.Unstructured{Object: overlay(s.live.Object, s.Before.Object, obj.Object)}
	return client.Update(ctx, whole, metav1.UpdateOptions{FieldManager: fieldManager})
}

// overlay returns live with the fields of before taken away and those of after
// laid on. Lists are taken as one; an empty map takes the place of any.
func overlay(live, before, after map[string]any) map[string]any {
	merged := make(map[string]any, len(live))
	for k, have := range live {
		was, wasOurs := before[k]
		want, isOurs := after[k]
		haveMap, isMap := have.(map[string]any)
		wasMap, _ := was.(map[string]any)
		wantMap, _ := want.(map[string]any)
		switch {
		case isMap && (wasOurs || isOurs) && (!isOurs || len(wantMap) > 0):
			merged[k] = overlay(haveMap, wasMap, wantMap)
		case isOurs:
			merged[k] = want
		case !wasOurs:
			merged[k] = have
		}
	}
	for k, want := range after {
		if _, has := live[k]; !has {
			merged[k] = want
		}
	}
	return merged
}

// adoptByOwner fills in the UID of owners that an earlier step created.
func adoptByOwner(obj *unstructured.Unstructured, ref ObjectRef, w written) {
	owners := obj.GetOwnerReferences()
	for i, o := range owners {
		if o.UID != "" {
			continue
		}
		created, ok := w[ObjectRef{Cluster: ref.Cluster, APIVersion: o.APIVersion, Kind: o.Kind, Namespace: ref.Namespace, Name: o.Name}]
		if ok {
			owners[i].UID = created.GetUID()
		}
	}
	if len(owners) > 0 {
		obj.SetOwnerReferences(owners)
	}
}
