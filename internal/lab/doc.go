// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

// Package lab is a whole vSphere with Kubernetes in one process tree: a
// Supervisor and any number of Tanzu Kubernetes clusters, each a real
// kube-apiserver with an etcd of its own, with a vCenter, an NSX Manager, and what
// makes a Kubernetes cluster a Supervisor, all simulated.
//
//	l, err := lab.Start(ctx, lab.Config{TKClusters: []string{"acme-fitness"}})
//	if err != nil {
//		return err
//	}
//	defer l.Close()
//	client, err := kubernetes.NewForConfig(l.Supervisor.Config)
//
// # The control planes
//
// etcd, kube-apiserver and, on request, kube-controller-manager run as one
// operating-system process each, so that a test can kill one. They come from
// one binary, which [Build] compiles from k8s.io/kubernetes once (about six
// minutes on two cores) and keeps in the user's cache directory. When
// KUBEBUILDER_ASSETS names a directory, the binaries there are used instead.
//
// Every cluster has its own certificate authority, bearer tokens and service
// range; RBAC is on. The API servers listen on the loopback interface, on
// ports that the lab holds for as long as it lives, so that a restarted API
// server is found where it was. etcd listens on a unix socket.
//
// There are no nodes: a pod is an object that nothing runs, and its status is
// what a client writes. As in controller-runtime's envtest, the admission
// plugin ServiceAccount is off, so that pods can be created in a namespace
// without a service account.
//
// # The simulators
//
// vcentersim and nsxsim run in this process and listen on the loopback interface
// with TLS, for govc, curl and other people's programs; supervisorsim runs on
// the Supervisor's API server. A vSphere Namespace that is made in vCenter gets
// its Kubernetes namespace, its network in NSX and its port group; a Service of
// type LoadBalancer gets virtual servers, pools and an address; a pod on the
// Supervisor runs; a TanzuKubernetesCluster or Cluster object starts another
// control plane, which the lab calls <namespace>.<name>, and gets its
// kubeconfig. What each of them simulates, simplifies and leaves out is in
// the documentation of its package.
//
// # Nothing is left behind
//
// The processes and the directory of a lab are gone when Close returns, when
// the context given to Start ends, and also when the process that started the
// lab dies, be it by SIGKILL.
//
// # Where it runs
//
// Linux and macOS, on any architecture that Kubernetes can be compiled for.
package lab
