// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

// Package supervisorsim does on a Kubernetes API server what the control plane
// of a Supervisor does: WCP with its login, the NSX Container Plugin (NCP), what
// runs vSphere Pods, the TKG service, VM Operator's Services, and the cloud
// provider of TK clusters. The API server may be any; it is reached by a
// [rest.Config] with the rights of a cluster administrator. What NCP writes to
// NSX goes to an [nsxsim.Server], what NSX makes of it in vCenter to a
// [vcentersim.Server]; the API servers of TK clusters come from a
// [ClusterProvider].
//
//	sim, err := supervisorsim.Start(ctx, supervisorsim.Config{
//		Kubernetes: config,
//		NSX:        nsx,
//		VCenter:    vc,
//	})
//	vc.SetNamespaceController(sim)
//	url, err := sim.WCP().ListenTLS("127.0.0.1:0")
//
// A [Simulator] compares what is with what should be, again and again; nothing
// depends on seeing each event. The API server may be killed and started again,
// and so may the Simulator: it finds what it made before by NCP's tags, and
// removes what belongs to objects that went in the meantime. It puts no
// finalizer on what belongs to users, but for those of Cluster API and of
// Kubernetes' service controller on TK clusters and on their LoadBalancer
// Services.
//
// A [WCP] alone, without API server, serves the tests of what logs in.
//
// # Fidelity
//
// Simulated:
//
//   - a vSphere Namespace: the Kubernetes namespace with the label
//     vSphereClusterID and the annotations ls_id-N, ncp/router_id,
//     ncp/subnet-N, ncp/snat_ip, ncp/extpoolid, vmware-system-resource-pool and
//     vmware-system-vm-folder; the tier-1 gateway, segments, SNAT rules and the
//     port group of each segment; a further subnet when the pods need one; its
//     deletion, with the namespace controller's work when nobody else does it
//   - LoadBalancer Services: one load balancer for each tier-1 gateway with such
//     Services, one virtual server and one pool for each port, TCP and UDP; the
//     address from the ingress pool with its allocation; spec.loadBalancerIP,
//     an address or the pool's id; status.loadBalancer after NSX has the
//     virtual servers, and withdrawn before the address is given back;
//     ncp/internal_ip_for_policy; ncp/error.loadbalancer when there is no
//     address; ncp/error.loadbalancer.unrealized_ports for SCTP;
//     spec.loadBalancerClass (left alone); client address affinity
//   - pool members: the pods behind the selector, numeric and named target
//     ports, readiness, publishNotReadyAddresses; the Endpoints of a Service
//     without selector
//   - the baseline firewall policy of a namespace, in each of NCP's types
//   - vSphere Pods: a pod without node gets an address of its namespace's
//     subnets and the annotations of its VM, and becomes Running and Ready,
//     unless [AnnotationHold] says otherwise
//   - /wcp/loginbanner, /wcp/login for the Supervisor and for guest clusters,
//     /wcp/workloads; JWTs signed with ES256, each good for one cluster; users
//     with roles, as RBAC in their namespaces; locked accounts
//   - TanzuKubernetesCluster v1alpha1 to v1alpha3 and Cluster v1beta1 and v1beta2,
//     whichever are to be served: phases, conditions, endpoints, the Cluster of
//     the same name beside a TanzuKubernetesCluster, the VirtualNetwork with its
//     gateway and segment, the Secrets <name>-kubeconfig and <name>-ca, rotation
//     and revocation of the client certificate, deletion
//   - VirtualMachineServices whose selector is for nodes of TK clusters, as a
//     Service of the same name with Endpoints
//   - the paravirtual cloud provider, with names of both generations, labels,
//     node ports, finalizer and status
//
// Simplified:
//
//   - NetworkPolicies become two policies in the category Application, one that
//     allows and one that drops the rest, for a group of addresses; NCP selects
//     pods by the tags of their segment ports, and limits the number of
//     selectors. A rule whose peers match nothing is left out. SCTP is too
//   - pods stay without node, so that nobody takes them for orphans; they have
//     no segment ports, VMs or logs
//   - all namespaces that WCP did not make share one network
//   - resource pool and folder are names only
//   - the Kubernetes API is served at the login's own port, not at 6443; whoever
//     shows a token of /wcp/login passes by impersonation, everybody else as he
//     comes
//   - a TK cluster answers at an address of this machine, which is what its
//     kubeconfig, its objects and guest logins name; the address that its
//     control plane has in NSX leads nowhere. Nodes are addresses without
//     machines: the TK cluster has no Node objects
//   - the versions of the TK clusters' APIs differ in name only: an object keeps
//     the fields that it was made with, and its status has those of all versions
//     that are served. Nothing is validated
//   - a Service that asks for another loadBalancerIP loses its address before it
//     gets the new one
//
// Absent: VirtualMachines and Services for them, Tanzu Kubernetes releases,
// content libraries, the CLI download at /wcp/plugin, Ingress and Gateway, distributed load balancers for ClusterIP
// Services, loadBalancerSourceRanges, IPv6, networks of VDS and VPC, quotas.
//
// Not known of the real thing, so that nobody may rely on it:
//
//   - the ids and names of segments, load balancers, virtual servers, pools,
//     groups and policies. Here ids are of the form of a UUID, behind vnet_ for
//     segments, with nothing to be read from them, and names are made of
//     namespace, Service, protocol and port
//   - whether a pod that is not ready stays in the pools: [Switches.RemoveNotReady]
//   - whether a Service that found its pool exhausted recovers by itself when an
//     address comes free: [Switches.StickyErrors]
//   - the error for a loadBalancerIP that is taken: here LB_VIP_CONFLICT; and
//     for one outside of the pool: here IP_POOL_NOT_FOUND
//   - the form of ncp/error.loadbalancer.unrealized_ports: here 132/SCTP, with
//     commas between
//   - the value of the tag ncp/network_policy: here the policy's UID
//   - which NCP versions write their internal address where:
//     [Switches.DoubleIngress], [Switches.NoInternalAddress]
//   - which baseline policy WCP sets: [Config.Baseline]
//   - what a login answers for a guest cluster's name that two namespaces have:
//     [WCPConfig].AmbiguousGuestRefused
//   - the tags of a VirtualNetwork's objects: here ncp/vnet and ncp/vnet_uid
//   - what users may do in a namespace, to the letter
package supervisorsim
