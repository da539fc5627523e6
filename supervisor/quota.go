// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"cmp"
	"context"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// Quota is how much of one resource a namespace may use, and uses.
type Quota struct {
	// Name of the ResourceQuota, and Resource that it limits:
	// "limits.cpu", "requests.storage".
	Name, Resource string
	Hard, Used     resource.Quantity
}

// Quotas returns the resource quotas of a namespace, sorted by name and
// resource; none when the namespace has no limits.
func (n Namespaces) Quotas(ctx context.Context, namespace string) ([]Quota, error) {
	lists := listOf("list resource quotas", namespace, n.c.kube.CoreV1().ResourceQuotas(namespace).List,
		func(l *corev1.ResourceQuotaList) []corev1.ResourceQuota { return l.Items },
		func(q *corev1.ResourceQuota) ([]Quota, bool) { return quotas(q), true })
	var all []Quota
	for q, err := range lists.all(ctx, ListOptions{}) {
		if err != nil {
			return nil, err
		}
		all = append(all, q...)
	}
	slices.SortFunc(all, func(a, b Quota) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Resource, b.Resource))
	})
	return all, nil
}

func quotas(q *corev1.ResourceQuota) []Quota {
	hard := q.Status.Hard
	if len(hard) == 0 {
		hard = q.Spec.Hard // nobody has counted yet
	}
	all := make([]Quota, 0, len(hard))
	for name, quantity := range hard {
		all = append(all, Quota{Name: q.Name, Resource: string(name), Hard: quantity, Used: q.Status.Used[name]})
	}
	return all
}
