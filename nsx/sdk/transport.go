// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package sdk

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/viaduct-sdk/viaduct"
	"github.com/viaduct-sdk/viaduct/nsx"
)

// bound is the transport of a connector.
type bound struct {
	// ctx is stored because generated methods take none.
	ctx       context.Context
	next      http.RoundTripper
	overwrite bool
}

// RoundTrip sends req within the connector's context.
func (b *bound) RoundTrip(req *http.Request) (*http.Response, error) {
	req = req.Clone(b.ctx)
	if b.overwrite && req.Method != http.MethodGet {
		req.Header.Set("X-Allow-Overwrite", "true")
	}
	res, err := b.next.RoundTrip(req)
	if err != nil {
		return refusal(req, err)
	}
	if res.StatusCode < http.StatusBadRequest {
		return res, nil
	}
	body, err := io.ReadAll(res.Body)
	_ = res.Body.Close() // it was read to its end
	if err != nil {
		return nil, fmt.Errorf("sdk: read the answer: %w", err)
	}
	return withEnvelope(res, body)
}

// refusal turns the error of a request that the chain did not send, because the
// manager refused its credentials a moment ago, into that answer: the generated
// code would take it for a manager that is not there.
func refusal(req *http.Request, err error) (*http.Response, error) {
	var answered *nsx.Error
	if !errors.Is(err, viaduct.ErrUnauthenticated) || !errors.As(err, &answered) {
		return nil, err
	}
	body, err := json.Marshal(map[string]any{
		fieldCode: answered.Code, fieldModule: answered.Module, fieldMessage: answered.Message,
	})
	if err != nil {
		return nil, err
	}
	res := &http.Response{
		StatusCode: http.StatusUnauthorized, Status: "401 Unauthorized",
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: http.Header{}, Request: req,
	}
	return withEnvelope(res, body)
}

// Fields of an envelope: NSX's own, and what else an error needs to tell. The
// generated code ignores those that it does not know.
const (
	fieldStatus  = "httpStatus"
	fieldCode    = "error_code"
	fieldModule  = "module_name"
	fieldMessage = "error_message"
	fieldDetails = "details"
	fieldRelated = "related_errors"
	fieldMethod  = "_method"
	fieldPath    = "_path"
	fieldRequest = "_request_id"

	requestID = "X-Nsx-Requestid"
)

// withEnvelope gives the answer a body that the generated code can decode: a
// JSON object with the status in httpStatus and numbers in error_code.
func withEnvelope(res *http.Response, body []byte) (*http.Response, error) {
	var envelope map[string]any
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber()
	if err := decoder.Decode(&envelope); err != nil || envelope == nil {
		envelope = map[string]any{}
		if text := plainText(res.Header.Get("Content-Type"), body); text != "" {
			envelope[fieldMessage] = text
		}
	}
	readable(envelope)
	numberCodes(envelope)
	envelope[fieldStatus] = statusName(res.StatusCode)
	envelope[fieldMethod], envelope[fieldPath] = res.Request.Method, res.Request.URL.Path
	if id := res.Header.Get(requestID); id != "" {
		envelope[fieldRequest] = id
	}
	body, err := json.Marshal(envelope)
	if err != nil {
		return nil, fmt.Errorf("sdk: %w", err)
	}
	if res.Header = res.Header.Clone(); res.Header == nil {
		res.Header = http.Header{}
	}
	res.Header.Set("Content-Type", "application/json")
	res.Header.Del("Content-Length")
	res.Body, res.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	return res, nil
}

// numberCodes makes numbers of the error codes that are strings, and drops
// those that are no numbers. The generated code reads no others.
func numberCodes(envelope map[string]any) {
	if code, ok := envelope[fieldCode]; ok {
		n, err := strconv.ParseInt(fmt.Sprint(code), 10, 64) // of a string or a json.Number
		if envelope[fieldCode] = n; err != nil {
			delete(envelope, fieldCode)
		}
	}
	related, _ := envelope[fieldRelated].([]any)
	for _, r := range related {
		if nested, ok := r.(map[string]any); ok {
			numberCodes(nested)
		}
	}
}

// readable returns the value with numbers that the generated code can't read,
// which are those that no integer or floating-point type holds, as strings.
func readable(value any) any {
	switch v := value.(type) {
	case json.Number:
		if _, err := v.Int64(); err == nil {
			return v
		}
		if _, err := v.Float64(); err == nil {
			return v
		}
		return v.String()
	case []any:
		for i := range v {
			v[i] = readable(v[i])
		}
	case map[string]any:
		for name := range v {
			v[name] = readable(v[name])
		}
	}
	return value
}

// plainText returns the beginning of a text, and nothing of markup.
func plainText(contentType string, body []byte) string {
	const most = 200
	text := strings.Join(strings.Fields(strings.ToValidUTF8(string(body[:min(len(body), most)]), "")), " ")
	if strings.HasPrefix(text, "<") || strings.Contains(contentType, "html") {
		return ""
	}
	return text
}

// statusName returns NSX's name of a status: 412 is PRECONDITION_FAILED.
func statusName(status int) string {
	if text := http.StatusText(status); text != "" {
		return strings.NewReplacer(" ", "_", "-", "_", "'", "").Replace(strings.ToUpper(text))
	}
	return strconv.Itoa(status)
}

// statusOf returns the status that statusName named; 0 when none has that name.
func statusOf(name string) int {
	for status := 400; status < 600; status++ {
		if statusName(status) == name {
			return status
		}
	}
	return 0
}
