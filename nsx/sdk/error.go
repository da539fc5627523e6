// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package sdk

import (
	"errors"
	"fmt"
	"net/http"
	"reflect"

	"github.com/vmware/vsphere-automation-sdk-go/lib/vapi/std"
	sdkerrors "github.com/vmware/vsphere-automation-sdk-go/lib/vapi/std/errors"
	"github.com/vmware/vsphere-automation-sdk-go/runtime/data"

	"github.com/viaduct-sdk/viaduct"
	"github.com/viaduct-sdk/viaduct/nsx"
)

// Error returns the error of a generated method together with what it means:
// it matches the sentinels of package viaduct as errors of package nsx do, and
// [errors.As] finds an [*nsx.Error] with the server's status, code and message
// in it, as well as the SDK's own error. When no server answered, it matches
// [viaduct.ErrUnavailable].
//
// Nil stays nil, and an error that is not the SDK's is returned as it is.
func Error(err error) error {
	for inner := err; inner != nil; inner = errors.Unwrap(inner) {
		if answer := meaning(inner); answer != nil {
			return &meant{sdk: err, nsx: answer}
		}
	}
	return err
}

// meant is an error of the SDK with its meaning.
type meant struct {
	sdk error
	nsx error
}

// Error returns the server's answer, which the SDK's text does not hold.
func (e *meant) Error() string { return e.nsx.Error() + " (" + e.sdk.Error() + ")" }

// Unwrap returns both errors.
func (e *meant) Unwrap() []error { return []error{e.sdk, e.nsx} }

// meaning returns the answer in an error of the SDK, or what the SDK says when
// it got none; nil when err is not the SDK's. The SDK has some 25 types of errors
// with the same fields and no interface.
func meaning(err error) error {
	value := reflect.Indirect(reflect.ValueOf(err))
	if value.Kind() != reflect.Struct || value.Type().PkgPath() != reflect.TypeFor[sdkerrors.Error]().PkgPath() {
		return nil
	}
	field, messages := value.FieldByName("Data"), value.FieldByName("Messages")
	if !field.IsValid() || !messages.IsValid() {
		return nil
	}
	if body, _ := field.Interface().(*data.StructValue); body != nil {
		return answer(body)
	}
	sentinel := viaduct.ErrUnavailable
	if value.Type() == reflect.TypeFor[sdkerrors.InvalidRequest]() {
		sentinel = viaduct.ErrInvalid
	}
	said := "no answer"
	if list, _ := messages.Interface().([]std.LocalizableMessage); len(list) > 0 {
		said = list[0].DefaultMessage
	}
	return fmt.Errorf("sdk: %w: %s", sentinel, said)
}

// answer returns the server's answer, as withEnvelope left it.
func answer(body *data.StructValue) *nsx.Error {
	e := &nsx.Error{
		Op: "call", Object: text(body, fieldPath), Method: text(body, fieldMethod), Path: text(body, fieldPath),
		Status: statusOf(text(body, fieldStatus)), Code: number(body, fieldCode), Module: text(body, fieldModule),
		Message: text(body, fieldMessage), Details: text(body, fieldDetails), RequestID: text(body, fieldRequest),
	}
	if e.Status == 0 {
		e.Status = http.StatusInternalServerError
	}
	list, ok := member(body, fieldRelated).(*data.ListValue)
	if !ok {
		return e
	}
	for _, item := range list.List() {
		if related, ok := item.(*data.StructValue); ok {
			e.Related = append(e.Related, nsx.RelatedError{
				Status: text(related, fieldStatus), Code: number(related, fieldCode),
				Module: text(related, fieldModule), Message: text(related, fieldMessage),
			})
		}
	}
	return e
}

// member returns a field, out of the wrapper that optional fields have; nil when
// it is absent.
func member(s *data.StructValue, name string) data.DataValue {
	value, err := s.Field(name)
	if err != nil {
		return nil
	}
	if optional, ok := value.(*data.OptionalValue); ok {
		return optional.Value()
	}
	return value
}

func text(s *data.StructValue, name string) string {
	if value, ok := member(s, name).(*data.StringValue); ok {
		return value.Value()
	}
	return ""
}

func number(s *data.StructValue, name string) int64 {
	if value, ok := member(s, name).(*data.IntegerValue); ok {
		return value.Value()
	}
	return 0
}
