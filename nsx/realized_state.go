// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package nsx

import (
	"context"
	"fmt"
	"iter"
	"net/http"
	"net/url"

	"github.com/viaduct-sdk/viaduct"
	"github.com/viaduct-sdk/viaduct/internal/poll"
)

// RealizationState is how far NSX got with an intent. Open set: servers may
// return others.
type RealizationState string

// The states of realization.
const (
	Realized    RealizationState = "REALIZED"
	Unrealized  RealizationState = "UNREALIZED"
	Unavailable RealizationState = "UNAVAILABLE"
	Failed      RealizationState = "ERROR"
)

// RealizationStatus is the state of an intent over all enforcement points.
type RealizationStatus struct {
	IntentPath    Path             `json:"intent_path"`
	IntentVersion string           `json:"intent_version"`
	PublishStatus RealizationState `json:"publish_status"`
	Consolidated  struct {
		// Status is SUCCESS, IN_PROGRESS, ERROR, UNINITIALIZED, UNKNOWN, ….
		Status string `json:"consolidated_status"`
	} `json:"consolidated_status"`
}

// RealizedEntity is something that NSX made of an intent.
type RealizedEntity struct {
	Resource
	State              RealizationState    `json:"state"`
	EntityType         string              `json:"entity_type"`
	Identifier         string              `json:"realization_specific_identifier"`
	IntentPaths        []Path              `json:"intent_paths"`
	Alarms             []Alarm             `json:"alarms"`
	ExtendedAttributes []ExtendedAttribute `json:"extended_attributes"`
}

// ExtendedAttribute is something that NSX found out while realizing an intent,
// such as the address that it allocated.
type ExtendedAttribute struct {
	Key    string   `json:"key"`
	Values []string `json:"values"`
}

// Alarm says why an intent was not realized.
type Alarm struct {
	Resource
	Message         string `json:"message"`
	SourceReference Path   `json:"source_reference"`
	Details         struct {
		Code    int64  `json:"error_code"`
		Module  string `json:"module_name"`
		Message string `json:"error_message"`
	} `json:"error_details"`
}

// Attribute returns the first value of the extended attribute with this key,
// and whether there is one.
func (e RealizedEntity) Attribute(key string) (value string, ok bool) {
	for _, a := range e.ExtendedAttributes {
		if a.Key == key && len(a.Values) > 0 {
			return a.Values[0], true
		}
	}
	return "", false
}

// RealizedStates is what NSX made of intents.
type RealizedStates struct{ client *Client }

// RealizedState returns what NSX made of intents.
func (c *Client) RealizedState() RealizedStates { return RealizedStates{client: c} }

// Status returns how far NSX got with the intent.
//
// Errors match [viaduct.ErrNotFound] when there is no such intent.
func (r RealizedStates) Status(ctx context.Context, intent Path) (RealizationStatus, error) {
	var status RealizationStatus
	err := r.get(ctx, "realization status", "/infra/realized-state/status", intent, &status)
	return status, err
}

// Entities returns what NSX made of the intent. There are none right after the
// intent was written.
//
// Errors match [viaduct.ErrNotFound] when there is no such intent.
func (r RealizedStates) Entities(ctx context.Context, intent Path) ([]RealizedEntity, error) {
	var body struct {
		Results []RealizedEntity `json:"results"`
	}
	err := r.get(ctx, "realized entities", "/infra/realized-state/realized-entities", intent, &body)
	return body.Results, err
}

// Alarms iterates over the alarms of all intents.
func (r RealizedStates) Alarms(ctx context.Context) iter.Seq2[Alarm, error] {
	return Collection[Alarm]{client: r.client, noun: "alarm", route: "/infra/realized-state/alarms"}.All(ctx, ListOptions{})
}

// RealizationError says that NSX could not realize an intent. Its own message is
// NSX's. It matches [viaduct.ErrInvalid] unless NSX may still succeed by itself,
// and then [viaduct.ErrUnavailable].
type RealizationError struct {
	IntentPath Path
	Alarms     []Alarm
}

// Error returns the text.
func (e *RealizationError) Error() string {
	text := "nsx: realize " + e.IntentPath.String() + ": "
	if len(e.Alarms) == 0 {
		return text + "failed without an alarm"
	}
	for i, a := range e.Alarms {
		if i > 0 {
			text += "; "
		}
		text += a.text()
	}
	return text
}

// codeProviderNotReady is an alarm that goes away by itself.
const codeProviderNotReady = 500042

// Is reports whether the error means target.
func (e *RealizationError) Is(target error) bool {
	if e.terminal() {
		return target == viaduct.ErrInvalid
	}
	return target == viaduct.ErrUnavailable
}

func (e *RealizationError) terminal() bool {
	for _, a := range e.Alarms {
		if a.Details.Code != codeProviderNotReady {
			return true
		}
	}
	return len(e.Alarms) == 0
}

func (a Alarm) text() string {
	text := a.Message
	if text == "" {
		text = a.Details.Message
	}
	if a.Details.Code != 0 {
		text = fmt.Sprintf("%s (code %d)", text, a.Details.Code)
	}
	return text
}

// Wait waits until NSX has realized the intent, and returns what it made of it.
// progress, unless nil, is called with each new state. The wait ends with the
// context; the error then names the last state.
//
// Errors are [*RealizationError] when NSX failed, and match
// [viaduct.ErrNotFound] when there is no such intent.
func (r RealizedStates) Wait(ctx context.Context, intent Path, progress func(state string)) ([]RealizedEntity, error) {
	var entities []RealizedEntity
	var last string
	err := poll.Until(ctx, func(ctx context.Context) (string, bool, error) {
		var err error
		if entities, err = r.Entities(ctx, intent); err != nil {
			return "", false, err
		}
		state, failure := summarize(intent, entities)
		if state != last && progress != nil {
			progress(state)
		}
		last = state
		return intent.String() + " is " + state, state == string(Realized), failure
	})
	if err != nil {
		return nil, fmt.Errorf("nsx: wait for realization: %w", err)
	}
	return entities, nil
}

// summarize returns the state of all entities together, and the failure that
// waiting won't mend.
func summarize(intent Path, entities []RealizedEntity) (string, error) {
	if len(entities) == 0 {
		return string(Unrealized), nil
	}
	state := string(Realized)
	for _, e := range entities {
		switch e.State {
		case Realized:
		case Failed:
			failure := &RealizationError{IntentPath: intent, Alarms: e.Alarms}
			if failure.terminal() {
				return string(Failed), failure
			}
			state = string(Failed)
		default:
			state = string(e.State)
		}
	}
	return state, nil
}

func (r RealizedStates) get(ctx context.Context, noun, route string, intent Path, into any) error {
	return r.client.do(ctx, call{
		op: "get " + noun, object: intent.String(), method: http.MethodGet, route: route,
		query: url.Values{"intent_path": {intent.String()}}, into: into,
	})
}
