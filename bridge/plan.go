// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package bridge

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
)

// Action is what a step does to its object.
type Action string

// The actions of a plan.
const (
	ActionCreate Action = "create"
	ActionUpdate Action = "update"
	ActionDelete Action = "delete"
)

// ObjectRef names an object of a cluster.
type ObjectRef struct {
	Cluster    string `json:"cluster"`
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Namespace  string `json:"namespace,omitempty"`
	Name       string `json:"name"`
}

// String returns "Kind namespace/name", for an object of NSX its path instead.
func (r ObjectRef) String() string {
	if r.APIVersion == nsxAPI {
		return r.Kind + " " + r.Name
	}
	return r.Kind + " " + types.NamespacedName{Namespace: r.Namespace, Name: r.Name}.String()
}

// Step is one write of a plan.
type Step struct {
	Action Action    `json:"action"`
	Object ObjectRef `json:"object"`
	// Reason says why, in a clause for people.
	Reason string `json:"reason"`
	// Before holds those fields of the object that Viaduct manages, as they
	// were found; nil when the object does not exist or none is Viaduct's.
	Before *unstructured.Unstructured `json:"before,omitempty"`
	// After holds the same fields as they will be; nil for a deletion. The uid
	// of an owner that the same plan creates is empty.
	After *unstructured.Unstructured `json:"after,omitempty"`

	// What an update or a deletion is bound to: the object as it was observed,
	// so that nothing is decided on one version and done to another.
	uid             types.UID
	resourceVersion string
	live            *unstructured.Unstructured
	// late is true of a step that comes when slices lead elsewhere.
	late bool
	// frees is true of a deletion that sets an address free which another step
	// waits for.
	frees bool
	// via is the cluster through which a step of NSX is carried out.
	via string
}

// Plan is the list of writes that lead from what was observed to what is
// wanted. The same input gives the same plan, byte for byte. It is a value:
// making one writes nothing.
type Plan struct {
	Steps []Step `json:"steps"`
}

// Empty reports whether nothing is to be done.
func (p Plan) Empty() bool { return len(p.Steps) == 0 }

// String returns a line per step: action, cluster, object and reason; for an
// empty plan "nothing to do".
func (p Plan) String() string {
	if p.Empty() {
		return "nothing to do"
	}
	lines := make([]string, len(p.Steps))
	for i, s := range p.Steps {
		lines[i] = fmt.Sprintf("%s %s: %s: %s", s.Action, s.Object.Cluster, s.Object, s.Reason)
	}
	return strings.Join(lines, "\n")
}

// MarshalJSON returns {"steps": […]}, an empty plan as an empty list.
func (p Plan) MarshalJSON() ([]byte, error) {
	steps := p.Steps
	if steps == nil {
		steps = []Step{}
	}
	return json.Marshal(map[string][]Step{"steps": steps})
}

// JoinPlans returns one plan with the steps of all, in order of execution. It
// serves to show several exports and imports as one.
func JoinPlans(plans ...Plan) Plan {
	var joined Plan
	for _, p := range plans {
		joined.Steps = append(joined.Steps, p.Steps...)
	}
	return joined.sorted()
}

// without returns the plan without some of its steps.
func (p Plan) without(some func(Step) bool) Plan {
	return Plan{Steps: slices.DeleteFunc(slices.Clone(p.Steps), some)}
}

// sorted orders the steps for execution. Owners are made before what they own.
// Slices are deleted before their Service, so that at no moment a slice of ours
// stands under a name that is not ours any more. The exporting side is opened
// first and closed last.
func (p Plan) sorted() Plan {
	slices.SortStableFunc(p.Steps, func(a, b Step) int {
		return cmp.Or(
			cmp.Compare(a.rank(), b.rank()),
			cmp.Compare(a.Object.Cluster, b.Object.Cluster),
			cmp.Compare(a.Object.Namespace, b.Object.Namespace),
			cmp.Compare(a.Object.Name, b.Object.Name),
		)
	})
	return p
}

