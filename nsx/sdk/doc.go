// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

// Package sdk lends a client of package nsx to the generated clients of
// github.com/vmware/vsphere-automation-sdk-go, so that every NSX API that
// package nsx does not model is one import away:
//
//	connector := sdk.NewConnector(ctx, client)
//	zones, err := infra.NewDhcpRelayConfigsClient(connector).List(nil, nil, nil, nil, nil, nil)
//	if err := sdk.Error(err); errors.Is(err, viaduct.ErrNotFound) { … }
//
// # What the connector changes
//
// Requests go through the client's chain: its session, choice of manager, rate
// limit, retries, observer and log. The connector needs no address and no
// security context of its own; ones that are set have no effect.
//
// Generated methods take no context, so that a connector is bound to the one it
// was made with: all its requests end when that context ends. Connectors are
// cheap; make one for each piece of work that has a context of its own.
//
// Answers with an error status are put into the one form that the generated
// code can read. Without that it can't decode NSX's answer to too many requests
// (its error_code is a string), drops the status of those without a body, and
// panics when the body is not an object.
//
// # Errors
//
// Generated methods return the SDK's errors, in which 412 looks like 400 and 429
// like 503. [Error] finds the server's answer in them and adds what package nsx
// and the sentinels of package viaduct say of it.
//
// # Logging
//
// The generated code writes the URL of each request, and of errors their text,
// to a logger of its own that all connectors of the program share; it is the
// standard library's until log.SetLogger of the SDK's runtime replaces it.
// Credentials are not in it, because the SDK never has any.
//
// # Concurrency
//
// A connector is safe for concurrent use as far as the SDK's own code is: it
// shares nothing that it writes.
package sdk
