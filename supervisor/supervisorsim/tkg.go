// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package supervisorsim

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/dynamic/dynamicinformer"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"

	"github.com/viaduct-sdk/viaduct"
)

// ClusterProvider starts the API servers that stand behind TK clusters. Its
// methods are called again after a failure, and from several goroutines.
type ClusterProvider interface {
	// StartCluster returns how to reach the API server of a TK cluster as a
	// cluster administrator. It starts it unless it runs already.
	StartCluster(ctx context.Context, namespace, name string) (*rest.Config, error)
	// StopCluster ends it. It does nothing when there is none.
	StopCluster(ctx context.Context, namespace, name string) error
}

// TKGConfig describes the TKG service. Without Clusters there is none, and none
// of its APIs.
type TKGConfig struct {
	Clusters ClusterProvider
	// APIs are the APIs for TK clusters that the Supervisor serves: of
	// run.tanzu.vmware.com v1alpha1, v1alpha2, v1alpha3, of cluster.x-k8s.io
	// v1beta1, v1beta2. Nil: those of vSphere 8, see [VSphere8].
	APIs []string
	// HashSHA256 makes the cloud provider name VirtualMachineServices as its
	// version 1.37 does; earlier ones use MD5.
	HashSHA256 bool
}

// VSphere7 returns the APIs for TK clusters of vSphere 7.0.
func VSphere7() []string { return []string{tkcGroup + "/v1alpha1"} }

// VSphere7U3 returns the APIs for TK clusters of vSphere 7.0 Update 3.
func VSphere7U3() []string { return append(VSphere7(), tkcGroup+"/v1alpha2") }

// VSphere8 returns the APIs for TK clusters of vSphere 8.0.
func VSphere8() []string { return append(VSphere7U3(), tkcGroup+"/v1alpha3", capiGroup+"/v1beta1") }

// VSphere9 returns the APIs for TK clusters of vSphere 9, where a Cluster is all
// there is.
func VSphere9() []string { return []string{capiGroup + "/v1beta1", capiGroup + "/v1beta2"} }

func (c TKGConfig) withDefaults() (TKGConfig, error) {
	if c.Clusters == nil {
		return c, nil
	}
	if c.APIs == nil {
		c.APIs = VSphere8()
	}
	known := append(VSphere8(), VSphere9()...)
	for _, api := range c.APIs {
		if !slices.Contains(known, api) {
			return c, fmt.Errorf("supervisorsim: API %q of TK clusters: %w", api, viaduct.ErrInvalid)
		}
	}
	if len(c.APIs) == 0 {
		return c, fmt.Errorf("supervisorsim: a TKG service without API: %w", viaduct.ErrInvalid)
	}
	return c, nil
}

// tkg is the TKG service: it makes TK clusters of TanzuKubernetesCluster and
// Cluster objects.
type tkg struct {
	cfg     Config
	kube    kubernetes.Interface
	dynamic dynamic.Interface
	nets    *networks
	view    view
	wcp     *WCP
	vms     *vmOperator

	tkcs, clusters resourceKind
	factory        dynamicinformer.DynamicSharedInformerFactory
	queue          *controller

	// life is the context of what runs as long as the simulator does.
	life   context.Context
	mu     sync.Mutex
	guests map[types.NamespacedName]*guest
}

func newTKG(s *Simulator) *tkg {
	t := &tkg{
		cfg: s.cfg, kube: s.kube, dynamic: s.dynamic, nets: s.nets, view: s.view, wcp: s.wcp,
		tkcs: tkcKind(s.cfg.TKG.APIs), clusters: clusterKind(s.cfg.TKG.APIs),
		factory: dynamicinformer.NewDynamicSharedInformerFactory(s.dynamic, s.cfg.Resync),
		guests:  map[types.NamespacedName]*guest{},
	}
	t.queue = newController("tk cluster", s.cfg.Logger, t.reconcile)
	t.vms = newVMOperator(t)
	return t
}

// define makes the API server serve the TKG service's kinds.
func (t *tkg) define(ctx context.Context) error {
	for _, k := range []resourceKind{t.tkcs, t.clusters, vmServiceKind(), virtualNetworkKind()} {
		if !k.served() {
			continue
		}
		if err := define(ctx, t.dynamic, k); err != nil {
			return err
		}
	}
	return nil
}

