// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package bridge

import (
	"strings"

	"k8s.io/apimachinery/pkg/types"

	"github.com/viaduct-sdk/viaduct/nsx"
)

// The scopes of the tags on what is Viaduct's in NSX.
const (
	tagManagedBy = markPrefix + "managed-by"
	tagID        = markPrefix + "id"
	tagCluster   = markPrefix + "cluster"
	tagNamespace = markPrefix + "namespace"
	tagName      = markPrefix + "name"
	tagExporter  = markPrefix + "exporter"
)

// nsxMark is what the tags on an object in NSX say.
type nsxMark struct {
	cluster string
	target  types.NamespacedName
	path    string
}

// id binds the tags to the object's path, so that a copy of them elsewhere does
// not make that object Viaduct's.
func (m nsxMark) id() string { return hash("firewall", m.cluster, m.target.String(), m.path) }

func (m nsxMark) tags() []any {
	return []any{
		tag(tagManagedBy, fieldManager), tag(tagID, m.id()),
		tag(tagCluster, m.cluster), tag(tagNamespace, m.target.Namespace), tag(tagName, m.target.Name),
	}
}

func tag(scope, value string) any { return map[string]any{"scope": scope, "tag": value} }

// tagsOf returns the values of the tags of a scope.
func tagsOf(o map[string]any, scope string) []string {
	list, _ := o["tags"].([]any)
	var found []string
	for _, item := range list {
		if t, ok := item.(map[string]any); ok && text(t, "scope") == scope {
			found = append(found, text(t, "tag"))
		}
	}
	return found
}

// readNSXMark returns the mark on an object, and whether it is a valid one.
func readNSXMark(o map[string]any) (nsxMark, bool) {
	one := func(scope string) string { return strings.Join(tagsOf(o, scope), ",") }
	m := nsxMark{one(tagCluster), types.NamespacedName{Namespace: one(tagNamespace), Name: one(tagName)}, text(o, "path")}
	return m, one(tagManagedBy) == fieldManager && one(tagID) == m.id()
}

// firewallPaths are those of the policy and the group of an import.
func firewallPaths(cluster string, target types.NamespacedName) (policy, group nsx.Path) {
	const domain = "/infra/domains/" + nsx.DefaultDomain
	id := fieldManager + "-" + hash(cluster, target.String())
	return nsx.Path(domain + "/security-policies/" + id), nsx.Path(domain + "/groups/" + id)
}
