// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package nsxsim

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// mpKind describes one kind of object of the Manager API.
type mpKind struct {
	collection string
	types      []string
	refs       map[string]string // dotted field of an id → collection of the object meant
	required   []string
	defaults   string
	constant   bool // objects can't be changed, only made and deleted
	check      func(*Server, *object) error
}

// mpKinds is the registry of the Manager API's objects: those in which the
// NSX Container Plugin wrote before it knew the Policy API.
func mpKinds() []*mpKind {
	return []*mpKind{
		{
			collection: "/logical-switches", types: []string{"LogicalSwitch"},
			required: []string{"transport_zone_id", "admin_state"}, defaults: `{"replication_mode":"MTEP","vni":65536}`,
		},
		{
			collection: "/logical-ports", types: []string{"LogicalPort"},
			refs: map[string]string{"logical_switch_id": "/logical-switches"}, required: []string{"logical_switch_id", "admin_state"},
		},
		{collection: "/logical-routers", types: []string{"LogicalRouter"}, required: []string{"router_type"}},
		{
			collection: "/loadbalancer/services", types: []string{"LbService"},
			refs: map[string]string{
				"virtual_server_ids": "/loadbalancer/virtual-servers", "attachment.target_id": "/logical-routers",
			},
			defaults: `{"enabled":true,"size":"SMALL","error_log_level":"INFO"}`,
		},
		{
			collection: "/loadbalancer/virtual-servers", types: []string{"LbVirtualServer"},
			refs: map[string]string{
				"pool_id": "/loadbalancer/pools", "sorry_pool_id": "/loadbalancer/pools",
				"application_profile_id": "/loadbalancer/application-profiles",
				"persistence_profile_id": "/loadbalancer/persistence-profiles", "rule_ids": "/loadbalancer/rules",
			},
			required: []string{"application_profile_id", "ip_address"}, defaults: `{"enabled":true,"ip_protocol":"TCP"}`,
		},
		{
			collection: "/loadbalancer/pools", types: []string{"LbPool"},
			refs:     map[string]string{"active_monitor_ids": "/loadbalancer/monitors", "passive_monitor_id": "/loadbalancer/monitors"},
			defaults: `{"algorithm":"ROUND_ROBIN","min_active_members":1}`,
		},
		{
			collection: "/loadbalancer/monitors", types: []string{
				"LbTcpMonitor", "LbUdpMonitor", "LbHttpMonitor", "LbHttpsMonitor", "LbIcmpMonitor", "LbPassiveMonitor",
			},
		},
		{collection: "/loadbalancer/application-profiles", types: []string{"LbFastTcpProfile", "LbFastUdpProfile", "LbHttpProfile"}},
		{
			collection: "/loadbalancer/persistence-profiles",
			types:      []string{"LbSourceIpPersistenceProfile", "LbCookiePersistenceProfile"},
		},
		{collection: "/loadbalancer/rules", types: []string{"LbRule"}},
		{collection: "/ns-groups", types: []string{"NSGroup"}},
		{collection: "/ip-sets", types: []string{"IPSet"}},
		{collection: "/pools/ip-pools", types: []string{"IpPool"}, check: checkManagerPool},
		{collection: "/pools/ip-blocks", types: []string{"IpBlock"}, required: []string{"cidr"}},
		{
			collection: mpSubnets, constant: true, types: []string{"IpBlockSubnet"}, required: []string{"block_id", "size"},
			refs: map[string]string{"block_id": "/pools/ip-blocks"}, check: carveManagerSubnet,
		},
	}
}

func mpRoutes() []route {
	var all []route
	all = append(all, mpFirewallRoutes()...)
	all = append(all, mpPoolRoutes()...)
	all = append(all, mpStatusRoutes()...)
	for _, k := range mpKinds() {
		all = append(all,
			newRoute(http.MethodGet, managerBase+k.collection, k.list),
			newRoute(http.MethodPost, managerBase+k.collection, k.create),
			newRoute(http.MethodGet, managerBase+k.collection+"/{id}", k.get),
			newRoute(http.MethodDelete, managerBase+k.collection+"/{id}", k.delete),
		)
		if !k.constant {
			all = append(all, newRoute(http.MethodPut, managerBase+k.collection+"/{id}", k.update))
		}
	}
	for i, r := range all {
		all[i].handler = atomic(r.handler)
	}
	return append(all, newRoute(http.MethodGet, managerBase+"/search/query", func(c *call) (any, error) {
		var objects []*object
		for _, o := range c.s.manager.objects {
			objects = append(objects, o)
		}
		return c.search(objects)
	}))
}

