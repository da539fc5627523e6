// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package bridge

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	applycorev1 "k8s.io/client-go/applyconfigurations/core/v1"
	applydiscoveryv1 "k8s.io/client-go/applyconfigurations/discovery/v1"
	"k8s.io/client-go/dynamic"

	"github.com/viaduct-sdk/viaduct"
)

// The kinds that the bridge writes.
const (
	kindNamespace     = "Namespace"
	kindService       = "Service"
	kindEndpointSlice = "EndpointSlice"
	kindEndpoints     = "Endpoints"
	kindNetworkPolicy = "NetworkPolicy"
)

// service is an observed Service.
type service struct {
	object
	*corev1.Service
}

// resource returns the client of a kind in a namespace.
func (c *Cluster) resource(apiVersion, kind, namespace string) dynamic.ResourceInterface {
	gv, err := schema.ParseGroupVersion(apiVersion)
	if err != nil {
		gv = schema.GroupVersion{Version: apiVersion} // refused by the server, by name
	}
	gvr, _ := meta.UnsafeGuessKindToResource(gv.WithKind(kind))
	if kind == kindEndpoints {
		gvr.Resource = "endpoints"
	}
	if namespace == "" {
		return c.objects.Resource(gvr)
	}
	return c.objects.Resource(gvr).Namespace(namespace)
}

// getService reads a Service. An absent one has a nil object and is no error.
func (c *Cluster) getService(ctx context.Context, key types.NamespacedName) (service, error) {
	live, err := c.resource("v1", kindService, key.Namespace).Get(ctx, key.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return service{}, nil
	}
	if err != nil {
		return service{}, kubeError(err)
	}
	return serviceOf(live)
}

func serviceOf(live *unstructured.Unstructured) (service, error) {
	var typed corev1.Service
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(live.Object, &typed); err != nil {
		return service{}, fmt.Errorf("decode Service %s: %w", key(live), err)
	}
	ours, err := applycorev1.ExtractService(&typed, fieldManager)
	if err != nil {
		return service{}, fmt.Errorf("read the managed fields of Service %s: %w", key(live), err)
	}
	managed, err := render(ours)
	return service{object{live, managed}, &typed}, err
}

// listBackends returns what holds endpoints under a Service's name.
func (c *Cluster) listBackends(ctx context.Context, of types.NamespacedName, api endpointsAPI) ([]object, error) {
	if api == endpointsOfCore {
		live, err := c.resource(string(api), kindEndpoints, of.Namespace).Get(ctx, of.Name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return nil, nil
		}
		if err != nil {
			return nil, kubeError(err)
		}
		endpoints, err := endpointsOf(live)
		return []object{endpoints}, err
	}
	list, err := c.resource(string(api), kindEndpointSlice, of.Namespace).List(ctx, metav1.ListOptions{
		LabelSelector: discoveryv1.LabelServiceName + "=" + of.Name,
	})
	if err != nil {
		return nil, kubeError(err)
	}
	found := make([]object, 0, len(list.Items))
	for i := range list.Items {
		b, err := backendOf(&list.Items[i])
		if err != nil {
			return nil, err
		}
		found = append(found, b)
	}
	return found, nil
}

// sliceOf reads the managed fields of a slice. Version v1beta1 differs from v1 in
// nothing that Viaduct writes.
func sliceOf(live *unstructured.Unstructured) (object, error) {
	var typed discoveryv1.EndpointSlice
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(live.Object, &typed); err != nil {
		return object{}, fmt.Errorf("decode EndpointSlice %s: %w", key(live), err)
	}
	ours, err := applydiscoveryv1.ExtractEndpointSlice(&typed, fieldManager)
	if err != nil {
		return object{}, fmt.Errorf("read the managed fields of EndpointSlice %s: %w", key(live), err)
	}
	managed, err := render(ours.WithAPIVersion(live.GetAPIVersion()))
	return object{live, managed}, err
}

func endpointsOf(live *unstructured.Unstructured) (object, error) {
	var typed corev1.Endpoints //nolint:staticcheck // deprecated since 1.33, and all that clusters before 1.17 have
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(live.Object, &typed); err != nil {
		return object{}, fmt.Errorf("decode Endpoints %s: %w", key(live), err)
	}
	ours, err := applycorev1.ExtractEndpoints(&typed, fieldManager)
	if err != nil {
		return object{}, fmt.Errorf("read the managed fields of Endpoints %s: %w", key(live), err)
	}
	managed, err := render(ours)
	return object{live, managed}, err
}

