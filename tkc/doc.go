// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

// Package tkc works with the Tanzu Kubernetes clusters of a Supervisor: it lists
// them, makes and removes them, waits until one can be used, watches them come
// and go, and gives access to each.
//
//	client, err := tkc.NewClient(login.Config())
//	cluster, err := client.WaitReady(ctx, "acme-app", "acme-fitness", tkc.WaitOptions{})
//	access, err := client.Access(ctx, "acme-app", "acme-fitness")
//	kube, err := kubernetes.NewForConfig(access.Config())
//
// A Supervisor has TK clusters as TanzuKubernetesClusters (run.tanzu.vmware.com),
// as Clusters of Cluster API (cluster.x-k8s.io), or as both; a [Cluster] is one
// TK cluster, whichever it is. What the Supervisor serves is found out by
// discovery at the first call, and again when it has changed.
//
// # Kubeconfigs
//
// The Supervisor keeps an administrator's kubeconfig for each TK cluster in a
// Secret. Its content is not trusted, although it comes from there: see
// [ParseKubeconfig] for what is refused. An [Access] follows the Secret, so that a
// program outlives the replacement of the certificate in it.
//
// # Errors
//
// What fails returns an [*Error], which matches the sentinels of package viaduct
// as it documents; a kubeconfig that is refused is a [*KubeconfigError].
//
// # Retries
//
// Reads and writes are retried by client-go where the server asks for it with
// Retry-After. Waits go on while the Supervisor or the TK cluster can't be
// reached; [Client.Watch] does, and lists again afterwards. A request to a TK
// cluster is sent a second time when the server refused its credentials, or was
// never reached, and there are others by now.
//
// # Concurrency
//
// A [Client] and an [Access] are safe for concurrent use. Nothing runs in the
// background unless [Access.Run] was called.
//
// # Versions
//
//	vSphere            TanzuKubernetesCluster         Cluster
//	7.0, 7.0 U1, U2    v1alpha1
//	7.0 U3             v1alpha1, v1alpha2
//	8.0                v1alpha1, v1alpha2, v1alpha3   v1beta1
//	9.x                                               v1beta1, v1beta2
//
// Each is tested against supervisorsim on real API servers.
package tkc
