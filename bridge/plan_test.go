// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package bridge

import (
	"encoding/json"
	"errors"
	"flag"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/kubernetes/fake"
	"sigs.k8s.io/yaml"

	"github.com/viaduct-sdk/viaduct"
)

var update = flag.Bool("update", false, "rewrite the golden files")

var postgres = types.NamespacedName{Namespace: "acme-data", Name: "order-postgres"}

// serviceWith returns a ClusterIP Service, changed.
func serviceWith(change func(*corev1.Service)) *corev1.Service {
	s := &corev1.Service{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Service"},
		ObjectMeta: metav1.ObjectMeta{Namespace: postgres.Namespace, Name: postgres.Name, UID: "uid-postgres", ResourceVersion: "7"},
		Spec: corev1.ServiceSpec{
			Type: corev1.ServiceTypeClusterIP, ClusterIP: "10.96.0.12",
			Selector: map[string]string{"app": "order-postgres"},
			Ports:    []corev1.ServicePort{{Name: "postgres", Protocol: corev1.ProtocolTCP, Port: 5432, TargetPort: intstr.FromInt32(5432)}},
		},
	}
	if change != nil {
		change(s)
	}
	return s
}

// observe turns typed objects into what a cluster observes.
func observe(t *testing.T, s *corev1.Service) service {
	t.Helper()
	if s == nil {
		return service{}
	}
	fields, err := runtime.DefaultUnstructuredConverter.ToUnstructured(s)
	if err != nil {
		t.Fatal(err)
	}
	observed, err := serviceOf(&unstructured.Unstructured{Object: fields})
	if err != nil {
		t.Fatal(err)
	}
	return observed
}

// store applies a planned object to an API server in memory that tracks
// managed fields, and returns what it stores.
func store(t *testing.T, api *fake.Clientset, planned *unstructured.Unstructured) *unstructured.Unstructured {
	t.Helper()
	data, err := json.Marshal(planned)
	if err != nil {
		t.Fatal(err)
	}
	opts := metav1.PatchOptions{FieldManager: fieldManager}
	var stored runtime.Object
	switch planned.GetKind() {
	case kindService:
		stored, err = api.CoreV1().Services(planned.GetNamespace()).Patch(t.Context(), planned.GetName(), types.ApplyPatchType, data, opts)
	case kindEndpointSlice:
		stored, err = api.DiscoveryV1().EndpointSlices(planned.GetNamespace()).Patch(t.Context(), planned.GetName(), types.ApplyPatchType, data, opts)
	}
	if err != nil {
		t.Fatal(err)
	}
	fields, err := runtime.DefaultUnstructuredConverter.ToUnstructured(stored)
	if err != nil {
		t.Fatal(err)
	}
	obj := &unstructured.Unstructured{Object: fields}
	obj.SetGroupVersionKind(planned.GroupVersionKind())
	return obj
}

func exportedPostgres() *Exported {
	return &Exported{
		Version:    documentVersion,
		Source:     Source{Cluster: "supervisor", Namespace: postgres.Namespace, Name: postgres.Name, UID: "uid-postgres"},
		VIPService: VIPService{Name: "order-postgres-viaduct", UID: "uid-companion"},
		Addresses:  []netip.Addr{netip.MustParseAddr("192.168.30.66")},
		Ports:      []Port{{Name: "postgres", Protocol: corev1.ProtocolTCP, Port: 5432}},
		Proof:      Proof{Source: ProofServiceStatus},
	}
}

