// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package bridge

import (
	"cmp"
	"crypto/sha256"
	"encoding/base32"
	"encoding/json"
	"strings"

	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// fieldManager is the field manager of every write.
const fieldManager = "viaduct"

// Labels and annotations by which an object says that Viaduct made it, and for
// what.
const (
	markPrefix       = "viaduct-sdk.github.io/"
	labelManagedBy   = "app.kubernetes.io/managed-by"
	labelRole        = markPrefix + "role"
	labelID          = markPrefix + "id"
	annotationSource = markPrefix + "source"
)

// Role is what an object that Viaduct made is for.
type Role string

// The roles.
const (
	// RoleCompanion is the LoadBalancer Service beside an exported one.
	RoleCompanion Role = "companion"
	// RoleConverted is a Service of the user whose type Viaduct changed.
	RoleConverted Role = "converted"
	// RoleImport is the Service of an import, and its slices.
	RoleImport Role = "import"
)

// Ownership is what the marks on an object say.
type Ownership struct {
	Role Role
	// Source is the Service that was exported.
	Source Source
}

// OwnershipOf returns what the marks on a Service or EndpointSlice say, and
// whether Viaduct made the object: marks that were copied from another object
// do not count.
func OwnershipOf(obj metav1.Object) (Ownership, bool) {
	target := key(obj)
	if service := obj.GetLabels()[discoveryv1.LabelServiceName]; service != "" {
		target.Name = service
	}
	m, ok := readMark(obj, target)
	return Ownership{m.role, m.source}, ok
}

// Source names the Service that was exported.
type Source struct {
	// Cluster is the name that the exporting cluster has in [NewCluster].
	Cluster   string    `json:"cluster"`
	Namespace string    `json:"namespace"`
	Name      string    `json:"name"`
	UID       types.UID `json:"uid"`
}

// String returns "cluster/namespace/name".
func (s Source) String() string { return s.Cluster + "/" + s.Namespace + "/" + s.Name }

// sameService reports whether two sources are the same Service by name. The
// UID is left out: a Service that was deleted and made again is still the same
// export.
func (s Source) sameService(o Source) bool { return s.String() == o.String() }

// mark is the ownership that is written on an object of ours.
type mark struct {
	role   Role
	source Source
	// target is the Service that the object exists for: the companion itself,
	// or the importing Service, of which the slices are part.
	target types.NamespacedName
	// name is the object's own name.
	name string
}

// id binds the marks to the object's own place, so that a copy of them elsewhere
// does not make that object ours.
func (m mark) id() string {
	return hash(string(m.role), m.target.String(), m.name)
}

func (m mark) labels() map[string]string {
	return map[string]string{
		labelManagedBy: fieldManager,
		labelRole:      string(m.role),
		labelID:        m.id(),
	}
}

func (m mark) annotations() map[string]string {
	source, err := json.Marshal(m.source)
	if err != nil {
		source = nil // four strings always marshal
	}
	return map[string]string{annotationSource: string(source)}
}

// readMark returns the mark of an object that exists for target, and whether it
// has a valid one: only then is the object ours.
func readMark(obj metav1.Object, target types.NamespacedName) (mark, bool) {
	m := mark{role: Role(obj.GetLabels()[labelRole]), target: target, name: obj.GetName()}
	if err := json.Unmarshal([]byte(obj.GetAnnotations()[annotationSource]), &m.source); err != nil {
		return mark{}, false
	}
	return m, m.role != "" && obj.GetLabels()[labelID] == m.id()
}

// owner names who seems to own an object that is not ours, for an error.
func owner(obj metav1.Object) string {
	if ref := metav1.GetControllerOf(obj); ref != nil {
		return ref.Kind + " " + ref.Name
	}
	for _, f := range obj.GetManagedFields() {
		if f.Subresource == "" && f.Manager != fieldManager {
			return "field manager " + f.Manager
		}
	}
	return cmp.Or(obj.GetLabels()[labelManagedBy], "somebody else")
}

// hash returns ten characters that are good in a name and a label value.
func hash(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return strings.ToLower(base32.HexEncoding.EncodeToString(sum[:]))[:10]
}
