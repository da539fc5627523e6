// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

// Package topology joins what vCenter, NSX, the Supervisor and Tanzu Kubernetes
// clusters know into one graph: from the name that an application looks up, over
// virtual servers and pools, to the pods that answer.
//
//	graph, err := topology.Collect(ctx, topology.Sources{
//		VCenter:    vcenterClient,
//		NSX:        nsxClient,
//		Supervisor: &supervisorCluster, // from topology.NewCluster
//		TKClusters: tkcClient,
//		Clusters:   []topology.Cluster{tkCluster},
//	})
//	err = svg.Write(file, graph, svg.Options{Title: "ACME Fitness"})
//
// Each source is optional. What could not be read, for want of a permission or
// because a server is down, is a [Hole] of the graph and no error: the rest is
// drawn, and the hole is named.
//
// # Joins
//
// Objects are joined by identifiers, never by names that somebody chose:
//
//   - vSphere Namespace and namespace of the Supervisor: id of the cluster in
//     vCenter, and the namespace's name, which is its key in vCenter
//   - namespace and port group: the annotations ls_id-N and the port group's
//     logical switch
//   - namespace and the networks of what is in it, such as TK clusters: UID and
//     the tag ncp/project_uid
//   - port group and segment: the policy path that the port group carries
//   - segment and load balancer, and tier-1 gateway: connectivity_path
//   - Service and virtual server: UID and the tag ncp/service_uid
//   - virtual server and pool: pool_path
//   - pool and pod: the member's address, among the pods of the cluster for
//     which NCP made the pool; pods on the host's network are left out
//   - Service and pod: the Service's selector, which is Kubernetes' own rule
//   - companion, import and what was exported: the marks that package bridge
//     writes, with the UID of the source
//   - import and virtual server: the address and port in the import's slices
//   - firewall policy and namespace: UID and the tag ncp/project_uid; and what
//     the policy's groups and rules refer to: paths of segments, addresses of
//     virtual servers
//   - firewall policy and import: the tags that package bridge writes on the
//     policy, and the policy's path, which is on the import
//   - VirtualMachineService and Service: the owner's UID; and Service of the TK
//     cluster: the labels of the cloud provider
//   - TK cluster, its API server and its VirtualMachineService: the address of
//     the API server
//
// Of an NSX Manager that others use too, only what NCP made and what is
// connected to it is kept; of a TK cluster, only the namespaces that export,
// import or have a LoadBalancer Service.
//
// # Pictures
//
// [Focus] reduces a graph to what one service depends on, [Fold] to a size
// that can be read, [Simplify] drops relations that others imply. Package svg
// draws; [WriteMermaid] and [WriteDOT] write those languages; a Graph is
// a plain value and encodes as JSON. All of it is deterministic: equal graphs
// give equal bytes.
package topology
