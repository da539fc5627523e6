// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux && e2etraffic

package traffic_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/viaduct-sdk/viaduct/internal/lab"
	"github.com/viaduct-sdk/viaduct/internal/lab/controlplane"
	"github.com/viaduct-sdk/viaduct/internal/lab/hosts"
)

const (
	nodeName  = "acme-fitness-workers-0"
	podRange  = "172.20.1.0/24" // of the node
	podRouter = "169.254.1.1"   // what pods of the node have as gateway
)

// node is a machine of the TK cluster, with kube-proxy, and with two pods on it:
// CoreDNS and web-app.
type node struct {
	*hosts.Host
	cluster *lab.Cluster
	kube    kubernetes.Interface
	address netip.Addr
	dns     netip.Addr // the cluster IP of kube-dns
	webApp  *hosts.Host
}

// startNode makes the TK cluster, as its users do on the Supervisor, and its
// worker.
func (w *world) startNode() {
	n := &node{}
	w.node = n
	n.address = w.makeCluster()
	n.cluster = w.lab.TKCluster(appNamespace + "." + clusterName)
	n.kube = w.client(n.cluster.Config)
	n.dns = nth(n.cluster.ServiceCIDR, 10)

	var err error
	n.Host, err = w.hosts.Host(w.ctx, "tk-node", "")
	w.must(err)
	w.attach(n.Host, n.address)
	w.must(w.hosts.Link(w.ctx, hosts.Link{
		Host: n.Host, Interface: "mgmt", Address: nodeManagement(),
		Router: w.hosts.Management(), RouterInterface: "tk-node", Gateway: apiServerAddress(), Routes: []netip.Prefix{},
	}))
	// What Antrea does with traffic of pods that leaves the node.
	masquerade := n.Command(w.ctx, "nft", "-f", "-")
	masquerade.Stdin = strings.NewReader(`table ip antrea {
	chain postrouting {
		type nat hook postrouting priority srcnat
		ip saddr ` + podRange + ` oifname { "eth0", "mgmt" } masquerade
	}
}`)
	w.must(run(masquerade))
	w.createNode()
	w.startProxy()
	w.startDNS()
	n.webApp = w.guestPod("web-app", 20, fmt.Sprintf(
		"nameserver %s\nsearch default.svc.cluster.local svc.cluster.local cluster.local\noptions timeout:2 attempts:3\n", n.dns))
}

// makeCluster asks the TKG service for a TK cluster, and returns the address of
// its worker, which a VirtualMachineService knows.
func (w *world) makeCluster() netip.Addr {
	objects, err := dynamic.NewForConfig(w.lab.Supervisor.Config)
	w.must(err)
	create := func(resource schema.GroupVersionResource, kind, name string, spec map[string]any) {
		object := &unstructured.Unstructured{Object: map[string]any{"metadata": map[string]any{"name": name}, "spec": spec}}
		object.SetGroupVersionKind(resource.GroupVersion().WithKind(kind))
		_, err := objects.Resource(resource).Namespace(appNamespace).Create(w.ctx, object, metav1.CreateOptions{})
		w.must(err)
	}
	clusters := schema.GroupVersionResource{Group: "run.tanzu.vmware.com", Version: "v1alpha3", Resource: "tanzukubernetesclusters"}
	create(clusters, "TanzuKubernetesCluster", clusterName, map[string]any{"topology": map[string]any{
		"controlPlane": map[string]any{"replicas": int64(1)},
		"nodePools":    []any{map[string]any{"name": "a", "replicas": int64(1)}},
	}})
	w.eventually("the TK cluster "+clusterName, func(ctx context.Context) string {
		found, err := objects.Resource(clusters).Namespace(appNamespace).Get(ctx, clusterName, metav1.GetOptions{})
		if err != nil {
			return err.Error()
		}
		if phase, _, _ := unstructured.NestedString(found.Object, "status", "phase"); phase != "running" {
			return "in phase " + phase
		}
		return ""
	})
	create(schema.GroupVersionResource{Group: "vmoperator.vmware.com", Version: "v1alpha1", Resource: "virtualmachineservices"},
		"VirtualMachineService", "workers", map[string]any{
			"type":     "ClusterIP",
			"ports":    []any{map[string]any{"name": "kubelet", "port": int64(10250), "targetPort": int64(10250), "protocol": "TCP"}},
			"selector": map[string]any{"capv.vmware.com/cluster.name": clusterName, "capw.vmware.com/cluster.role": "node"},
		})
	var address netip.Addr
	w.eventually("the worker of the TK cluster "+clusterName, func(ctx context.Context) string {
		endpoints, err := w.supervisor.CoreV1().Endpoints(appNamespace).Get(ctx, "workers", metav1.GetOptions{})
		if err != nil {
			return err.Error()
		}
		for _, subset := range endpoints.Subsets {
			for _, a := range subset.Addresses {
				address, err = netip.ParseAddr(a.IP)
				w.must(err)
				return ""
			}
		}
		return "without address of a worker"
	})
	return address
}