// atomic undoes what the handler did when it fails.
func atomic(h handler) handler {
	return func(c *call) (any, error) {
		order := maps.Clone(c.s.order)
		answer, err := h(c)
		if err != nil {
			for _, undo := range slices.Backward(c.undo) {
				undo()
			}
			c.s.order = order
		}
		return answer, err
	}
}

// managerPut and managerRemove change the store and remember how to undo it.
func (c *call) managerPut(o *object) {
	c.remember(o.path)
	c.s.manager.put(o)
}

func (c *call) managerRemove(path string) {
	c.remember(path)
	c.s.manager.remove(path)
}

func (c *call) remember(path string) {
	old := c.s.manager.objects[path]
	c.undo = append(c.undo, func() {
		if old != nil {
			c.s.manager.put(old)
		} else {
			c.s.manager.remove(path)
		}
	})
}

// managerCursor is the dialect of the Manager API: opaque, with a prefix of
// zeros at the end.
type managerCursor struct{}

func (managerCursor) next(all listing, end int) string {
	if end == 0 || end >= all.len() {
		return "0000"
	}
	id := all.at(end - 1).id()
	return fmt.Sprintf("%04d%s:%d", len(id), id, end)
}

func (managerCursor) start(all listing, cursor string) (int, error) {
	if len(cursor) < 4 || strings.HasPrefix(cursor, "0000") {
		return 0, invalidCursor(cursor)
	}
	_, text, _ := strings.Cut(cursor[4:], ":")
	offset, err := strconv.Atoi(text)
	if err != nil || offset < 1 {
		return 0, invalidCursor(cursor)
	}
	id := cursor[4 : len(cursor)-len(text)-1]
	return all.afterWhere(offset, func(o *object) bool { return o.id() == id }), nil
}

func (k *mpKind) list(c *call) (any, error) {
	objects := c.s.manager.in(k.collection)
	for _, filter := range []string{"logical_switch_id", "router_type", "block_id"} {
		if want := c.query.Get(filter); want != "" {
			objects = slices.DeleteFunc(objects, func(o *object) bool { return o.text(filter) != want })
		}
	}
	return c.page(objects, managerCursor{})
}

func (c *call) managerObject(collection string) (*object, error) {
	o := c.s.manager.objects[collection+"/"+c.vars["id"]]
	if o == nil {
		return nil, missingManager(collection, c.vars["id"])
	}
	return o, nil
}

func missingManager(collection, id string) error {
	_, name := splitPath(collection)
	return &apiError{
		status: http.StatusNotFound, code: codeMissingManager, module: moduleCommon,
		message: fmt.Sprintf("The requested object : %s/%s could not be found. Object identifiers are case sensitive.", name, id),
	}
}

func (k *mpKind) get(c *call) (any, error) {
	o, err := c.managerObject(k.collection)
	if err != nil {
		return nil, err
	}
	return c.s.listed(o), nil
}

func created(o *object) *reply { return &reply{status: http.StatusCreated, body: o.raw} }

func (k *mpKind) create(c *call) (any, error) {
	if c.query.Has("action") {
		return nil, c.unsimulated()
	}
	sent, err := c.object()
	if err != nil {
		return nil, err
	}
	o, err := c.managerWrite(k, k.collection+"/"+c.s.newUUID(), sent)
	if err != nil {
		return nil, err
	}
	return created(o), nil
}

