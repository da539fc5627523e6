// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

// Package sdktest drives nsxsim with VMware's own generated clients, unchanged.
// It is a package of its own because their model is megabytes of source.
package sdktest

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	vapierrors "github.com/vmware/vsphere-automation-sdk-go/lib/vapi/std/errors"
	"github.com/vmware/vsphere-automation-sdk-go/runtime/bindings"
	"github.com/vmware/vsphere-automation-sdk-go/runtime/core"
	"github.com/vmware/vsphere-automation-sdk-go/runtime/data"
	"github.com/vmware/vsphere-automation-sdk-go/runtime/protocol/client"
	"github.com/vmware/vsphere-automation-sdk-go/runtime/security"
	"github.com/vmware/vsphere-automation-sdk-go/services/nsxt/search"

	"github.com/viaduct-sdk/viaduct/nsx/nsxsim"
)

// connect returns a REST connector of the SDK that reaches the simulator.
func connect(srv *nsxsim.Server) client.Connector {
	login := security.NewUserPasswordSecurityContext(nsxsim.DefaultUser, nsxsim.DefaultPassword)
	return client.NewConnector(srv.URL(), client.UsingRest(nil), client.WithHttpClient(srv.Client()),
		client.WithSecurityContext(login), client.WithApplicationContext(core.NewApplicationContext(nil)))
}

// resource is one kind of object, and how the SDK's client handles it. T is a
// struct of the SDK's model.
type resource[T any] struct {
	typ    string // as searches know it
	make   func(n int) T
	patch  func(id string, object T) error
	get    func(id string) (T, error)
	update func(id string, object T) (T, error)
	list   func(cursor *string, size *int64) (any, error)
	delete func(id string) error
}

// count is how many objects of each kind the tests make, listed in pages of
// two.
const count = 5

// test creates, reads, lists, updates, searches and deletes objects of the
// kind.
func (r resource[T]) test(t *testing.T, connector client.Connector) {
	t.Helper()
	var ids []string
	for n := range count {
		id := fmt.Sprintf("sdk-%d", n)
		ids = append(ids, id)
		if err := r.patch(id, r.make(n)); err != nil {
			t.Fatalf("patch %s: %v", id, describe(err))
		}
	}
	object, err := r.get("sdk-1")
	if err != nil {
		t.Fatalf("get: %v", describe(err))
	}
	if got := field[string](object, "Id"); got != "sdk-1" {
		t.Errorf("get: id %q", got)
	}
	if diff := cmp.Diff(ids, r.pages(t)); diff != "" {
		t.Errorf("list across pages: %s", diff)
	}
	set(&object, "Description", new("changed"))
	updated, err := r.update("sdk-1", object)
	if err != nil {
		t.Fatalf("update: %v", describe(err))
	}
	if got := field[int64](updated, "Revision"); got != 1 {
		t.Errorf("update: revision %d", got)
	}
	if _, err := r.update("sdk-1", object); err == nil {
		t.Error("updating from a stale copy succeeds")
	}
	if diff := cmp.Diff([]string{"sdk-1"}, find(t, connector, fmt.Sprintf("resource_type:%s AND description:changed", r.typ))); diff != "" {
		t.Errorf("search: %s", diff)
	}
	for _, id := range ids {
		if err := r.delete(id); err != nil {
			t.Fatalf("delete %s: %v", id, describe(err))
		}
	}
	var missing vapierrors.NotFound
	if _, err := r.get("sdk-1"); !errors.As(err, &missing) {
		t.Errorf("get after delete: %v", err)
	}
}

// pages lists the test's objects, page by page.
func (r resource[T]) pages(t *testing.T) []string {
	t.Helper()
	var ids []string
	var cursor *string
	for range 100 {
		page, err := r.list(cursor, new(int64(2)))
		if err != nil {
			t.Fatalf("list: %v", describe(err))
		}
		results := reflect.ValueOf(page).FieldByName("Results")
		for i := range results.Len() {
			if id := identify(t, results.Index(i).Interface()); len(id) > 4 && id[:4] == "sdk-" {
				ids = append(ids, id)
			}
		}
		if cursor = reflect.ValueOf(page).FieldByName("Cursor").Interface().(*string); cursor == nil {
			return ids
		}
	}
	t.Fatal("the list does not end")
	return nil
}

// identify returns the id of a struct of the model or of a dynamic one.
func identify(t *testing.T, object any) string {
	t.Helper()
	dynamic, ok := object.(*data.StructValue)
	if !ok {
		return field[string](object, "Id")
	}
	id, err := dynamic.StringField("id")
	if err != nil {
		// Optional fields of dynamic structs are wrapped.
		value, fieldErr := dynamic.Optional("id")
		if fieldErr != nil {
			t.Fatal(err, fieldErr)
		}
		id, err = value.StringValue()
		if err != nil {
			t.Fatal(err)
		}
	}
	return id
}

// field returns the value to which a field of the struct points.
func field[V any](object any, name string) V {
	value, _ := reflect.ValueOf(object).FieldByName(name).Interface().(*V)
	if value == nil {
		var zero V
		return zero
	}
	return *value
}

func set(object any, name string, value any) {
	reflect.ValueOf(object).Elem().FieldByName(name).Set(reflect.ValueOf(value))
}

// find returns the ids that a search finds.
func find(t *testing.T, connector client.Connector, query string) []string {
	t.Helper()
	response, err := search.NewQueryClient(connector).List(query, nil, nil, nil, nil, nil)
	if err != nil {
		t.Fatalf("search: %v", describe(err))
	}
	var ids []string
	for _, found := range response.Results {
		ids = append(ids, identify(t, found))
	}
	slices.Sort(ids)
	return ids
}

// describe tells what the SDK's errors hide behind their types.
func describe(err error) string {
	value := reflect.ValueOf(err)
	if value.Kind() == reflect.Struct {
		if dynamic, ok := value.FieldByName("Data").Interface().(*data.StructValue); ok && dynamic != nil {
			if message, messageErr := dynamic.StringField("error_message"); messageErr == nil {
				return fmt.Sprintf("%T: %s", err, message)
			}
			return fmt.Sprintf("%T: %v", err, dynamic.Fields())
		}
	}
	return fmt.Sprintf("%T: %v", err, err)
}

// pack and unpack convert between structs of the model and the dynamic ones
// that the SDK uses where the API is polymorphic.
func pack(object any, typ bindings.BindingType) *data.StructValue {
	value, errs := bindings.NewTypeConverter().ConvertToVapi(object, typ)
	if len(errs) > 0 {
		return nil
	}
	packed, _ := value.(*data.StructValue)
	return packed
}

func unpack[T any](dynamic *data.StructValue, err error, typ bindings.BindingType) (T, error) {
	var zero T
	if err != nil {
		return zero, err
	}
	value, errs := bindings.NewTypeConverter().ConvertToGolang(dynamic, typ)
	if len(errs) > 0 {
		return zero, errors.Join(errs...)
	}
	object, _ := value.(T)
	return object, nil
}
