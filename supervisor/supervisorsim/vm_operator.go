// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package supervisorsim

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// What ties a VirtualMachineService to what it is for.
const (
	labelGuestCluster   = "run.tanzu.vmware.com/cluster.name"
	labelGuestService   = "run.tanzu.vmware.com/service.name"
	labelGuestServiceNS = "run.tanzu.vmware.com/service.namespace"

	selectorCluster = "capv.vmware.com/cluster.name"
	selectorRole    = "capv.vmware.com/cluster.role"
	roleNode        = "node"
	roleControl     = "controlplane"

	annotationVirtualNetwork = "ncp.vmware.com/virtual-network-name"

	fieldManagerVM = "vm-operator"
	annotationVMS  = "virtualmachineservice.vmoperator.vmware.com/"
)

// vmOperator makes of each VirtualMachineService a Service without selector and
// its Endpoints, for NCP to balance.
type vmOperator struct {
	t     *tkg
	queue *controller
}

// vmService is a VirtualMachineService as far as this package reads it.
type vmService struct {
	Spec struct {
		Type     string            `json:"type"`
		Ports    []vmServicePort   `json:"ports"`
		Selector map[string]string `json:"selector,omitempty"`
		Address  string            `json:"loadBalancerIP,omitempty"`
		Sources  []string          `json:"loadBalancerSourceRanges,omitempty"`
	} `json:"spec"`
	Status struct {
		LoadBalancer corev1.LoadBalancerStatus `json:"loadBalancer"`
	} `json:"status"`
}

type vmServicePort struct {
	Name       string `json:"name"`
	Protocol   string `json:"protocol"`
	Port       int32  `json:"port"`
	TargetPort int32  `json:"targetPort"`
}

func newVMOperator(t *tkg) *vmOperator {
	v := &vmOperator{t: t}
	v.queue = newController("virtual machine service", t.cfg.Logger, v.reconcile)
	return v
}

func (v *vmOperator) subscribe() error {
	informer := v.t.informer(vmServiceKind())
	if err := v.t.quiet(informer); err != nil {
		return err
	}
	return v.queue.watch(informer, v.tellGuest)
}

// serviceChanged has the VirtualMachineService of a Service looked at again.
func (v *vmOperator) serviceChanged(o object) {
	vms := v.t.object(vmServiceKind(), types.NamespacedName{Namespace: o.GetNamespace(), Name: o.GetName()})
	if vms != nil {
		v.queue.queue.Add(keyOf(vms))
	}
}

// tellGuest has the cloud provider look again at the Service of its cluster that
// a VirtualMachineService was made for.
func (v *vmOperator) tellGuest(o object) {
	u, ok := o.(*unstructured.Unstructured)
	if !ok {
		return
	}
	l := u.GetLabels()
	g := v.t.guest(types.NamespacedName{Namespace: u.GetNamespace(), Name: l[labelGuestCluster]})
	if g == nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.cloud != nil {
		g.cloud.look(types.NamespacedName{Namespace: l[labelGuestServiceNS], Name: l[labelGuestService]})
	}
}

func (v *vmOperator) reconcile(ctx context.Context, key objectKey) error {
	u := v.t.object(vmServiceKind(), key.NamespacedName)
	if u == nil || u.GetUID() != key.uid || u.GetDeletionTimestamp() != nil {
		return v.removeService(ctx, key)
	}
	var vms vmService
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, &vms); err != nil {
		v.t.cfg.Logger.Debug("ignored", "kind", v.queue.kind, "object", key.String(), "error", err)
		return nil
	}
	svc, err := v.ensureService(ctx, u, vms)
	if err != nil {
		return fmt.Errorf("supervisorsim: virtual machine service %s: %w", key.NamespacedName, err)
	}
	if err := v.ensureEndpoints(ctx, u, vms); err != nil {
		return fmt.Errorf("supervisorsim: virtual machine service %s: %w", key.NamespacedName, err)
	}
	return v.copyStatus(ctx, u, vms, svc)
}

// removeService deletes the Service of a VirtualMachineService that is gone; it
// takes its Endpoints along by their owner, or here.
func (v *vmOperator) removeService(ctx context.Context, key objectKey) error {
	svc, err := v.t.view.services.Services(key.Namespace).Get(key.Name)
	if err != nil || !ownedBy(svc.OwnerReferences, key.uid) {
		return nil //nolint:nilerr // not there, or not ours: nothing to do
	}
	core := v.t.kube.CoreV1()
	err = core.Services(key.Namespace).Delete(ctx, key.Name, metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &svc.UID}})
	if ignoreGone(err) != nil {
		return err
	}
	return ignoreGone(core.Endpoints(key.Namespace).Delete(ctx, key.Name, metav1.DeleteOptions{}))
}

