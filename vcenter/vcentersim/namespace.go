// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package vcentersim

import (
	"context"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
)

// namespace is one vSphere Namespace as the API shows it.
type namespace struct {
	name string
	// cancel ends the controller's creation, created is closed when it ended.
	cancel  context.CancelFunc
	created chan struct{}

	Cluster          string            `json:"cluster"`
	ConfigStatus     string            `json:"config_status"`
	Messages         []stateMessage    `json:"messages"`
	Stats            stats             `json:"stats"`
	Description      string            `json:"description"`
	ResourceSpec     map[string]any    `json:"resource_spec,omitempty"`
	AccessList       []access          `json:"access_list"`
	StorageSpecs     []storageSpec     `json:"storage_specs"`
	VMServiceSpec    *vmServiceSpec    `json:"vm_service_spec,omitempty"`
	Creator          map[string]string `json:"creator,omitempty"`
	SelfService      bool              `json:"self_service_namespace"`
	contentLibraries []map[string]any  // version 2 only
}

type stateMessage struct {
	Severity string  `json:"severity"`
	Details  message `json:"details"`
}

type stats struct {
	CPU     int64 `json:"cpu_used"`
	Memory  int64 `json:"memory_used"`
	Storage int64 `json:"storage_used"`
}

type storageSpec struct {
	Policy string `json:"policy"`
	Limit  *int64 `json:"limit,omitempty"`
}

type vmServiceSpec struct {
	ContentLibraries []string `json:"content_libraries"`
	VMClasses        []string `json:"vm_classes"`
}

// namespaceSpec is what create, set and update take. Nil leaves a field as it
// is when updating.
type namespaceSpec struct {
	Cluster          string            `json:"cluster"`
	Supervisor       string            `json:"supervisor"`
	Namespace        string            `json:"namespace"`
	Description      *string           `json:"description"`
	ResourceSpec     map[string]any    `json:"resource_spec"`
	AccessList       *[]access         `json:"access_list"`
	StorageSpecs     *[]storageSpec    `json:"storage_specs"`
	VMServiceSpec    *vmServiceSpec    `json:"vm_service_spec"`
	Creator          map[string]string `json:"creator"`
	ContentLibraries *[]map[string]any `json:"content_libraries"`
}

func (s *Server) namespaceRoutes() map[string]endpoint {
	const base = "/api/vcenter/namespaces/instances"
	routes := map[string]endpoint{
		"GET " + base:                                 s.listNamespaces,
		"POST " + base:                                s.createNamespace,
		"GET " + base + "/{namespace}":                s.getNamespace,
		"PUT " + base + "/{namespace}":                s.setNamespace,
		"PATCH " + base + "/{namespace}":              s.updateNamespace,
		"DELETE " + base + "/{namespace}":             s.deleteNamespace,
		"GET /api/vcenter/namespaces-user/namespaces": s.listUserNamespaces,
	}
	if s.atLeast(8) {
		routes["GET "+base+"/v2"] = s.listNamespacesV2
		routes["POST "+base+"/v2"] = s.createNamespaceV2
		routes["GET "+base+"/v2/{namespace}"] = s.getNamespaceV2
	}
	return routes
}

func (s *Server) listNamespaces(c *call) (any, error) {
	if err := c.may(privilegeRead); err != nil {
		return nil, err
	}
	s.world.mu.Lock()
	defer s.world.mu.Unlock()
	list := []map[string]any{}
	for _, name := range slices.Sorted(maps.Keys(s.world.namespaces)) {
		ns := s.world.namespaces[name]
		list = append(list, map[string]any{
			"cluster": ns.Cluster, "namespace": name, "config_status": ns.ConfigStatus,
			"description": ns.Description, "stats": ns.Stats, "self_service_namespace": ns.SelfService,
		})
	}
	return list, nil
}