func TestPlanExportRefuses(t *testing.T) {
	t.Parallel()
	now := metav1.Now()
	importMark := mark{role: RoleImport, target: postgres, name: postgres.Name, source: Source{Cluster: "elsewhere", Namespace: "acme-data", Name: "order-postgres", UID: "1"}}
	companionMark := mark{role: RoleCompanion, target: postgres, name: postgres.Name, source: Source{Cluster: "supervisor", Namespace: "acme-data", Name: "order", UID: "1"}}
	cases := map[string]struct {
		reason    string
		service   *corev1.Service
		companion *corev1.Service
		missing   bool
		want      error
		says      string
	}{
		"no namespace":  {reason: "the namespace is named apart from the Service", missing: true, want: viaduct.ErrNotFound, says: "no such namespace"},
		"no service":    {reason: "an absent Service has nothing to export", want: viaduct.ErrNotFound, says: "no such Service"},
		"external name": {reason: "an alias has no endpoints", service: serviceWith(func(s *corev1.Service) { s.Spec.Type = corev1.ServiceTypeExternalName }), want: viaduct.ErrUnsupported, says: "ExternalName"},
		"headless":      {reason: "a VIP cannot stand for single pods", service: serviceWith(func(s *corev1.Service) { s.Spec.ClusterIP = "None" }), want: viaduct.ErrUnsupported, says: "headless"},
		"no selector":   {reason: "there would be no pool members", service: serviceWith(func(s *corev1.Service) { s.Spec.Selector = nil }), want: viaduct.ErrUnsupported, says: "no selector"},
		"no ports":      {reason: "there is nothing to serve", service: serviceWith(func(s *corev1.Service) { s.Spec.Ports = nil }), want: viaduct.ErrInvalid, says: "no ports"},
		"sctp":          {reason: "NSX carries TCP and UDP", service: serviceWith(func(s *corev1.Service) { s.Spec.Ports[0].Protocol = corev1.ProtocolSCTP }), want: viaduct.ErrUnsupported, says: "SCTP"},
		"deleting":      {reason: "what goes away is not exported", service: serviceWith(func(s *corev1.Service) { s.DeletionTimestamp = &now }), want: viaduct.ErrConflict, says: "being deleted"},
		"an import": {
			reason: "an import of an import would go in circles", want: viaduct.ErrInvalid, says: "itself an import of elsewhere/acme-data/order-postgres",
			service: serviceWith(func(s *corev1.Service) { s.Labels, s.Annotations = importMark.labels(), importMark.annotations() }),
		},
		"a companion": {
			reason: "the companion of another has no companion", want: viaduct.ErrInvalid, says: "companion of order",
			service: serviceWith(func(s *corev1.Service) {
				s.Labels, s.Annotations = companionMark.labels(), companionMark.annotations()
			}),
		},
		"foreign companion": {
			reason: "a Service that is not ours is not taken over", want: viaduct.ErrNotOwned, says: "acme-data/order-postgres-viaduct, which belongs to field manager kubectl",
			service: serviceWith(nil),
			companion: serviceWith(func(s *corev1.Service) {
				s.Name = "order-postgres-viaduct"
				s.ManagedFields = []metav1.ManagedFieldsEntry{{Manager: "kubectl", Operation: metav1.ManagedFieldsOperationUpdate}}
			}),
		},
		"copied marks": {
			reason: "the marks of another companion, copied, make no Service ours", want: viaduct.ErrNotOwned, says: "belongs to",
			service: serviceWith(nil),
			companion: serviceWith(func(s *corev1.Service) {
				s.Name = "order-postgres-viaduct"
				s.Labels, s.Annotations = companionMark.labels(), companionMark.annotations()
			}),
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := exportObserved{service: observe(t, tc.service), companion: observe(t, tc.companion), namespaceMissing: tc.missing}
			_, err := planExport("supervisor", postgres, o, newExportOptions(nil))
			if !errors.Is(err, tc.want) || !strings.Contains(err.Error(), tc.says) || !strings.Contains(err.Error(), postgres.String()) {
				t.Errorf("%s: got %v, want an error that matches %q, names the Service and says %q", tc.reason, err, tc.want, tc.says)
			}
		})
	}
}

func TestPlanImportRefuses(t *testing.T) {
	t.Parallel()
	now := metav1.Now()
	ours := mark{role: RoleImport, target: postgres, name: postgres.Name, source: exportedPostgres().Source}
	other := ours
	other.source.Cluster = "elsewhere"
	cases := map[string]struct {
		reason  string
		service *corev1.Service
		slice   *discoveryv1.EndpointSlice
		missing bool
		want    error
		says    string
	}{
		"no namespace":   {reason: "namespaces are not made unasked", missing: true, want: viaduct.ErrNotFound, says: "no such namespace"},
		"foreign":        {reason: "the user's own Service stays", service: serviceWith(func(s *corev1.Service) { s.UID = "x" }), want: viaduct.ErrNotOwned, says: "taken by Service acme-data/order-postgres"},
		"same cluster":   {reason: "the name works there already", service: serviceWith(nil), want: viaduct.ErrInvalid, says: "cluster that exported it"},
		"other exporter": {reason: "two exporters are not mixed up", want: viaduct.ErrExists, says: "import of elsewhere/acme-data/order-postgres", service: serviceWith(func(s *corev1.Service) { s.UID, s.Labels, s.Annotations = "x", other.labels(), other.annotations() })},
		"deleting": {reason: "what goes away is not changed", want: viaduct.ErrConflict, says: "being deleted", service: serviceWith(func(s *corev1.Service) {
			s.UID, s.DeletionTimestamp, s.Labels, s.Annotations = "x", &now, ours.labels(), ours.annotations()
		})},
		"foreign slice": {
			reason: "two sets of endpoints under one name would mix", want: viaduct.ErrNotOwned, says: "EndpointSlice acme-data/order-postgres-abc",
			slice: &discoveryv1.EndpointSlice{TypeMeta: metav1.TypeMeta{Kind: kindEndpointSlice}, ObjectMeta: metav1.ObjectMeta{Namespace: "acme-data", Name: "order-postgres-abc"}},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := importObserved{api: slicesV1, service: observe(t, tc.service), namespaceMissing: tc.missing}
			if tc.slice != nil {
				fields, err := runtime.DefaultUnstructuredConverter.ToUnstructured(tc.slice)
				if err != nil {
					t.Fatal(err)
				}
				o.backends = []object{{live: &unstructured.Unstructured{Object: fields}}}
			}
			p, err := planImport("acme-fitness", exportedPostgres(), o, newImportOptions(nil))
			if !errors.Is(err, tc.want) || !strings.Contains(err.Error(), tc.says) || !strings.Contains(err.Error(), postgres.String()) {
				t.Errorf("%s: got %v, want an error that matches %q, names the Service and says %q", tc.reason, err, tc.want, tc.says)
			}
			if !p.Empty() {
				t.Errorf("%s: a refusal came with the plan %v", tc.reason, p)
			}
		})
	}
}

