// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package supervisor_test

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/viaduct-sdk/viaduct/supervisor"
	"github.com/viaduct-sdk/viaduct/supervisor/supervisorsim"
)

func ExampleLogin_Workloads() {
	ctx := context.Background()
	sim, err := supervisorsim.NewWCP(supervisorsim.WCPConfig{
		Namespaces: func() []string { return []string{"acme-app", "acme-data"} },
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer sim.Close()

	login, err := supervisor.NewLogin(sim.URL(),
		supervisor.PasswordAuth(supervisorsim.DefaultUser, supervisorsim.DefaultPassword),
		supervisor.WithHTTPClient(sim.Client()))
	if err != nil {
		fmt.Println(err)
		return
	}
	workloads, err := login.Workloads(ctx)
	for _, w := range workloads {
		fmt.Println(w.Namespace, w.Server)
	}
	fmt.Println(err)
	// Output:
	// acme-app supervisor.sim
	// acme-data supervisor.sim
	// <nil>
}

func ExampleServices_All() {
	redis := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "acme-data", Name: "cart-redis",
			Annotations: map[string]string{"ncp/internal_ip_for_policy": "100.64.112.13"},
		},
		Spec: corev1.ServiceSpec{Type: corev1.ServiceTypeLoadBalancer},
		Status: corev1.ServiceStatus{LoadBalancer: corev1.LoadBalancerStatus{
			Ingress: []corev1.LoadBalancerIngress{{IP: "192.168.30.65"}, {IP: "100.64.112.13"}},
		}},
	}
	mongo := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "acme-data", Name: "users-mongo",
			Annotations: map[string]string{"ncp/error.loadbalancer": "IP_POOL_EXHAUSTED"},
		},
		Spec: corev1.ServiceSpec{Type: corev1.ServiceTypeLoadBalancer},
	}
	client := supervisor.NewClientFor(fake.NewClientset(redis, mongo), nil)

	for svc, err := range client.Services("acme-data").All(context.Background(), supervisor.ListOptions{}) {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(svc.Name, svc.VIPs, svc.Errors)
	}
	// Output:
	// cart-redis [192.168.30.65] []
	// users-mongo [] [loadbalancer: IP_POOL_EXHAUSTED]
}

func ExampleParseNamespace() {
	ns := supervisor.ParseNamespace(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{
		Name:   "acme-data",
		Labels: map[string]string{"vSphereClusterID": "domain-c8"},
		Annotations: map[string]string{
			"ncp/router_id": "t1_a41909b9-ea00-4d86-b3f3-82594e15eb56_rtr",
			"ls_id-0":       "e87463d0-f142-44f7-8c3b-e0d849b58fe9",
			"ncp/subnet-0":  "10.244.0.16/28",
		},
	}})
	fmt.Println(ns.Tier1Path())
	fmt.Println(ns.Networks[0].LogicalSwitchUUID, ns.Networks[0].Subnet)
	// Output:
	// /infra/tier-1s/t1_a41909b9-ea00-4d86-b3f3-82594e15eb56_rtr
	// e87463d0-f142-44f7-8c3b-e0d849b58fe9 10.244.0.16/28
}
