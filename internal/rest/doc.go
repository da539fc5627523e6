// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

// Package rest is the HTTP chain beneath the clients of Viaduct: sessions,
// choice of endpoint, limits, retries, logs. What is peculiar to a server comes
// in through [Config].
//
// # How a server's package uses it
//
//	client, err := rest.New(rest.Config{
//		Server:      "vcenter",
//		Endpoints:   []string{"vc.example.com"},
//		DecodeError: decodeError, // Failure → *vcenter.Error
//		Classify:    classify,    // falls back to rest.Classify
//		Auth: &rest.Session{
//			Login: func(ctx context.Context, base *url.URL) (*http.Request, string, error) {
//				req, err := http.NewRequestWithContext(ctx, http.MethodPost, base.JoinPath("/api/session").String(), http.NoBody)
//				if err == nil {
//					req.SetBasicAuth(user, password)
//				}
//				return req, user + "\x00" + password, err
//			},
//			Token: func(res rest.Response) (http.Header, error) {
//				var id string
//				err := rest.Unmarshal(res.Body, &id)
//				return http.Header{"Vmware-Api-Session-Id": {id}}, err
//			},
//		},
//	})
//
//	path, err := rest.Expand("/api/vcenter/namespaces/instances/{namespace}", name)
//	var info Namespace
//	err = client.Do(ctx, rest.Request{
//		Op: "get namespace", Object: name, Method: http.MethodGet,
//		Route: "/api/vcenter/namespaces/instances/{namespace}", Path: path,
//		Into: &info,
//	})
//
// # What one request goes through
//
// Do encodes the body once. Each attempt then
//
//  1. picks an endpoint: the least busy healthy one, the first on a tie; one
//     that failed rests for 1 s to 30 s and is probed before it serves again;
//  2. is authenticated, which makes a session if there is none, once for all
//     who wait for it;
//  3. waits for the endpoint's rate and concurrency limit;
//  4. is sent, and its whole answer read, within [Retry].AttemptTimeout;
//  5. is classified. When the session has expired, it is renewed and the
//     attempt replayed, once per request;
//  6. is reported to the observer and the log.
//
// # Retries
//
// A request is tried up to [Retry].Attempts times, 6 by default:
//
//   - turned away by a limit ([Throttled]) or by another transaction ([Busy]),
//     or never sent ([Unsent]): any method;
//   - perhaps executed ([Uncertain], [Overloaded]: a lost connection, an answer
//     that was cut short, 502, 503, 504): idempotent requests only, which are GET, HEAD,
//     OPTIONS, PUT, DELETE, PATCH where [Config].PatchIsIdempotent, and those
//     that say so in [Request].Idempotent;
//   - anything else: not at all.
//
// The next attempt follows at once if another healthy endpoint has not been
// tried, else after the Retry-After that the server asked for, else after a
// pause that doubles. Every wait ends with the request's context. Each attempt
// sends the whole body and fresh headers.
//
// Credentials that the server refused are not sent again for 2 minutes, then 4,
// and so on up to 30: requests meanwhile fail with the server's refusal without
// reaching it.
//
// # Secrets
//
// Nothing secret reaches an error or a log: bodies are never logged, headers
// only when they are on a list of harmless ones, and an endpoint with
// credentials in its URL is refused.
package rest
