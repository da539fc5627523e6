// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package tkc

import (
	"net"
	"net/netip"
	"strconv"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// Phase is where a TK cluster is in its life, in the words of
// TanzuKubernetesClusters. It is an open set: servers may return others.
type Phase string

// The phases. A Cluster of Cluster API has others, which are translated:
// Pending and Provisioning are PhaseCreating, Provisioned is PhaseRunning.
const (
	PhaseCreating     Phase = "creating"
	PhaseRunning      Phase = "running"
	PhaseUpdating     Phase = "updating"
	PhaseFailed       Phase = "failed"
	PhaseUpdateFailed Phase = "updateFailed"
	PhaseUnhealthy    Phase = "unhealthy"
	PhaseDeleting     Phase = "deleting"
)

// Cluster is a TK cluster, under whichever APIs the Supervisor has it.
type Cluster struct {
	Namespace, Name string
	// UID is that of the TanzuKubernetesCluster, or of the Cluster where there is
	// no other. A cluster that was made anew has another.
	UID types.UID
	// APIs are those that the cluster was found under.
	APIs    []API
	Labels  map[string]string
	Created time.Time
	// Deleted is when its deletion was asked for; zero when it was not.
	Deleted time.Time

	// Phase is what the server says. v1alpha3 does not say; where there is no
	// Cluster beside it either, Phase is told from the conditions as far as they
	// go, and empty otherwise.
	Phase      Phase
	Conditions []Condition

	// Version is the Kubernetes release that runs, as far as the server says;
	// DesiredVersion is the one that was asked for. They may be written
	// differently: "v1.21" asks for the newest v1.21.
	Version, DesiredVersion string
	Endpoint                Endpoint
	Nodes                   Nodes
	Network                 Network

	// Class is the ClusterClass that a Cluster was made from.
	Class string

	ready bool
}

// Endpoint is where the API server of a TK cluster answers: an address or a name,
// and a port. It is zero as long as there is none.
type Endpoint struct {
	Host string
	Port int
}

// String returns host:port, or "" when there is none.
func (e Endpoint) String() string {
	if e.Host == "" {
		return ""
	}
	return net.JoinHostPort(e.Host, strconv.Itoa(e.Port))
}

// Condition is something that the server says about a TK cluster.
type Condition struct {
	Type string
	// Status is "True", "False" or "Unknown".
	Status string
	Reason string
	// Severity of a condition that is False: "Error", "Warning", "Info" or "".
	Severity string
	Message  string
	Since    time.Time
}

// Nodes are the nodes of a TK cluster.
type Nodes struct {
	// ControlPlane and Workers are how many were asked for.
	ControlPlane, Workers int
	// Ready is how many are ready, if ReadyKnown. TanzuKubernetesClusters from
	// v1alpha2 on and Clusters of v1beta1 do not say.
	Ready      int
	ReadyKnown bool
	Pools      []NodePool
}

// NodePool is a group of workers that are alike.
type NodePool struct {
	Name     string
	Replicas int
	// Class is the VM class in a TanzuKubernetesCluster, and the class of the
	// machine deployment in a Cluster.
	Class string
}

// Network is the network inside a TK cluster, as far as it was asked for; what is
// empty has the Supervisor's default.
type Network struct {
	CNI            string
	Pods, Services []netip.Prefix
	Domain         string
}

// IsReady reports whether the server says that the cluster is complete. Its API
// server may answer before that, and need not do so afterwards.
func (c Cluster) IsReady() bool { return c.ready && !c.IsDeleted() }

// IsDeleted reports whether the deletion of the cluster was asked for.
func (c Cluster) IsDeleted() bool { return !c.Deleted.IsZero() || c.Phase == PhaseDeleting }

// IsFailed reports whether the server has given up on the cluster.
func (c Cluster) IsFailed() bool { return c.Phase == PhaseFailed || c.Phase == PhaseUpdateFailed }

// Key returns the namespace and the name.
func (c Cluster) Key() types.NamespacedName {
	return types.NamespacedName{Namespace: c.Namespace, Name: c.Name}
}

// Condition returns the condition of this type, and false when there is none.
func (c Cluster) Condition(kind string) (Condition, bool) {
	for _, condition := range c.Conditions {
		if condition.Type == kind {
			return condition, true
		}
	}
	return Condition{}, false
}
