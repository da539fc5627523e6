// Package deps is temporary: it pins modules while packages are being written.
package deps

import (
	_ "github.com/go-json-experiment/json"
	_ "github.com/google/go-cmp/cmp"
	_ "github.com/hashicorp/go-retryablehttp"
	_ "github.com/vmware/go-vmware-nsxt"
	_ "github.com/vmware/govmomi/cli"
	_ "github.com/vmware/govmomi/simulator"
	_ "github.com/vmware/govmomi/vapi/simulator"
	_ "github.com/vmware/vsphere-automation-sdk-go/runtime/core"
	_ "github.com/vmware/vsphere-automation-sdk-go/lib/vapi/std/errors"
	_ "github.com/vmware/vsphere-automation-sdk-go/services/nsxt/infra"
	_ "golang.org/x/sync/singleflight"
	_ "golang.org/x/time/rate"
	_ "k8s.io/client-go/kubernetes"
	_ "k8s.io/client-go/dynamic"
	_ "k8s.io/client-go/informers"
	_ "k8s.io/client-go/tools/clientcmd"
	_ "k8s.io/client-go/kubernetes/fake"
	_ "k8s.io/api/core/v1"
	_ "sigs.k8s.io/yaml"
)