func ownedBy(refs []metav1.OwnerReference, uid types.UID) bool {
	return slices.ContainsFunc(refs, func(r metav1.OwnerReference) bool { return r.UID == uid })
}

// ensureService makes the Service of the same name.
func (v *vmOperator) ensureService(ctx context.Context, u *unstructured.Unstructured, vms vmService) (*corev1.Service, error) {
	no := false
	want := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: u.GetNamespace(), Name: u.GetName(), Labels: u.GetLabels(), Annotations: u.GetAnnotations(),
			OwnerReferences: []metav1.OwnerReference{ownerReference(vmServiceKind(), u)},
		},
		Spec: corev1.ServiceSpec{
			Type: corev1.ServiceType(vms.Spec.Type), LoadBalancerIP: vms.Spec.Address, LoadBalancerSourceRanges: vms.Spec.Sources,
			Ports: servicePorts(vms.Spec.Ports),
		},
	}
	if want.Spec.Type == corev1.ServiceTypeLoadBalancer {
		want.Spec.AllocateLoadBalancerNodePorts = &no
	}
	client := v.t.kube.CoreV1().Services(u.GetNamespace())
	have, err := client.Get(ctx, u.GetName(), metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return client.Create(ctx, want, metav1.CreateOptions{FieldManager: fieldManagerVM})
	}
	if err != nil {
		return nil, err
	}
	if !ownedBy(have.OwnerReferences, u.GetUID()) {
		return nil, fmt.Errorf("a Service of that name is there that is not its own")
	}
	if sameSpec(have, want) {
		return have, nil
	}
	have.Spec.Ports, have.Spec.Type = want.Spec.Ports, want.Spec.Type
	have.Spec.LoadBalancerIP, have.Spec.LoadBalancerSourceRanges = want.Spec.LoadBalancerIP, want.Spec.LoadBalancerSourceRanges
	return client.Update(ctx, have, metav1.UpdateOptions{FieldManager: fieldManagerVM})
}

func servicePorts(ports []vmServicePort) []corev1.ServicePort {
	all := make([]corev1.ServicePort, 0, len(ports))
	for _, p := range ports {
		all = append(all, corev1.ServicePort{
			Name: p.Name, Protocol: protocolOf(corev1.Protocol(p.Protocol)), Port: p.Port, TargetPort: intstr.FromInt32(p.TargetPort),
		})
	}
	return all
}

func sameSpec(have, want *corev1.Service) bool {
	ports := slices.Clone(have.Spec.Ports)
	for i := range ports {
		ports[i].NodePort = 0
	}
	return reflect.DeepEqual(ports, want.Spec.Ports) && have.Spec.Type == want.Spec.Type &&
		have.Spec.LoadBalancerIP == want.Spec.LoadBalancerIP &&
		slices.Equal(have.Spec.LoadBalancerSourceRanges, want.Spec.LoadBalancerSourceRanges)
}

// ensureEndpoints writes the addresses of the VMs that the selector selects:
// nodes of a TK cluster.
func (v *vmOperator) ensureEndpoints(ctx context.Context, u *unstructured.Unstructured, vms vmService) error {
	want := endpointsOf(u, vms, v.addresses(u.GetNamespace(), vms.Spec.Selector))
	client := v.t.kube.CoreV1().Endpoints(u.GetNamespace())
	have, err := client.Get(ctx, u.GetName(), metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		_, err = client.Create(ctx, want, metav1.CreateOptions{FieldManager: fieldManagerVM})
		return err
	}
	if err != nil || reflect.DeepEqual(have.Subsets, want.Subsets) {
		return err
	}
	have.Subsets = want.Subsets
	_, err = client.Update(ctx, have, metav1.UpdateOptions{FieldManager: fieldManagerVM})
	return err
}