// namespaceMissing reports whether the namespace is known not to exist. Who may
// not read namespaces does not know.
func (c *Cluster) namespaceMissing(ctx context.Context, name string) (bool, error) {
	_, err := c.resource("v1", kindNamespace, "").Get(ctx, name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return true, nil
	case err == nil, apierrors.IsForbidden(err):
		return false, nil
	default:
		return false, kubeError(err)
	}
}

// render turns an apply configuration into the form that plans hold.
func render(applyConfiguration any) (*unstructured.Unstructured, error) {
	fields, err := runtime.DefaultUnstructuredConverter.ToUnstructured(applyConfiguration)
	if err != nil {
		return nil, fmt.Errorf("render: %w", err)
	}
	return &unstructured.Unstructured{Object: fields}, nil
}

// equal compares two rendered objects; the order of a Service's ports and of
// owners means nothing to the API server.
func equal(a, b *unstructured.Unstructured) bool {
	return equality.Semantic.DeepEqual(canonical(a.Object), canonical(b.Object))
}

// canonical copies a value with every list of objects in one order.
func canonical(value any) any {
	switch v := value.(type) {
	case map[string]any:
		c := make(map[string]any, len(v))
		for k, field := range v {
			if m, isMap := field.(map[string]any); !isMap || len(m) > 0 {
				c[k] = canonical(field) // the API server stores no empty maps
			}
		}
		return c
	case []any:
		c := make([]any, len(v))
		for i, item := range v {
			c[i] = canonical(item)
		}
		slices.SortStableFunc(c, func(a, b any) int { return compareText(a, b) })
		return c
	default:
		return v
	}
}

// compareText orders values by how they print; maps print sorted by key.
func compareText(a, b any) int {
	at, bt := fmt.Sprint(a), fmt.Sprint(b)
	switch {
	case at < bt:
		return -1
	case at > bt:
		return 1
	default:
		return 0
	}
}

func key(obj metav1.Object) types.NamespacedName {
	return types.NamespacedName{Namespace: obj.GetNamespace(), Name: obj.GetName()}
}

// statusError adds the sentinel of package viaduct to an error of an API server.
type statusError struct{ sentinel, err error }

func (e *statusError) Error() string   { return e.err.Error() }
func (e *statusError) Unwrap() []error { return []error{e.sentinel, e.err} }

// sentinels maps the reasons of an API server's Status.
func sentinels() map[metav1.StatusReason]error {
	return map[metav1.StatusReason]error{
		metav1.StatusReasonNotFound:              viaduct.ErrNotFound,
		metav1.StatusReasonAlreadyExists:         viaduct.ErrExists,
		metav1.StatusReasonConflict:              viaduct.ErrConflict,
		metav1.StatusReasonInvalid:               viaduct.ErrInvalid,
		metav1.StatusReasonBadRequest:            viaduct.ErrInvalid,
		metav1.StatusReasonUnauthorized:          viaduct.ErrUnauthenticated,
		metav1.StatusReasonForbidden:             viaduct.ErrForbidden,
		metav1.StatusReasonTooManyRequests:       viaduct.ErrRateLimited,
		metav1.StatusReasonMethodNotAllowed:      viaduct.ErrUnsupported,
		metav1.StatusReasonUnsupportedMediaType:  viaduct.ErrUnsupported,
		metav1.StatusReasonTimeout:               viaduct.ErrUnavailable,
		metav1.StatusReasonServerTimeout:         viaduct.ErrUnavailable,
		metav1.StatusReasonServiceUnavailable:    viaduct.ErrUnavailable,
		metav1.StatusReasonInternalError:         viaduct.ErrUnavailable,
		metav1.StatusReasonUnknown:               viaduct.ErrUnavailable,
		metav1.StatusReasonRequestEntityTooLarge: viaduct.ErrInvalid,
	}
}

// kubeError gives an error of client-go a sentinel. What is not a Status comes
// from the way to the server.
func kubeError(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	}
	var status apierrors.APIStatus
	if !errors.As(err, &status) {
		return &statusError{viaduct.ErrUnavailable, err}
	}
	if uidMismatch(status.Status()) || status.Status().Code == http.StatusPreconditionFailed {
		return &statusError{viaduct.ErrConflict, err}
	}
	if sentinel, ok := sentinels()[status.Status().Reason]; ok {
		return &statusError{sentinel, err}
	}
	return &statusError{viaduct.ErrInvalid, err}
}

// uidMismatch recognises how an API server says that the object bound by UID
// was replaced: the UID is an immutable field.
func uidMismatch(status metav1.Status) bool {
	return status.Details != nil && slices.ContainsFunc(status.Details.Causes, func(c metav1.StatusCause) bool {
		return c.Field == "metadata.uid"
	})
}
