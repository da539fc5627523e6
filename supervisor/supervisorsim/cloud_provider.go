// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package supervisorsim

import (
	"context"
	"crypto/md5" //nolint:gosec // the name that the cloud provider gives
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"sync"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"
)

const (
	// cloudFinalizer is that of Kubernetes' service controller, in which the
	// cloud provider runs.
	cloudFinalizer = "service.kubernetes.io/load-balancer-cleanup"

	fieldManagerCloud = "cloud-controller-manager"
)

// cloudProvider is the paravirtual cloud provider of one TK cluster: it makes a
// VirtualMachineService of each LoadBalancer Service there.
type cloudProvider struct {
	t        *tkg
	cluster  types.NamespacedName
	owner    metav1.OwnerReference
	kube     kubernetes.Interface
	services corelisters.ServiceLister
	factory  informers.SharedInformerFactory
	queue    *controller
	stop     context.CancelFunc
	done     sync.WaitGroup
}

// serve runs the cloud provider of a TK cluster, unless it runs already. It ends
// with the guest.
func (v *vmOperator) serve(g *guest, kube kubernetes.Interface, r *request) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.cloud != nil {
		return nil
	}
	c := &cloudProvider{
		t: v.t, cluster: r.name, kube: kube, owner: ownerReference(r.kind, r.primary),
		factory: informers.NewSharedInformerFactory(kube, v.t.cfg.Resync),
	}
	c.queue = newController("guest service", v.t.cfg.Logger, c.reconcile)
	c.services = c.factory.Core().V1().Services().Lister()
	informer := c.factory.Core().V1().Services().Informer()
	if err := v.t.quiet(informer); err != nil {
		return err
	}
	if err := onChange(informer, func(o object) { c.look(types.NamespacedName{Namespace: o.GetNamespace(), Name: o.GetName()}) }); err != nil {
		return err
	}
	ctx, stop := context.WithCancel(klog.NewContext(v.t.life, klog.Logger{}))
	c.stop = stop
	c.factory.StartWithContext(ctx)
	c.done.Go(func() {
		if cache.WaitForCacheSync(ctx.Done(), informer.HasSynced) {
			c.queue.run(ctx, 1)
		}
	})
	g.cloud = c
	return nil
}

func (c *cloudProvider) close() {
	c.stop()
	c.done.Wait()
	c.factory.Shutdown()
}

func (c *cloudProvider) look(service types.NamespacedName) {
	c.queue.queue.Add(objectKey{NamespacedName: service})
}

// vmServiceName is the name that the cloud provider gives to a Service's
// VirtualMachineService (cloud-provider-vsphere, vsphereparavirtual/vmservice).
func vmServiceName(cluster string, service types.NamespacedName, sha bool) string {
	text := []byte(service.Name + "." + service.Namespace)
	var sum []byte
	if sha {
		s := sha256.Sum256(text)
		sum = s[:]
	} else {
		s := md5.Sum(text) //nolint:gosec // the name that the cloud provider gives
		sum = s[:]
	}
	const length = 21
	return cluster + "-" + hex.EncodeToString(sum)[:length]
}

func (c *cloudProvider) reconcile(ctx context.Context, key objectKey) error {
	svc, err := c.services.Services(key.Namespace).Get(key.Name)
	if err != nil {
		return c.withdraw(ctx, key.NamespacedName)
	}
	svc = svc.DeepCopy()
	if svc.Spec.Type != corev1.ServiceTypeLoadBalancer || svc.Spec.LoadBalancerClass != nil || svc.DeletionTimestamp != nil {
		if !slices.Contains(svc.Finalizers, cloudFinalizer) {
			return nil
		}
		if err := c.withdraw(ctx, key.NamespacedName); err != nil {
			return err
		}
		return c.release(ctx, svc)
	}
	if err := c.hold(ctx, svc); err != nil {
		return err
	}
	vms, err := c.ensure(ctx, svc)
	if err != nil {
		return fmt.Errorf("supervisorsim: service %s of tk cluster %s: %w", key.NamespacedName, c.cluster, err)
	}
	return c.copyStatus(ctx, svc, vms)
}

func (c *cloudProvider) hold(ctx context.Context, svc *corev1.Service) error {
	if slices.Contains(svc.Finalizers, cloudFinalizer) {
		return nil
	}
	return c.setFinalizers(ctx, svc, append(svc.Finalizers, cloudFinalizer))
}

// release takes the Service's status back, and lets it go.
func (c *cloudProvider) release(ctx context.Context, svc *corev1.Service) error {
	if err := c.setStatus(ctx, svc, nil); err != nil {
		return err
	}
	rest := slices.DeleteFunc(slices.Clone(svc.Finalizers), func(f string) bool { return f == cloudFinalizer })
	return c.setFinalizers(ctx, svc, rest)
}

func (c *cloudProvider) setFinalizers(ctx context.Context, svc *corev1.Service, finalizers []string) error {
	return c.patch(ctx, svc, map[string]any{"metadata": map[string]any{
		"uid": svc.UID, "resourceVersion": svc.ResourceVersion, "finalizers": finalizers,
	}})
}