func endpointsOf(u *unstructured.Unstructured, vms vmService, addresses []string) *corev1.Endpoints { //nolint:staticcheck // what vm-operator writes
	e := &corev1.Endpoints{ //nolint:staticcheck // what vm-operator writes
		ObjectMeta: metav1.ObjectMeta{
			Namespace: u.GetNamespace(), Name: u.GetName(), Labels: u.GetLabels(),
			OwnerReferences: []metav1.OwnerReference{ownerReference(vmServiceKind(), u)},
		},
	}
	if len(addresses) == 0 {
		return e
	}
	var s corev1.EndpointSubset //nolint:staticcheck // what vm-operator writes
	for _, a := range addresses {
		s.Addresses = append(s.Addresses, corev1.EndpointAddress{IP: a})
	}
	for _, p := range vms.Spec.Ports {
		s.Ports = append(s.Ports, corev1.EndpointPort{Name: p.Name, Port: p.TargetPort, Protocol: protocolOf(corev1.Protocol(p.Protocol))})
	}
	slices.SortFunc(s.Ports, func(a, b corev1.EndpointPort) int { return int(a.Port - b.Port) })
	e.Subsets = append(e.Subsets, s)
	return e
}

// addresses are those of the VMs in the namespace with these labels.
func (v *vmOperator) addresses(namespace string, selector map[string]string) []string {
	g := v.t.guest(types.NamespacedName{Namespace: namespace, Name: selector[selectorCluster]})
	if g == nil {
		return nil
	}
	return g.addresses(selector[selectorRole] == roleNode)
}

// copyStatus says on the VirtualMachineService what address its Service has.
func (v *vmOperator) copyStatus(ctx context.Context, u *unstructured.Unstructured, vms vmService, svc *corev1.Service) error {
	ingress := []map[string]string{}
	for _, i := range svc.Status.LoadBalancer.Ingress {
		ingress = append(ingress, map[string]string{"ip": i.IP})
	}
	var have []string
	for _, i := range vms.Status.LoadBalancer.Ingress {
		have = append(have, i.IP)
	}
	if slices.Equal(have, ingressAddresses(svc)) {
		return nil
	}
	patch, err := json.Marshal(map[string]any{
		"metadata": map[string]any{"uid": u.GetUID()},
		"status":   map[string]any{"loadBalancer": map[string]any{"ingress": ingress}},
	})
	if err != nil {
		return err
	}
	_, err = v.t.dynamic.Resource(vmServiceKind().stored()).Namespace(u.GetNamespace()).
		Patch(ctx, u.GetName(), types.MergePatchType, patch, metav1.PatchOptions{FieldManager: fieldManagerVM}, "status")
	return ignoreGone(err)
}

// removeCluster deletes the VirtualMachineServices of a TK cluster.
func (v *vmOperator) removeCluster(ctx context.Context, name types.NamespacedName) error {
	client := v.t.dynamic.Resource(vmServiceKind().stored()).Namespace(name.Namespace)
	selector := labels.Set{labelGuestCluster: name.Name}.String()
	list, err := client.List(ctx, metav1.ListOptions{LabelSelector: selector})
	if err != nil {
		return ignoreGone(err)
	}
	for i := range list.Items {
		if err := ignoreGone(client.Delete(ctx, list.Items[i].GetName(), metav1.DeleteOptions{})); err != nil {
			return err
		}
	}
	return nil
}

// ensureControlPlaneService makes the VirtualMachineService that balances a TK
// cluster's API servers.
func (t *tkg) ensureControlPlaneService(ctx context.Context, r *request) error {
	want := newVMService(r.name.Namespace, r.name.Name+"-control-plane-service", r.name.Name)
	want.SetAnnotations(map[string]string{annotationVirtualNetwork: virtualNetworkName(r.name.Name)})
	want.SetOwnerReferences([]metav1.OwnerReference{ownerReference(r.kind, r.primary)})
	want.Object["spec"] = map[string]any{
		"type":     "LoadBalancer",
		"selector": map[string]any{selectorCluster: r.name.Name, selectorRole: roleControl},
		"ports":    []any{map[string]any{"name": "apiserver", "protocol": "TCP", "port": int64(6443), "targetPort": int64(6443)}},
	}
	_, err := t.dynamic.Resource(vmServiceKind().stored()).Namespace(r.name.Namespace).Create(ctx, want, metav1.CreateOptions{FieldManager: fieldManagerTKG})
	if apierrors.IsAlreadyExists(err) {
		return nil
	}
	return err
}

func newVMService(namespace, name, cluster string) *unstructured.Unstructured {
	u := &unstructured.Unstructured{Object: map[string]any{}}
	u.SetGroupVersionKind(vmServiceKind().gvk())
	u.SetNamespace(namespace)
	u.SetName(name)
	u.SetLabels(map[string]string{labelGuestCluster: cluster})
	return u
}