func (t *tkg) informer(k resourceKind) cache.SharedIndexInformer {
	return t.factory.ForResource(k.stored()).Informer()
}

// informers are those that the TKG service needs. They are run one by one, so
// that what they log goes where the rest goes.
func (t *tkg) informers() []cache.SharedIndexInformer {
	var all []cache.SharedIndexInformer
	for _, k := range []resourceKind{t.tkcs, t.clusters, vmServiceKind()} {
		if k.served() {
			all = append(all, t.informer(k))
		}
	}
	return all
}

func (t *tkg) subscribe() error {
	for _, k := range []resourceKind{t.tkcs, t.clusters} {
		if !k.served() {
			continue
		}
		if err := t.quiet(t.informer(k)); err != nil {
			return err
		}
		err := onChange(t.informer(k), func(o object) {
			t.queue.queue.Add(objectKey{NamespacedName: types.NamespacedName{Namespace: o.GetNamespace(), Name: o.GetName()}})
		})
		if err != nil {
			return err
		}
	}
	return t.vms.subscribe()
}

func (t *tkg) quiet(informer cache.SharedIndexInformer) error {
	return informer.SetWatchErrorHandlerWithContext(func(_ context.Context, _ *cache.Reflector, err error) {
		t.cfg.Logger.Debug("watch ended", "error", err)
	})
}

// object returns the object of the kind, or nil. It may be changed.
func (t *tkg) object(k resourceKind, name types.NamespacedName) *unstructured.Unstructured {
	if !k.served() {
		return nil
	}
	o, err := t.factory.ForResource(k.stored()).Lister().ByNamespace(name.Namespace).Get(name.Name)
	if err != nil {
		return nil
	}
	u, ok := o.(*unstructured.Unstructured)
	if !ok {
		return nil
	}
	return u.DeepCopy()
}

// The finalizers that keep the objects until their cluster is gone.
const (
	tkcFinalizer     = "tanzukubernetescluster.run.tanzu.vmware.com"
	clusterFinalizer = "cluster.cluster.x-k8s.io"
)

func finalizerOf(k resourceKind) string {
	if k.group == tkcGroup {
		return tkcFinalizer
	}
	return clusterFinalizer
}

// request is a TK cluster to be: the object that a user made, and the Cluster
// that comes with a TanzuKubernetesCluster where both are served.
type request struct {
	name    types.NamespacedName
	kind    resourceKind
	primary *unstructured.Unstructured
	cluster *unstructured.Unstructured
}

// lookup finds what is asked for under a name; nil when nothing is.
func (t *tkg) lookup(name types.NamespacedName) *request {
	r := &request{name: name, kind: t.tkcs, primary: t.object(t.tkcs, name), cluster: t.object(t.clusters, name)}
	if r.primary == nil {
		r.kind, r.primary = t.clusters, r.cluster
	}
	if r.primary == nil {
		return nil
	}
	return r
}

func (t *tkg) reconcile(ctx context.Context, key objectKey) error {
	r := t.lookup(key.NamespacedName)
	if r == nil {
		return t.tearDown(ctx, key.NamespacedName)
	}
	if err := t.advance(ctx, r); err != nil {
		return fmt.Errorf("supervisorsim: tk cluster %s: %w", key.NamespacedName, err)
	}
	return nil
}

// advance brings the TK cluster closer to what is asked for.
func (t *tkg) advance(ctx context.Context, r *request) error {
	if r.primary.GetDeletionTimestamp() != nil {
		return t.remove(ctx, r)
	}
	if err := t.hold(ctx, r.kind, r.primary); err != nil {
		return err
	}
	if err := t.accompany(ctx, r); err != nil {
		return err
	}
	switch hold := r.primary.GetAnnotations()[AnnotationHold]; {
	case hold == "":
	case strings.HasPrefix(hold, HoldFailed):
		message := strings.TrimPrefix(strings.TrimPrefix(hold, HoldFailed), ":")
		return t.report(ctx, r, clusterState{phase: phaseFailed, message: message})
	default:
		return t.report(ctx, r, clusterState{phase: phaseCreating, message: "it is held"})
	}
	g, err := t.provide(ctx, r)
	if err != nil {
		return err
	}
	return t.report(ctx, r, clusterState{phase: phaseRunning, guest: g})
}

