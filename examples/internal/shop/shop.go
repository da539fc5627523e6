// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

// Package shop is the ACME Fitness shop's data services: what the examples
// export.
package shop

import (
	"context"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// Service is a data service of the shop.
type Service struct {
	Name  string
	Image string
	Port  int32
	Type  corev1.ServiceType
}

// Services returns the shop's five data services. One is a load balancer
// already, as some are in real clusters.
func Services() []Service {
	return []Service{
		{"cart-redis", "redis:7", 6379, corev1.ServiceTypeClusterIP},
		{"catalog-mongo", "mongo:4", 27017, corev1.ServiceTypeClusterIP},
		{"order-postgres", "postgres:14", 5432, corev1.ServiceTypeLoadBalancer},
		{"users-mongo", "mongo:4", 27017, corev1.ServiceTypeClusterIP},
		{"users-redis", "redis:7", 6379, corev1.ServiceTypeClusterIP},
	}
}

// label marks what the examples make, so that nothing else is deleted.
const label = "viaduct-example"

// Create makes a pod and a Service for each of the services. What is there
// already stays as it is.
func Create(ctx context.Context, config *rest.Config, namespace string, services []Service) error {
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	for _, s := range services {
		_, err := client.CoreV1().Pods(namespace).Create(ctx, s.pod(), metav1.CreateOptions{})
		if err != nil && !apierrors.IsAlreadyExists(err) {
			return fmt.Errorf("pod of %s: %w", s.Name, err)
		}
		_, err = client.CoreV1().Services(namespace).Create(ctx, s.service(), metav1.CreateOptions{})
		if err != nil && !apierrors.IsAlreadyExists(err) {
			return fmt.Errorf("service %s: %w", s.Name, err)
		}
	}
	return nil
}

// CreateOne makes the service of that name.
func CreateOne(ctx context.Context, config *rest.Config, namespace, name string) error {
	for _, s := range Services() {
		if s.Name == name {
			return Create(ctx, config, namespace, []Service{s})
		}
	}
	return fmt.Errorf("the shop has no service %s", name)
}

// Delete removes what Create made.
func Delete(ctx context.Context, config *rest.Config, namespace string) error {
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	ours := metav1.ListOptions{LabelSelector: label}
	services, err := client.CoreV1().Services(namespace).List(ctx, ours)
	if err != nil {
		return err
	}
	var failed []error
	for _, s := range services.Items {
		failed = append(failed, ignoreNotFound(client.CoreV1().Services(namespace).Delete(ctx, s.Name, metav1.DeleteOptions{})))
	}
	failed = append(failed, client.CoreV1().Pods(namespace).DeleteCollection(ctx, metav1.DeleteOptions{}, ours))
	return errors.Join(failed...)
}

func ignoreNotFound(err error) error {
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

func (s Service) labels() map[string]string { return map[string]string{"app": s.Name, label: "shop"} }

func (s Service) pod() *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: s.Name + "-0", Labels: s.labels()},
		Spec: corev1.PodSpec{Containers: []corev1.Container{{
			Name: "main", Image: s.Image, Ports: []corev1.ContainerPort{{Name: "data", ContainerPort: s.Port}},
		}}},
	}
}

func (s Service) service() *corev1.Service {
	return &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: s.Name, Labels: map[string]string{label: "shop"}},
		Spec: corev1.ServiceSpec{
			Type:     s.Type,
			Selector: map[string]string{"app": s.Name},
			Ports:    []corev1.ServicePort{{Name: "data", Port: s.Port, TargetPort: intstr.FromString("data")}},
		},
	}
}