func (s *Server) getNamespace(c *call) (any, error) {
	if err := c.may(privilegeRead); err != nil {
		return nil, err
	}
	s.world.mu.Lock()
	defer s.world.mu.Unlock()
	ns, err := s.world.namespace(c.PathValue("namespace"))
	if err != nil {
		return nil, err
	}
	return ns.copy(), nil
}

// copy returns what may be encoded without the world's lock.
func (ns *namespace) copy() namespace {
	out := *ns
	out.Messages = slices.Clone(ns.Messages)
	out.AccessList = slices.Clone(ns.AccessList)
	out.StorageSpecs = slices.Clone(ns.StorageSpecs)
	out.ResourceSpec = maps.Clone(ns.ResourceSpec)
	return out
}

func (s *Server) createNamespace(c *call) (any, error) {
	if err := c.may(privilegeConfigure); err != nil {
		return nil, err
	}
	var spec namespaceSpec
	if err := c.decode(&spec); err != nil {
		return nil, err
	}
	return nil, s.create(c.user, spec)
}

// create adds a namespace and starts its controller.
func (s *Server) create(user User, spec namespaceSpec) error {
	if err := checkName(spec.Namespace); err != nil {
		return err
	}
	if err := checkSpec(spec); err != nil {
		return err
	}
	w := s.world
	w.mu.Lock()
	defer w.mu.Unlock()
	cl, ok := w.clusters[spec.Cluster]
	if !ok {
		if _, known := s.vim.inventory.clusters[spec.Cluster]; known {
			return invalid("cluster.disabled", "The cluster %s is not enabled for workload management.", spec.Cluster)
		}
		return notFound("cluster", spec.Cluster)
	}
	if cl.ConfigStatus != stateRunning {
		return notAllowed("cluster.state", "The cluster %s is %s.", spec.Cluster, cl.ConfigStatus)
	}
	if _, there := w.namespaces[spec.Namespace]; there {
		return exists("namespace", spec.Namespace)
	}
	name, domain, _ := strings.Cut(user.Name, "@")
	ns := &namespace{
		name: spec.Namespace, Cluster: spec.Cluster, ConfigStatus: stateRunning,
		Messages: []stateMessage{}, AccessList: []access{}, StorageSpecs: []storageSpec{},
		Creator: map[string]string{"subject": name, "domain": domain},
		cancel:  func() {},
	}
	if spec.Creator != nil {
		ns.Creator = spec.Creator
	}
	ns.apply(spec)
	w.namespaces[ns.name] = ns
	if ctl := w.controller; ctl != nil {
		ns.ConfigStatus, ns.created = stateConfiguring, make(chan struct{})
		var ctx context.Context
		ctx, ns.cancel = context.WithCancel(s.ctx)
		s.work.Go(func() {
			defer close(ns.created)
			w.configured(ns, ctl.CreateNamespace(ctx, ns.name))
		})
	}
	return nil
}

// configured is the end of CONFIGURING.
func (w *world) configured(ns *namespace, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.namespaces[ns.name] != ns || ns.ConfigStatus != stateConfiguring {
		return // it is being removed meanwhile
	}
	if err != nil {
		ns.fail(err)
		return
	}
	ns.ConfigStatus = stateRunning
}

func (ns *namespace) fail(err error) {
	ns.ConfigStatus = stateError
	ns.Messages = append(ns.Messages, stateMessage{
		Severity: "ERROR", Details: newMessage("vcenter.wcp.namespace.error", err.Error(), ns.name),
	})
}

// apply changes what the spec names.
func (ns *namespace) apply(spec namespaceSpec) {
	if spec.Description != nil {
		ns.Description = *spec.Description
	}
	if spec.ResourceSpec != nil {
		ns.ResourceSpec = spec.ResourceSpec
	}
	if spec.AccessList != nil {
		ns.AccessList = *spec.AccessList
	}
	if spec.StorageSpecs != nil {
		ns.StorageSpecs = *spec.StorageSpecs
	}
	if spec.VMServiceSpec != nil {
		ns.VMServiceSpec = spec.VMServiceSpec
	}
	if spec.ContentLibraries != nil {
		ns.contentLibraries = *spec.ContentLibraries
	}
}

