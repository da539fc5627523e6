// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// etcdCommand runs an etcd of one member that listens on unix sockets. It
// insists on advertising host:port addresses, which nobody uses.
func (c *Cluster) etcdCommand() command {
	const nowhere = "http://localhost:2380"
	return command{
		name: "etcd",
		log:  c.file("etcd.log"),
		argv: slices.Concat(c.servers.etcd, []string{
			"--name=lab",
			"--data-dir=" + c.file("etcd"),
			"--listen-client-urls=unix://" + c.sockets[0],
			"--advertise-client-urls=http://localhost:2379",
			"--listen-peer-urls=unix://" + c.sockets[1],
			"--initial-advertise-peer-urls=" + nowhere,
			"--initial-cluster=lab=" + nowhere,
			// The data need not survive the machine, only etcd.
			"--unsafe-no-fsync",
			"--log-level=warn",
		}),
	}
}

func (c *Cluster) apiServerCommand() command {
	return command{
		name: "kube-apiserver",
		log:  c.file("kube-apiserver.log"),
		argv: slices.Concat(c.servers.apiServer, []string{
			"--etcd-servers=unix://" + c.sockets[0],
			"--bind-address=" + c.keeper.address.String(),
			"--advertise-address=" + c.keeper.address.String(),
			"--secure-port=" + strconv.Itoa(c.port.number),
			"--permit-port-sharing",
			"--tls-cert-file=" + c.file("apiserver.crt"),
			"--tls-private-key-file=" + c.file("apiserver.key"),
			"--client-ca-file=" + c.file("ca.crt"),
			"--token-auth-file=" + c.file("tokens.csv"),
			"--authorization-mode=RBAC",
			"--service-account-issuer=https://kubernetes.default.svc.cluster.local",
			"--service-account-key-file=" + c.file("signing.key"),
			"--service-account-signing-key-file=" + c.file("signing.key"),
			"--service-cluster-ip-range=" + c.ServiceCIDR.String(),
			// A pod needs no service account to exist.
			"--disable-admission-plugins=ServiceAccount",
			// The address of a loopback interface is no valid endpoint.
			"--endpoint-reconciler-type=none",
			"--allow-privileged=true",
		}),
	}
}

// controllersCommand leaves out the controllers that only make sense with
// nodes, volumes or a cloud.
func (c *Cluster) controllersCommand() command {
	controllers := []string{
		"clusterrole-aggregation-controller",
		"daemonset-controller",
		"deployment-controller",
		"endpoints-controller",
		"endpointslice-controller",
		"endpointslice-mirroring-controller",
		"garbage-collector-controller",
		"job-controller",
		"namespace-controller",
		"replicaset-controller",
		"resourcequota-controller",
		"root-ca-certificate-publisher-controller",
		"serviceaccount-controller",
		"serviceaccount-token-controller",
		"statefulset-controller",
	}
	return command{
		name: "kube-controller-manager",
		log:  c.file("kube-controller-manager.log"),
		argv: slices.Concat(c.servers.controllerManager, []string{
			"--kubeconfig=" + c.file("controller-manager.kubeconfig"),
			"--cluster-name=" + c.Name,
			"--controllers=" + strings.Join(controllers, ","),
			"--service-account-private-key-file=" + c.file("signing.key"),
			"--root-ca-file=" + c.file("ca.crt"),
			"--leader-elect=false",
			"--secure-port=0",
		}),
	}
}

// tokenFile is the content of a static token file.
func tokenFile(tokens ...token) []byte {
	var b strings.Builder
	for _, t := range tokens {
		fmt.Fprintf(&b, "%s,%s,%s,%q\n", t.secret, t.user, t.user, "system:masters")
	}
	return []byte(b.String())
}

// token is a bearer token of a member of system:masters.
type token struct {
	secret, user string
}