// hold puts the finalizer on an object.
func (t *tkg) hold(ctx context.Context, k resourceKind, o *unstructured.Unstructured) error {
	finalizer := finalizerOf(k)
	if slices.Contains(o.GetFinalizers(), finalizer) {
		return nil
	}
	o.SetFinalizers(append(o.GetFinalizers(), finalizer))
	updated, err := t.dynamic.Resource(k.stored()).Namespace(o.GetNamespace()).Update(ctx, o, metav1.UpdateOptions{FieldManager: fieldManagerTKG})
	if err == nil {
		o.Object = updated.Object
	}
	return err
}

// accompany makes the Cluster of a TanzuKubernetesCluster, where Clusters are
// served.
func (t *tkg) accompany(ctx context.Context, r *request) error {
	if r.kind.group != tkcGroup || !t.clusters.served() {
		return nil
	}
	if r.cluster != nil {
		return t.hold(ctx, t.clusters, r.cluster)
	}
	c := &unstructured.Unstructured{Object: map[string]any{"spec": map[string]any{
		"topology": map[string]any{"class": "tanzukubernetescluster", "version": versionOf(r.primary)},
	}}}
	c.SetGroupVersionKind(t.clusters.gvk())
	c.SetNamespace(r.name.Namespace)
	c.SetName(r.name.Name)
	c.SetLabels(map[string]string{labelGuestCluster: r.name.Name})
	c.SetFinalizers([]string{clusterFinalizer})
	c.SetOwnerReferences([]metav1.OwnerReference{ownerReference(r.kind, r.primary)})
	made, err := t.dynamic.Resource(t.clusters.stored()).Namespace(r.name.Namespace).Create(ctx, c, metav1.CreateOptions{FieldManager: fieldManagerTKG})
	r.cluster = made
	return err
}

func ownerReference(k resourceKind, o *unstructured.Unstructured) metav1.OwnerReference {
	yes := true
	gvk := k.gvk()
	return metav1.OwnerReference{
		APIVersion: gvk.GroupVersion().String(), Kind: gvk.Kind, Name: o.GetName(), UID: o.GetUID(),
		Controller: &yes, BlockOwnerDeletion: &yes,
	}
}

// remove takes the TK cluster away, and then lets its objects go.
func (t *tkg) remove(ctx context.Context, r *request) error {
	if err := t.report(ctx, r, clusterState{phase: phaseDeleting}); err != nil {
		return err
	}
	if err := t.tearDown(ctx, r.name); err != nil {
		return err
	}
	if r.cluster != nil && r.kind.group == tkcGroup {
		if err := t.drop(ctx, t.clusters, r.cluster); err != nil {
			return err
		}
	}
	return t.drop(ctx, r.kind, r.primary)
}

// drop lets an object go, and deletes it if nobody has yet.
func (t *tkg) drop(ctx context.Context, k resourceKind, o *unstructured.Unstructured) error {
	client := t.dynamic.Resource(k.stored()).Namespace(o.GetNamespace())
	live, err := client.Get(ctx, o.GetName(), metav1.GetOptions{})
	if err != nil || live.GetUID() != o.GetUID() {
		return ignoreGone(err)
	}
	if live.GetDeletionTimestamp() == nil {
		uid := live.GetUID()
		err := client.Delete(ctx, o.GetName(), metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &uid}})
		if ignoreGone(err) != nil {
			return err
		}
		if live, err = client.Get(ctx, o.GetName(), metav1.GetOptions{}); err != nil {
			return ignoreGone(err)
		}
	}
	live.SetFinalizers(slices.DeleteFunc(live.GetFinalizers(), func(f string) bool { return f == finalizerOf(k) }))
	_, err = client.Update(ctx, live, metav1.UpdateOptions{FieldManager: fieldManagerTKG})
	return ignoreGone(err)
}

// close ends the endpoints of all TK clusters. The API servers behind them are
// the provider's, and stay.
func (t *tkg) close() {
	t.mu.Lock()
	guests := t.guests
	t.guests = map[types.NamespacedName]*guest{}
	t.mu.Unlock()
	for _, g := range guests {
		g.close()
	}
}