// rank is the place of a step's kind in the order of execution: companions,
// importing Services, what opens firewalls, slices, and for deletions the other
// way round.
func (s Step) rank() int {
	const last = 100
	obj, rank := s.After, 10
	if s.Action == ActionDelete {
		obj = s.Before
	}
	switch {
	case s.late:
		return last - 25 // slices are deleted before
	case s.Object.Kind == kindNamespace:
		rank = 0
	case s.Object.Kind == kindEndpointSlice, s.Object.Kind == kindEndpoints:
		rank = 30
	case s.Object.Kind == kindSecurityPolicy:
		rank = 22
	case s.Object.Kind == kindGroup:
		rank = 21
	case s.Object.Kind == kindNetworkPolicy:
		rank = 20
	case obj != nil && obj.GetLabels()[labelRole] == string(RoleCompanion):
		rank = 0
	}
	if s.Action == ActionDelete {
		return last - rank
	}
	return rank
}

// object is an observed object with the fields of it that are ours.
type object struct {
	live    *unstructured.Unstructured // nil when absent
	managed *unstructured.Unstructured
}

// converge returns the steps, none or one, that give the observed object the
// wanted fields.
func converge(cluster string, observed object, want *unstructured.Unstructured, reason string) []Step {
	step := Step{Object: refOf(cluster, want), Reason: reason, After: want}
	if observed.live == nil {
		step.Action = ActionCreate
		return []Step{step}
	}
	if len(observed.live.GetManagedFields()) == 0 {
		// A server without server-side apply does not say which fields are ours.
		observed.managed = &unstructured.Unstructured{Object: project(observed.live.Object, want.Object)}
	}
	if equal(observed.managed, want) {
		return nil
	}
	step.Action = ActionUpdate
	step.Before = observed.managed
	return []Step{step.bound(observed.live)}
}

// project returns those fields of live that the wanted object has, and all marks
// of ours.
func project(live, want map[string]any) map[string]any {
	p := make(map[string]any, len(want))
	for k, v := range live {
		wanted, isWanted := want[k]
		have, isMap := v.(map[string]any)
		wantedMap, _ := wanted.(map[string]any)
		haveList, isList := v.([]any)
		wantedList, _ := wanted.([]any)
		switch {
		case isList && len(haveList) == len(wantedList):
			p[k] = projectItems(haveList, wantedList)
		case isMap && (isWanted || k == "labels" || k == "annotations"):
			p[k] = project(have, wantedMap)
		case isWanted, strings.HasPrefix(k, markPrefix):
			p[k] = v
		}
	}
	return p
}

// projectItems projects the items of a list, one by one.
func projectItems(live, want []any) []any {
	p := slices.Clone(live)
	for i := range p {
		have, isMap := live[i].(map[string]any)
		wanted, isWanted := want[i].(map[string]any)
		if isMap && isWanted {
			p[i] = project(have, wanted)
		}
	}
	return p
}

// remove returns the step that deletes the observed object, or none when it is
// absent or on its way out already.
func remove(cluster string, observed object, reason string) []Step {
	if observed.live == nil || observed.live.GetDeletionTimestamp() != nil {
		return nil
	}
	step := Step{
		Action: ActionDelete,
		Object: refOf(cluster, observed.live),
		Reason: reason,
		Before: observed.managed,
	}
	return []Step{step.bound(observed.live)}
}

func (s Step) bound(live *unstructured.Unstructured) Step {
	s.uid = live.GetUID()
	s.resourceVersion = live.GetResourceVersion()
	s.live = live
	return s
}

func refOf(cluster string, obj *unstructured.Unstructured) ObjectRef {
	return ObjectRef{
		Cluster:    cluster,
		APIVersion: obj.GetAPIVersion(),
		Kind:       obj.GetKind(),
		Namespace:  obj.GetNamespace(),
		Name:       obj.GetName(),
	}
}