// TestAppliedPlanIsEmpty applies plans to an API server in memory that tracks
// fields, then plans again, for changes of every kind.
func TestAppliedPlanIsEmpty(t *testing.T) {
	t.Parallel()
	changes := []struct {
		name   string
		change func(*Exported)
		want   []Action // nil: nothing to do
	}{
		{"first", func(*Exported) {}, []Action{ActionCreate, ActionCreate}},
		{"nothing", func(*Exported) {}, nil},
		{"service made again", func(e *Exported) { e.Source.UID = "uid-again" }, []Action{ActionUpdate, ActionUpdate}},
		{"new VIP", func(e *Exported) { e.Addresses = []netip.Addr{netip.MustParseAddr("192.168.30.70")} }, []Action{ActionUpdate}},
		{"second port", func(e *Exported) {
			e.Ports = append(e.Ports, Port{Name: "metrics", Protocol: corev1.ProtocolTCP, Port: 9187})
		}, []Action{ActionUpdate, ActionUpdate}},
		{"ports in another order", func(e *Exported) { e.Ports[0], e.Ports[1] = e.Ports[1], e.Ports[0] }, nil},
		{"first port gone", func(e *Exported) { e.Ports = e.Ports[:1] }, []Action{ActionUpdate, ActionUpdate}},
		{"IPv6 too", func(e *Exported) { e.Addresses = append(e.Addresses, netip.MustParseAddr("2001:db8::7")) }, []Action{ActionCreate}},
		{"IPv6 only", func(e *Exported) { e.Addresses = e.Addresses[1:] }, []Action{ActionDelete}},
	}
	api := fake.NewClientset()
	e := exportedPostgres()
	o := importObserved{api: slicesV1}
	for _, c := range changes {
		c.change(e)
		p, err := planImport("acme-fitness", e, o, newImportOptions(nil))
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		var got []Action
		for _, s := range p.Steps {
			got = append(got, s.Action)
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s: actions (-want +got):\n%s\n%s", c.name, diff, p)
		}
		for _, s := range p.Steps {
			o = o.after(t, api, s)
		}
		again, err := planImport("acme-fitness", e, o, newImportOptions(nil))
		if err != nil || !again.Empty() {
			t.Errorf("%s: applied, then planned again: %v\n%s", c.name, err, again)
		}
	}
	p, err := planUnimport("acme-fitness", postgres, o, newImportOptions(nil))
	if err != nil || len(p.Steps) != 2 || p.Steps[0].Object.Kind != kindEndpointSlice || p.Steps[1].Object.Kind != kindService {
		t.Errorf("unimport: got %s, want the slice deleted before its Service", p)
	}
}