func (w *world) createNode() {
	n := w.node
	_, err := n.kube.CoreV1().Nodes().Create(w.ctx, &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: nodeName},
		Spec:       corev1.NodeSpec{PodCIDR: podRange, PodCIDRs: []string{podRange}},
		Status: corev1.NodeStatus{
			Addresses:  []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: n.address.String()}},
			Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}},
		},
	}, metav1.CreateOptions{})
	w.must(err)
}

// startProxy starts kube-proxy as the user that Kubernetes has a role for.
func (w *world) startProxy() {
	n := w.node
	config, err := n.cluster.UserConfig("system:kube-proxy")
	w.must(err)
	kube, err := controlplane.Build(w.ctx, os.Stderr)
	w.must(err)
	w.start(n.Command(w.ctx, kube, "kube-proxy",
		"--kubeconfig="+w.kubeconfig("kube-proxy", config),
		"--hostname-override="+nodeName,
		"--proxy-mode=nftables",
		"--cluster-cidr="+podRange,
		// The kernel's limits are the machine's, which is not ours to set.
		"--conntrack-max-per-core=0", "--conntrack-tcp-timeout-established=0s", "--conntrack-tcp-timeout-close-wait=0s",
	))
}

// startDNS starts CoreDNS in a pod, behind the Service that every cluster has.
func (w *world) startDNS() {
	n := w.node
	const system, account = metav1.NamespaceSystem, "coredns"
	config, err := n.cluster.ServiceAccountConfig(w.ctx, system, account)
	w.must(err)
	read := []string{"list", "watch"}
	_, err = n.kube.RbacV1().ClusterRoles().Create(w.ctx, &rbacv1.ClusterRole{
		ObjectMeta: metav1.ObjectMeta{Name: "system:coredns"},
		Rules: []rbacv1.PolicyRule{
			{APIGroups: []string{""}, Resources: []string{"services", "pods", "namespaces"}, Verbs: read},
			{APIGroups: []string{"discovery.k8s.io"}, Resources: []string{"endpointslices"}, Verbs: read},
		},
	}, metav1.CreateOptions{})
	w.must(err)
	_, err = n.kube.RbacV1().ClusterRoleBindings().Create(w.ctx, &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "system:coredns"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "system:coredns"},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: system, Name: account}},
	}, metav1.CreateOptions{})
	w.must(err)
	labels := map[string]string{"k8s-app": "kube-dns"}
	_, err = n.kube.CoreV1().Services(system).Create(w.ctx, &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: "kube-dns"},
		Spec: corev1.ServiceSpec{
			ClusterIP: n.dns.String(), Selector: labels,
			Ports: []corev1.ServicePort{
				{Name: "dns", Protocol: corev1.ProtocolUDP, Port: 53, TargetPort: intstr.FromInt32(53)},
				{Name: "dns-tcp", Protocol: corev1.ProtocolTCP, Port: 53, TargetPort: intstr.FromInt32(53)},
			},
		},
	}, metav1.CreateOptions{})
	w.must(err)

	const number = 10
	pod := w.guestPod("coredns", number, "")
	w.registerPod(system, "coredns", nth(netip.MustParsePrefix(podRange), number), labels)
	corefile := filepath.Join(w.hosts.Dir(), "Corefile")
	w.must(os.WriteFile(corefile, []byte(`.:53 {
	errors
	ready
	kubernetes cluster.local {
		kubeconfig `+w.kubeconfig("coredns", config)+`
	}
}
`), 0o600))
	coredns, err := controlplane.BuildDNS(w.ctx, os.Stderr)
	w.must(err)
	w.start(pod.Command(w.ctx, coredns, "-conf", corefile))
	w.eventually("CoreDNS", func(ctx context.Context) string { return ready(ctx, pod, "127.0.0.1:8181") })
}

