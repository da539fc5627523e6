// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package nsxsim

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// The states of realization.
const (
	stateUnrealized = "UNREALIZED"
	stateRealized   = "REALIZED"
	stateError      = "ERROR"
)

// enforcementPoint is where everything is realized.
const enforcementPoint = "/infra/sites/default/enforcement-points/default"

// realization is what became of an intent.
type realization struct {
	state   string
	code    int // of the alarm
	message string
}

func realizationRoutes() []route {
	base := policyBase + "/infra/realized-state/"
	return []route{
		newRoute(http.MethodGet, base+"status", realizedStatus),
		newRoute(http.MethodGet, base+"realized-entities", realizedEntities),
		newRoute(http.MethodGet, base+"realized-entity", realizedEntity),
		newRoute(http.MethodGet, base+"alarms", listAlarms),
	}
}

// SetRealization fixes the state of realization of the object at path:
// REALIZED, UNREALIZED or ERROR, with the message of the alarm. It stays until
// it is set again; the empty state gives the object back to its own course.
// The object need not exist yet.
func (s *Server) SetRealization(path, state, message string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.notify()
	if state == "" {
		delete(s.forced, path)
		return
	}
	s.forced[path] = realization{state: state, message: message}
}

// realization returns what became of the object by now.
func (s *Server) realization(o *object) realization {
	if forced, ok := s.forced[o.path]; ok {
		return forced
	}
	if o.failure != nil {
		return *o.failure
	}
	if s.manual && !o.systemOwned() || s.now().Sub(o.changed) < s.realizationDelay {
		return realization{state: stateUnrealized}
	}
	return realization{state: stateRealized}
}

func (s *Server) realized(o *object) bool { return s.realization(o).state == stateRealized }

// intentParam returns the object that the query parameter intent_path names.
func (c *call) intentParam() (*object, error) {
	path := c.query.Get("intent_path")
	if path == "" {
		return nil, invalidField("intent_path is a required property")
	}
	o := c.s.intent.objects[path]
	if o == nil {
		return nil, c.s.notFound(path)
	}
	return o, nil
}

func realizedStatus(c *call) (any, error) {
	o, err := c.intentParam()
	if err != nil {
		return nil, err
	}
	r := c.s.realization(o)
	consolidated := map[string]any{"consolidated_status": consolidatedStatus(r)}
	status := map[string]any{
		"intent_path":         o.path,
		"intent_version":      strconv.FormatInt(o.number("_revision"), 10),
		"publish_status":      r.state,
		"consolidated_status": consolidated,
	}
	if c.flag("include_enforced_status") {
		status["consolidated_status_per_enforcement_point"] = []any{map[string]any{
			"resource_type":          "ConsolidatedStatusNsxT",
			"site_path":              "/infra/sites/default",
			"enforcement_point_id":   "default",
			"enforcement_point_path": enforcementPoint,
			"consolidated_status":    consolidated,
		}}
	}
	return status, nil
}

func consolidatedStatus(r realization) string {
	switch r.state {
	case stateRealized:
		return "SUCCESS"
	case stateError:
		return "ERROR"
	default:
		return "IN_PROGRESS"
	}
}

func realizedEntities(c *call) (any, error) {
	o, err := c.intentParam()
	if err != nil {
		return nil, err
	}
	entities := []any{}
	if e := c.s.entity(o); e != nil {
		entities = append(entities, e)
	}
	return map[string]any{"results": entities, "result_count": len(entities)}, nil
}

func realizedEntity(c *call) (any, error) {
	path := c.query.Get("realized_path")
	_, id := splitPath(path)
	for _, o := range c.s.intent.objects {
		if o.text("realization_id") != id {
			continue
		}
		if e := c.s.entity(o); e != nil {
			return e, nil
		}
	}
	return nil, c.s.notFound(path)
}

// entity returns the realized entity of the object; nil when its kind has none
// or it has not been realized yet.
func (s *Server) entity(o *object) map[string]any {
	r := s.realization(o)
	if o.kind.realized == "" || (r.state == stateUnrealized && o.number("_revision") == 0) {
		return nil
	}
	id := o.text("realization_id")
	entity := map[string]any{
		"resource_type":                   "GenericPolicyRealizedResource",
		"id":                              id,
		"display_name":                    o.text("display_name"),
		"path":                            "/infra/realized-state/enforcement-points/default/" + o.kind.realized + "/" + id,
		"relative_path":                   id,
		"entity_type":                     o.kind.realized,
		"realization_specific_identifier": id,
		"intent_paths":                    []string{o.path},
		"intent_reference":                []string{o.path},
		"enforcement_point_path":          enforcementPoint,
		"site_path":                       "/infra/sites/default",
		"state":                           r.state,
		"alarms":                          []any{},
		"extended_attributes":             s.extendedAttributes(o, r),
	}
	if r.state == stateError {
		entity["alarms"] = []any{alarm(o, r)}
		entity["publish_status_error"] = r.message
	}
	return entity
}

// extendedAttributes tells what realizing the object has found out.
func (s *Server) extendedAttributes(o *object, r realization) []any {
	attributes := []any{}
	if r.state != stateRealized {
		return attributes
	}
	for field, types := range map[string][]string{
		"allocation_ip": {"IpAddressAllocation"},
		"cidr":          {"IpAddressPoolBlockSubnet", "IpAddressPoolStaticSubnet"},
	} {
		if slices.Contains(types, o.text("resource_type")) {
			attributes = append(attributes, map[string]any{
				"data_type": "STRING", "key": field, "multivalue": false, "values": []string{o.text(field)},
			})
		}
	}
	return attributes
}

func alarm(o *object, r realization) map[string]any {
	details := map[string]any{
		"error_code": orDefault(r.code, 500042), "module_name": modulePolicy, "error_message": r.message,
	}
	id := o.text("realization_id") + "-alarm"
	return map[string]any{
		"resource_type":    "PolicyAlarmResource",
		"id":               id,
		"display_name":     id,
		"path":             "/infra/realized-state/alarms/" + id,
		"source_reference": o.path,
		"message":          r.message,
		"error_details":    details,
	}
}

func listAlarms(c *call) (any, error) {
	alarms := []*object{}
	for path, o := range c.s.intent.objects {
		if r := c.s.realization(o); r.state == stateError {
			alarms = append(alarms, plain(path, alarm(o, r)))
		}
	}
	slices.SortFunc(alarms, func(a, b *object) int { return strings.Compare(a.path, b.path) })
	return c.page(alarms, policyCursor{})
}