func (k *mpKind) update(c *call) (any, error) {
	old, err := c.managerObject(k.collection)
	if err != nil {
		return nil, err
	}
	sent, err := c.object()
	if err != nil {
		return nil, err
	}
	if err := fresh(old, sent); err != nil {
		return nil, err
	}
	o, err := c.managerWrite(k, old.path, sent)
	if err != nil {
		return nil, err
	}
	return json.RawMessage(o.raw), nil
}

// fresh refuses a copy that is not the current one.
func fresh(old *object, sent map[string]any) error {
	if revision, ok := sent["_revision"].(json.Number); ok && asInt(revision) == old.number("_revision") {
		return nil
	}
	return &apiError{
		status: http.StatusPreconditionFailed, code: codeStaleManager, module: moduleCommon,
		message: "The object " + old.text("resource_type") + "/" + old.id() + " was modified by somebody else. Please retry.",
	}
}

func (k *mpKind) delete(c *call) (any, error) {
	o, err := c.managerObject(k.collection)
	if err != nil {
		return nil, err
	}
	if c.flag("cascade") {
		for _, path := range c.s.manager.referring(o.path) {
			if err := c.managerDelete(c.s.manager.objects[path], false); err != nil {
				return nil, err
			}
		}
	}
	return nil, c.managerDelete(o, c.flag("force"))
}

// managerDelete deletes the object unless others refer to it.
func (c *call) managerDelete(o *object, force bool) error {
	t := c.txn()
	t.s = c.s
	if err := t.mayChange(o); err != nil {
		return err
	}
	referrers := c.s.manager.referring(o.path)
	if len(referrers) > 0 && !force {
		return badRequest(codeInUseManager, moduleCommon, "The object %s/%s is in use by %s and can not be deleted.",
			o.text("resource_type"), o.id(), strings.Join(referrers, ","))
	}
	c.managerRemove(o.path)
	return nil
}

// managerWrite stores the object that the client sent, at path.
func (c *call) managerWrite(k *mpKind, path string, sent map[string]any) (*object, error) {
	old := c.s.manager.objects[path]
	typ, _ := sent["resource_type"].(string)
	if typ == "" && len(k.types) == 1 {
		typ = k.types[0]
	}
	if !slices.Contains(k.types, typ) {
		return nil, invalidField("resource_type is a required property, one of %s", strings.Join(k.types, ", "))
	}
	if err := c.s.schema.check("mp."+typ, sent); err != nil {
		return nil, err
	}
	t := c.txn()
	t.s, t.now = c.s, c.s.now()
	if old != nil {
		if err := t.mayChange(old); err != nil {
			return nil, err
		}
	}
	o := &object{path: path, body: k.fill(t, path, old, sent), changed: t.now}
	o.body["resource_type"] = typ
	if err := k.finish(c.s, o); err != nil {
		return nil, err
	}
	o.raw, _ = json.Marshal(o.body) // JSON values always encode
	c.managerPut(o)
	return o, nil
}

// fill returns the whole object: defaults, what was sent, what NSX sets.
func (k *mpKind) fill(t *txn, path string, old *object, sent map[string]any) map[string]any {
	body := map[string]any{}
	if k.defaults != "" {
		body, _ = decodeObject([]byte(k.defaults)) // the registry's own JSON
	}
	for name, value := range sent {
		if value != nil && value != "" {
			body[name] = value
		}
	}
	_, id := splitPath(path)
	body["id"] = id
	if body["display_name"] == nil {
		body["display_name"] = id
	}
	t.stamp(body, old)
	delete(body, "unique_id")
	delete(body, "realization_id")
	return body
}

// finish checks the object's fields and references.
func (k *mpKind) finish(s *Server, o *object) error {
	for _, name := range k.required {
		if o.body[name] == nil {
			return invalidField("%s is a required property of type %s", name, k.types[0])
		}
	}
	for dotted, collection := range k.refs {
		for _, id := range valuesOf(o.body, strings.Split(dotted, ".")) {
			path := collection + "/" + id
			if s.manager.objects[path] == nil {
				return missingManager(collection, id)
			}
			o.refs = append(o.refs, path)
		}
	}
	slices.Sort(o.refs)
	o.refs = slices.Compact(o.refs)
	if k.check != nil {
		return k.check(s, o)
	}
	return nil
}
