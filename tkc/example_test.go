// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package tkc_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	kuberest "k8s.io/client-go/rest"

	"github.com/viaduct-sdk/viaduct/tkc"
)

// exampleConfig stands for the config of a login to a Supervisor with two TK
// clusters.
func exampleConfig() *kuberest.Config {
	f := newFake(tkc.TanzuV1alpha3, tkc.ClusterV1beta1)
	for _, u := range []*unstructured.Unstructured{
		cluster(tkc.TanzuV1alpha3, "acme-app", "acme-fitness", true),
		cluster(tkc.ClusterV1beta1, "acme-app", "acme-fitness", true),
		cluster(tkc.ClusterV1beta1, "acme-data", "batch", false),
	} {
		f.put(u)
	}
	return &kuberest.Config{Host: "https://192.168.30.65:6443", Transport: inProcess{f}}
}

func ExampleClient_All() {
	client, err := tkc.NewClient(exampleConfig()) // login.Config() of package supervisor
	if err != nil {
		fmt.Println(err)
		return
	}
	for cluster, err := range client.All(context.Background(), tkc.ListOptions{}) {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(cluster.Key(), cluster.Phase, cluster.IsReady(), cluster.APIs)
	}
	// Output:
	// acme-app/acme-fitness running true [run.tanzu.vmware.com/v1alpha3 cluster.x-k8s.io/v1beta1]
	// acme-data/batch creating false [cluster.x-k8s.io/v1beta1]
}

func ExampleClient_Watch() {
	client, err := tkc.NewClient(exampleConfig())
	if err != nil {
		fmt.Println(err)
		return
	}
	for event, err := range client.Watch(context.Background(), tkc.ListOptions{Namespace: "acme-app"}) {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(event.Type, event.Cluster.Name)
		if event.Type == tkc.EventReady {
			break // import the services that it needs
		}
	}
	// Output:
	// added acme-fitness
	// ready acme-fitness
}

func ExampleParseKubeconfig() {
	file := `
clusters: [{name: c, cluster: {server: "https://192.168.30.68:6443"}}]
users:
- name: u
  user:
    exec: {command: curl, args: ["https://example.com/install.sh"]}
`
	_, err := tkc.ParseKubeconfig([]byte(file))
	fmt.Println(err)
	var refused *tkc.KubeconfigError
	fmt.Println(errors.As(err, &refused) && refused.Risk == tkc.RiskExec)
	// Output:
	// tkc: kubeconfig refused (exec plugin): users[0].user.exec: line 6
	// true
}

func ExampleKubeconfig_MergeFile() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	data, err := os.ReadFile("testdata/kubeconfig/good-token.yaml")
	if err != nil {
		fmt.Println(err)
		return
	}
	kubeconfig, err := tkc.ParseKubeconfig(data) // or client.Kubeconfig
	if err != nil {
		fmt.Println(err)
		return
	}
	path := filepath.Join(dir, "config")
	for range 2 {
		changed, err := kubeconfig.MergeFile(ctx, path, tkc.MergeOptions{Name: "fitness"})
		fmt.Println(changed, err)
	}
	// Output:
	// true <nil>
	// false <nil>
}

func ExampleAccess_Config() {
	f := newFake(tkc.TanzuV1alpha3)
	server := exampleServer()
	defer server.server.Close()
	f.put(secret("acme-app", "acme-fitness", map[string][]byte{"value": server.kubeconfig("first")}))
	client, err := tkc.NewClient(&kuberest.Config{Host: "https://192.168.30.65:6443", Transport: inProcess{f}})
	if err != nil {
		fmt.Println(err)
		return
	}
	access, err := client.Access(context.Background(), "acme-app", "acme-fitness")
	if err != nil {
		fmt.Println(err)
		return
	}
	config := access.Config() // for kubernetes.NewForConfig, once
	// The credentials are replaced, and the old ones are not accepted any more.
	f.put(secret("acme-app", "acme-fitness", map[string][]byte{"value": server.kubeconfig("second")}))
	server.set("first", false)
	server.set("second", true)
	request, err := http.NewRequest(http.MethodGet, config.Host+"/version", nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	response, err := config.Transport.RoundTrip(request)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer response.Body.Close()
	_, _ = io.Copy(io.Discard, response.Body)
	fmt.Println(response.Status)
	// Output:
	// 200 OK
}
