// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

// Package supervisor talks to a Supervisor: it logs in at /wcp/login, and reads
// what is on the Supervisor's API server that plain Kubernetes types do not
// tell: the network of a vSphere Namespace, the addresses of LoadBalancer
// Services and NCP's errors on them, the VMs of vSphere Pods, and the guest
// Services behind VirtualMachineServices.
//
//	login, err := supervisor.NewLogin("192.168.30.65", supervisor.PasswordAuth(user, password),
//		supervisor.WithCACert(pem))
//	client, err := supervisor.NewClient(login.Config())
//	ns, err := client.Namespaces().Get(ctx, "acme-data")
//	fmt.Println(ns.Tier1Path(), ns.Networks)
//
// A [rest.Config] from elsewhere, such as that of a service account, serves
// [NewClient] as well.
//
// # Tokens
//
// A Supervisor gives a token for ten hours and no means to renew it but the
// password. The [rest.Config] of a [Login] fetches the token when a request
// first needs it and renews it while it is still good, once for all who wait; a
// request that the server refuses with 401 is sent again with a new token.
// Watches that are open stay open. A password that is refused is not sent again
// for two minutes, then four, and so on up to thirty, so that the account is not
// locked.
//
// # Trust
//
// Certificates are verified against the system's authorities unless an [Option]
// names others: vCenter hands out the Supervisor's chain
// (tls_endpoint_certificate of namespace-management/clusters), which is what
// [WithCACert] wants.
//
// # Errors
//
// What fails returns an [*Error], which matches the sentinels of package viaduct
// as it documents.
//
// # Retries
//
// /wcp/* is asked up to three times while it can't be reached or answers 429,
// 502, 503 or 504. Requests to the Kubernetes API are retried by client-go, which
// waits as long as the server asks with Retry-After.
//
// # Versions
//
// Tested against supervisorsim; known from documentation to fit vSphere 7.0 to 8.0
// with NSX networking. Namespaces on VDS networking have none of NCP's
// annotations, so that the fields made of them are empty.
package supervisor