// after returns the observation with a step carried out.
func (o importObserved) after(t *testing.T, api *fake.Clientset, s Step) importObserved {
	t.Helper()
	var err error
	switch {
	case s.Action == ActionDelete:
		o.backends = without(o.backends, s.Object.Name)
	case s.Object.Kind == kindService:
		live := store(t, api, s.After)
		live.SetUID("uid-import")
		o.service, err = serviceOf(live)
	default:
		after := s.After.DeepCopy()
		adoptByOwner(after, s.Object, written{{Cluster: s.Object.Cluster, APIVersion: "v1", Kind: kindService, Namespace: s.Object.Namespace, Name: postgres.Name}: o.service.live})
		var stored object
		stored, err = sliceOf(store(t, api, after))
		o.backends = append(without(o.backends, s.Object.Name), stored)
	}
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func without(all []object, name string) []object {
	return slices.DeleteFunc(slices.Clone(all), func(o object) bool { return o.live.GetName() == name })
}

func TestExportedCompanionPlanIsEmpty(t *testing.T) {
	t.Parallel()
	api := fake.NewClientset()
	o := exportObserved{service: observe(t, serviceWith(nil))}
	for _, change := range []func(*corev1.Service){
		func(*corev1.Service) {},
		func(s *corev1.Service) {
			s.Spec.Selector = map[string]string{"app": "order-postgres", "role": "primary"}
		},
		func(s *corev1.Service) { s.Spec.Selector = map[string]string{"role": "primary"} },
		func(s *corev1.Service) {
			s.Spec.Ports = []corev1.ServicePort{{Name: "pg", Port: 5433, TargetPort: intstr.FromString("pg")}}
		},
	} {
		o.service = observe(t, serviceWith(change))
		p, err := planExport("supervisor", postgres, o, newExportOptions(nil))
		if err != nil || len(p.Steps) != 1 {
			t.Fatalf("got %v, %s; want one step", err, p.Plan)
		}
		live := store(t, api, p.Steps[0].After)
		live.SetUID("uid-companion")
		if o.companion, err = serviceOf(live); err != nil {
			t.Fatal(err)
		}
		if again, err := planExport("supervisor", postgres, o, newExportOptions(nil)); err != nil || !again.Empty() {
			t.Errorf("applied, then planned again: %v\n%s", err, again.Plan)
		}
	}
	o.service = observe(t, serviceWith(func(s *corev1.Service) { s.Spec.Type = corev1.ServiceTypeLoadBalancer }))
	p, err := planExport("supervisor", postgres, o, newExportOptions(nil))
	if err != nil || len(p.Steps) != 1 || p.Steps[0].Action != ActionDelete || p.vipService != postgres {
		t.Errorf("a Service that became a load balancer: got %v, %s; want its companion deleted", err, p.Plan)
	}
}

// goldenCase is the input of a golden plan.
type goldenCase struct {
	Cluster  string           `json:"cluster"`
	Into     string           `json:"into"`
	Services []corev1.Service `json:"services"`
	Exported []*Exported      `json:"exported"`
}

func TestGoldenPlans(t *testing.T) {
	t.Parallel()
	dirs, err := filepath.Glob("testdata/plan/*")
	if err != nil || len(dirs) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	for _, dir := range dirs {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			t.Parallel()
			data, err := os.ReadFile(filepath.Join(dir, "input.yaml"))
			if err != nil {
				t.Fatal(err)
			}
			text, machine := goldenPlan(t, data, nil)
			golden(t, filepath.Join(dir, "want.txt"), text)
			golden(t, filepath.Join(dir, "want.json"), machine)
			for seed := range uint64(50) {
				shuffledText, shuffled := goldenPlan(t, data, rand.New(rand.NewPCG(seed, 0)))
				if shuffledText != text || shuffled != machine {
					t.Fatalf("seed %d: shuffled input gives another plan:\n%s", seed, cmp.Diff(machine, shuffled))
				}
			}
		})
	}
}

// goldenPlan plans all exports and imports of a case as one, its input shuffled
// when there is a source of randomness.
func goldenPlan(t *testing.T, data []byte, r *rand.Rand) (text, machine string) {
	t.Helper()
	var in goldenCase
	if err := yaml.UnmarshalStrict(data, &in); err != nil {
		t.Fatal(err)
	}
	if r != nil {
		in.shuffle(r)
	}
	var plans []Plan
	for i := range in.Services {
		s := &in.Services[i]
		p, err := planExport(in.Cluster, key(s), exportObserved{service: observe(t, s)}, newExportOptions(nil))
		if err != nil {
			t.Fatal(err)
		}
		plans = append(plans, p.Plan)
	}
	for _, e := range in.Exported {
		p, err := planImport(in.Into, e, importObserved{api: slicesV1}, newImportOptions(nil))
		if err != nil {
			t.Fatal(err)
		}
		plans = append(plans, p)
	}
	joined := JoinPlans(plans...)
	indented, err := json.MarshalIndent(joined, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return joined.String() + "\n", string(indented) + "\n"
}

func (in *goldenCase) shuffle(r *rand.Rand) {
	shuffle(r, in.Services)
	shuffle(r, in.Exported)
	for i := range in.Services {
		shuffle(r, in.Services[i].Spec.Ports)
	}
	for _, e := range in.Exported {
		shuffle(r, e.Ports)
		shuffle(r, e.Addresses)
	}
}

func shuffle[T any](r *rand.Rand, s []T) {
	r.Shuffle(len(s), func(i, j int) { s[i], s[j] = s[j], s[i] })
}

func golden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", file, diff)
	}
}