func (c *cloudProvider) setStatus(ctx context.Context, svc *corev1.Service, addresses []string) error {
	if slices.Equal(ingressAddresses(svc), addresses) {
		return nil
	}
	ingress := []map[string]string{}
	for _, a := range addresses {
		ingress = append(ingress, map[string]string{"ip": a})
	}
	return c.patch(ctx, svc, map[string]any{
		"metadata": map[string]any{"uid": svc.UID},
		"status":   map[string]any{"loadBalancer": map[string]any{"ingress": ingress}},
	}, "status")
}

func (c *cloudProvider) patch(ctx context.Context, svc *corev1.Service, change map[string]any, subresources ...string) error {
	data, err := json.Marshal(change)
	if err != nil {
		return err
	}
	updated, err := c.kube.CoreV1().Services(svc.Namespace).Patch(ctx, svc.Name, types.MergePatchType, data,
		metav1.PatchOptions{FieldManager: fieldManagerCloud}, subresources...)
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err == nil {
		svc.ResourceVersion = updated.ResourceVersion
	}
	return err
}

// withdraw deletes the VirtualMachineServices of a Service.
func (c *cloudProvider) withdraw(ctx context.Context, service types.NamespacedName) error {
	client := c.t.dynamic.Resource(vmServiceKind().stored()).Namespace(c.cluster.Namespace)
	for _, sha := range []bool{false, true} {
		err := client.Delete(ctx, vmServiceName(c.cluster.Name, service, sha), metav1.DeleteOptions{})
		if ignoreGone(err) != nil {
			return err
		}
	}
	return nil
}

// ensure makes the VirtualMachineService of a Service.
func (c *cloudProvider) ensure(ctx context.Context, svc *corev1.Service) (*unstructured.Unstructured, error) {
	service := types.NamespacedName{Namespace: svc.Namespace, Name: svc.Name}
	want := newVMService(c.cluster.Namespace, vmServiceName(c.cluster.Name, service, c.t.cfg.TKG.HashSHA256), c.cluster.Name)
	l := want.GetLabels()
	l[labelGuestService], l[labelGuestServiceNS] = svc.Name, svc.Namespace
	want.SetLabels(l)
	want.SetOwnerReferences([]metav1.OwnerReference{c.owner})
	if svc.Spec.ExternalTrafficPolicy == corev1.ServiceExternalTrafficPolicyLocal {
		want.SetAnnotations(map[string]string{
			annotationVMS + "service.externalTrafficPolicy": string(svc.Spec.ExternalTrafficPolicy),
			annotationVMS + "service.healthCheckNodePort":   fmt.Sprint(svc.Spec.HealthCheckNodePort),
		})
	}
	want.Object["spec"] = vmServiceSpec(svc, c.cluster.Name)
	client := c.t.dynamic.Resource(vmServiceKind().stored()).Namespace(c.cluster.Namespace)
	have, err := client.Get(ctx, want.GetName(), metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return client.Create(ctx, want, metav1.CreateOptions{FieldManager: fieldManagerCloud})
	}
	if err != nil || reflect.DeepEqual(have.Object["spec"], want.Object["spec"]) {
		return have, err
	}
	have.Object["spec"] = want.Object["spec"]
	return client.Update(ctx, have, metav1.UpdateOptions{FieldManager: fieldManagerCloud})
}

func vmServiceSpec(svc *corev1.Service, cluster string) map[string]any {
	ports := make([]any, 0, len(svc.Spec.Ports))
	for _, p := range svc.Spec.Ports {
		ports = append(ports, map[string]any{
			"name": p.Name, "protocol": string(p.Protocol), "port": int64(p.Port), "targetPort": int64(p.NodePort),
		})
	}
	spec := map[string]any{
		"type": "LoadBalancer", "ports": ports,
		"selector": map[string]any{selectorCluster: cluster, selectorRole: roleNode},
	}
	if svc.Spec.LoadBalancerIP != "" {
		spec["loadBalancerIP"] = svc.Spec.LoadBalancerIP
	}
	if len(svc.Spec.LoadBalancerSourceRanges) > 0 {
		var ranges []any
		for _, r := range svc.Spec.LoadBalancerSourceRanges {
			ranges = append(ranges, r)
		}
		spec["loadBalancerSourceRanges"] = ranges
	}
	return spec
}

// copyStatus says on the Service what address its VirtualMachineService has.
func (c *cloudProvider) copyStatus(ctx context.Context, svc *corev1.Service, vms *unstructured.Unstructured) error {
	ingress, _, _ := unstructured.NestedSlice(vms.Object, "status", "loadBalancer", "ingress")
	var addresses []string
	for _, i := range ingress {
		if m, ok := i.(map[string]any); ok {
			if ip, ok := m["ip"].(string); ok {
				addresses = append(addresses, ip)
			}
		}
	}
	return c.setStatus(ctx, svc, addresses)
}
