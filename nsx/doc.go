// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

// Package nsx is a client of the Policy API of NSX-T Data Center 3.x.
//
//	client, err := nsx.NewClient("nsx.example.com", nsx.SessionAuth("admin", password),
//		nsx.WithEndpoints("nsx-2.example.com", "nsx-3.example.com"), nsx.WithCACert(pem))
//	defer client.Close(ctx)
//
//	for server, err := range client.VirtualServers().All(ctx, nsx.ListOptions{}) {
//		…
//	}
//
// # Objects
//
// Each kind of object has a [Collection]: Get, List, All, Search, Apply, Update,
// Replace and Delete behave alike for all of them. Objects that lie beneath
// others are reached through them: client.Tier1("t1").StaticRoutes(). The
// structs are a subset of NSX's types; [Collection.Update] and
// [Collection.Replace] keep the fields that they lack, Apply sends what the
// struct holds and no more.
//
// # Errors
//
// A request that fails returns an [*Error], which matches the sentinels of
// package viaduct as it documents. Deleting what does not exist is no error. A
// context that ended is reported with its cause, and with the last failure
// before it.
//
// # Managers and sessions
//
// All managers of a cluster serve the same objects, each with sessions and
// limits of its own. A request goes to the least busy healthy one. One that
// fails is left alone for 1 to 30 seconds and asked for its health before it is
// used again. The session of a manager is made when it is first needed, once
// for all callers that wait for it; when it has expired it is renewed and the
// request replayed. Credentials that NSX refused are not sent again for 2
// minutes, then 4, up to 30, so that the account is not locked: calls meanwhile
// return the refusal.
//
// # Limits
//
// The client keeps to 100 requests per second and 40 at a time on each manager,
// what NSX grants each user by default; see [Limit]. A 429 or 503 halves the
// rate, whatever else happens, at most once per second, and every second without
// one gives a tenth back. Requests that wait already go by the new rate.
//
// # Retries
//
// This is a contract. A request is sent up to 6 times; see [RetryPolicy]. The
// next attempt follows at once when another healthy manager has not been tried,
// else after NSX's Retry-After, else after a pause that doubles from 200 ms to
// 10 s and is drawn at random from its upper half. Each attempt sends the whole
// body. The context ends every wait.
//
//   - 429, connections that could not be made, and search indexes that are not
//     ready (400 with 60508, 60514, 60515): any request.
//   - 409: PATCH and DELETE, which carry no revision. A PUT is the caller's to
//     repeat after a fresh read; [Collection.Update] does so, for 412 too.
//   - Lost connections, answers that were cut short, timeouts, 502, 503, 504, and
//     500 with the codes 98 and 607: everything but POST, since in the Policy API
//     GET, PUT, PATCH and DELETE are idempotent.
//   - Anything else: never.
//
// # Protected objects
//
// What NCP and vCenter made is protected against others. Changing it fails with
// [viaduct.ErrNotOwned], unless the one call says [WithAllowOverwrite].
//
// # Versions
//
// Tested against the simulator in nsx/nsxsim, which follows NSX-T 3.2; known from
// documentation to fit NSX-T 3.0 to 4.x. [Client.Require] tells what a manager
// is too old for before anything is sent.
package nsx