func (s *Server) updateNamespace(c *call) (any, error) { return nil, s.change(c, false) }

func (s *Server) setNamespace(c *call) (any, error) { return nil, s.change(c, true) }

// change updates a namespace, or replaces what the spec leaves out too.
func (s *Server) change(c *call, replace bool) error {
	if err := c.may(privilegeConfigure); err != nil {
		return err
	}
	var spec namespaceSpec
	if err := c.decode(&spec); err != nil {
		return err
	}
	if err := checkSpec(spec); err != nil {
		return err
	}
	s.world.mu.Lock()
	defer s.world.mu.Unlock()
	ns, err := s.world.namespace(c.PathValue("namespace"))
	if err != nil {
		return err
	}
	if ns.ConfigStatus == stateRemoving {
		return notAllowed("namespace.removing", "The namespace %s is being removed.", ns.name)
	}
	if replace {
		ns.Description, ns.ResourceSpec, ns.VMServiceSpec = "", nil, nil
		ns.AccessList, ns.StorageSpecs = []access{}, []storageSpec{}
	}
	ns.apply(spec)
	return nil
}

func (s *Server) deleteNamespace(c *call) (any, error) {
	if err := c.may(privilegeConfigure); err != nil {
		return nil, err
	}
	w := s.world
	w.mu.Lock()
	defer w.mu.Unlock()
	ns, err := w.namespace(c.PathValue("namespace"))
	if err != nil {
		return nil, err
	}
	if ns.ConfigStatus == stateRemoving {
		return nil, nil //nolint:nilnil // an empty answer is one
	}
	ctl := w.controller
	if ctl == nil {
		delete(w.namespaces, ns.name)
		return nil, nil //nolint:nilnil // an empty answer is one
	}
	ns.ConfigStatus, ns.Messages = stateRemoving, []stateMessage{}
	ns.cancel()
	s.work.Go(func() {
		if ns.created != nil {
			<-ns.created // a controller does one thing at a time for a namespace
		}
		w.removed(ns, ctl.DeleteNamespace(s.ctx, ns.name))
	})
	return nil, nil //nolint:nilnil // an empty answer is one
}

// removed is the end of REMOVING.
func (w *world) removed(ns *namespace, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err != nil {
		ns.fail(err)
		return
	}
	delete(w.namespaces, ns.name)
}

// namespace finds a namespace. The caller holds mu.
func (w *world) namespace(name string) (*namespace, error) {
	ns, ok := w.namespaces[name]
	if !ok {
		return nil, notFound("namespace", name)
	}
	return ns, nil
}

func checkName(name string) error {
	if strings.HasPrefix(name, "vmware-system") {
		return &apiError{
			status: http.StatusForbidden, kind: "UNAUTHORIZED", id: "vcenter.wcp.namespace.reserved",
			text: "Namespaces whose name starts with vmware-system belong to the system.", args: []string{name},
		}
	}
	if len(name) > 63 || !regexp.MustCompile(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`).MatchString(name) {
		return invalid("namespace.name", "The namespace name %q must be a DNS label: at most 63 of a-z, 0-9 and '-'.", name)
	}
	return nil
}

func checkSpec(spec namespaceSpec) error {
	if spec.StorageSpecs != nil {
		for _, st := range *spec.StorageSpecs {
			if !slices.ContainsFunc(storagePolicies(), func(p storagePolicy) bool { return p.id == st.Policy }) {
				return invalid("storage.policy", "The storage policy %s does not exist.", st.Policy)
			}
			if st.Limit != nil && *st.Limit < 0 {
				return invalid("storage.limit", "The limit %d of storage policy %s is negative.", *st.Limit, st.Policy)
			}
		}
	}
	for name, value := range spec.ResourceSpec {
		if n, ok := value.(float64); ok && n < 0 {
			return invalid("resource.limit", "%s is negative: %v.", name, n)
		}
	}
	return nil
}