// guestPod makes a pod on the TK cluster's node, with the number of its address
// in the node's range.
func (w *world) guestPod(name string, number int, resolver string) *hosts.Host {
	h, err := w.hosts.Host(w.ctx, name, resolver)
	w.must(err)
	w.must(w.hosts.Link(w.ctx, hosts.Link{
		Host: h, Address: nth(netip.MustParsePrefix(podRange), number),
		Router: w.node.Host, RouterInterface: "pod-" + name, Gateway: netip.MustParseAddr(podRouter),
	}))
	return h
}

// registerPod tells the TK cluster of a pod on its node, as a kubelet does.
func (w *world) registerPod(namespace, name string, address netip.Addr, labels map[string]string) {
	pods := w.node.kube.CoreV1().Pods(namespace)
	_, err := pods.Create(w.ctx, &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels},
		Spec:       corev1.PodSpec{NodeName: nodeName, Containers: []corev1.Container{{Name: "main", Image: "registry.example.com/" + name}}},
	}, metav1.CreateOptions{})
	w.must(err)
	status, err := json.Marshal(map[string]any{"status": corev1.PodStatus{
		Phase: corev1.PodRunning, PodIP: address.String(), PodIPs: []corev1.PodIP{{IP: address.String()}},
		Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}},
	}})
	w.must(err)
	_, err = pods.Patch(w.ctx, name, types.MergePatchType, status, metav1.PatchOptions{}, "status")
	w.must(err)
}

// kubeconfig writes a file with how to reach the TK cluster's API server.
func (w *world) kubeconfig(user string, config *rest.Config) string {
	file := filepath.Join(w.hosts.Dir(), user+".kubeconfig")
	w.must(clientcmd.WriteToFile(clientcmdapi.Config{
		Clusters: map[string]*clientcmdapi.Cluster{
			clusterName: {Server: config.Host, CertificateAuthorityData: config.CAData},
		},
		AuthInfos: map[string]*clientcmdapi.AuthInfo{
			user: {Token: config.BearerToken, ClientCertificateData: config.CertData, ClientKeyData: config.KeyData},
		},
		Contexts:       map[string]*clientcmdapi.Context{clusterName: {Cluster: clusterName, AuthInfo: user}},
		CurrentContext: clusterName,
	}, file))
	return file
}

// nth is an address of a range.
func nth(within netip.Prefix, n int) netip.Addr {
	a := within.Masked().Addr()
	for range n {
		a = a.Next()
	}
	return a
}

// ready says what is wrong with the health of a server on a host.
func ready(ctx context.Context, on *hosts.Host, address string) string {
	client := &http.Client{Transport: &http.Transport{DialContext: on.Dial, DisableKeepAlives: true}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/ready", nil)
	if err != nil {
		return err.Error()
	}
	res, err := client.Do(req)
	if err != nil {
		return err.Error()
	}
	_ = res.Body.Close() // Its status says it all.
	if res.StatusCode != http.StatusOK {
		return res.Status
	}
	return ""
}
