// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package vcenter

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"reflect"
	"strings"

	"github.com/vmware/govmomi/vim25"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
	"github.com/vmware/govmomi/vim25/xml"

	"github.com/viaduct-sdk/viaduct"
	"github.com/viaduct-sdk/viaduct/internal/rest"
)

const (
	soapPath        = vim25.Path
	soapContentType = `text/xml; charset="utf-8"`
	soapAction      = "urn:" + vim25.Namespace + "/" + vim25.Version
)

// encodeSOAP wraps the request of one of govmomi's bodies into an envelope.
func encodeSOAP(body soap.HasFault) ([]byte, error) {
	data, err := xml.Marshal(soap.Envelope{Body: body})
	if err != nil {
		return nil, fmt.Errorf("%w: encode %T: %w", viaduct.ErrInvalid, body, err)
	}
	return append([]byte(xml.Header), data...), nil
}

// vim sends one SOAP call through the chain and decodes the answer into the
// body that holds the request, so that errors, retries, sessions and hooks are
// the same for both of vCenter's APIs.
func (c *Client) vim(ctx context.Context, op, object string, body soap.HasFault) error {
	envelope, err := encodeSOAP(body)
	if err != nil {
		return fmt.Errorf("vcenter: %s %q: %w", op, object, err)
	}
	method := strings.TrimSuffix(reflect.TypeOf(body).Elem().Name(), "Body")
	err = c.soap.Do(ctx, rest.Request{
		Op: op, Object: object, Method: http.MethodPost,
		Route: soapPath + "#" + method, Path: soapPath,
		Header: http.Header{"Soapaction": {soapAction}, "Accept": {"text/xml"}},
		Body:   rest.Raw{ContentType: soapContentType, Bytes: envelope},
		Into: func(res rest.Response) error {
			dec := xml.NewDecoder(bytes.NewReader(res.Body))
			dec.TypeFunc = types.TypeFunc()
			return dec.Decode(&soap.Envelope{Body: body})
		},
		Idempotent: readOnly(method),
	})
	if err == nil {
		c.keeper.use(ctx, &c.keeper.soap)
	}
	return err
}

// readOnly reports whether a SOAP call may be sent again after its answer was
// lost. Waits are not among them: the server remembers what it reported.
func readOnly(method string) bool {
	switch method {
	case "RetrieveServiceContent", "RetrievePropertiesEx", "CurrentTime":
		return true
	default:
		return false
	}
}

// VIM returns govmomi's client for the SOAP API, for everything that this
// package does not offer. It shares this client's session, which is made and
// renewed as needed: do not log it in or out. Its faults are govmomi's own. Of
// the services beside vim25, such as storage policies, which read the session
// from a cookie of govmomi's, it can't lend the session.
func (c *Client) VIM(ctx context.Context) (*vim25.Client, error) {
	content, err := c.serviceContent(ctx)
	if err != nil {
		return nil, err
	}
	u, err := soap.ParseURL(c.lent.Endpoints()[0])
	if err != nil {
		return nil, fmt.Errorf("vcenter: %w: %w", viaduct.ErrInvalid, err)
	}
	u.Path = soapPath
	u.User = nil
	client := soap.NewClient(u, false)
	client.Transport = c.lent.RoundTripper()
	client.Namespace, client.Version = "urn:"+vim25.Namespace, vim25.Version
	return &vim25.Client{Client: client, ServiceContent: content, RoundTripper: client}, nil
}

// serviceContent reads the service's content once.
func (c *Client) serviceContent(ctx context.Context) (types.ServiceContent, error) {
	select {
	case c.content <- struct{}{}:
	case <-ctx.Done():
		return types.ServiceContent{}, fmt.Errorf("vcenter: get service content: %w", context.Cause(ctx))
	}
	defer func() { <-c.content }()
	if c.known != nil {
		return *c.known, nil
	}
	body := &methods.RetrieveServiceContentBody{Req: &types.RetrieveServiceContent{This: vim25.ServiceInstance}}
	if err := c.vim(ctx, "get service content", "vcenter", body); err != nil {
		return types.ServiceContent{}, err
	}
	c.known = &body.Res.Returnval
	return *c.known, nil
}
