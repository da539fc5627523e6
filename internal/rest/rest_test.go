// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package rest_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/viaduct-sdk/viaduct"
	"github.com/viaduct-sdk/viaduct/internal/rest"
)

// server is a transport in place of a server.
type server func(*http.Request) (*http.Response, error)

func (s server) RoundTrip(req *http.Request) (*http.Response, error) { return s(req) }

func answer(status int, body string, header ...string) *http.Response {
	res := &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body)), ContentLength: -1}
	for i := 0; i+1 < len(header); i += 2 {
		res.Header.Set(header[i], header[i+1])
	}
	return res
}

// failed is the typed error of these tests' server.
type failed struct{ rest.Failure }

func (f *failed) Error() string {
	return fmt.Sprintf("%s: %s %q: %d %v", f.Server, f.Op, f.Object, f.Status, f.Err)
}
func (f *failed) Unwrap() error { return f.Err }
func (f *failed) Is(target error) bool {
	if f.Login {
		return target == viaduct.ErrUnauthenticated
	}
	return target == rest.Sentinel(f.Status)
}

func newClient(t *testing.T, s server, change ...func(*rest.Config)) *rest.Client {
	t.Helper()
	cfg := rest.Config{
		Server: "test", Endpoints: []string{"a.test"}, HTTPClient: &http.Client{Transport: s},
		DecodeError: func(f rest.Failure) error { return &failed{f} },
	}
	for _, c := range change {
		c(&cfg)
	}
	client, err := rest.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

func get() rest.Request {
	return rest.Request{Op: "get thing", Object: "t", Method: http.MethodGet, Route: "/things/{id}", Path: "/things/t"}
}

var errDial = &net.OpError{Op: "dial", Err: errors.New("connection refused")}

func TestRetries(t *testing.T) {
	t.Parallel()
	reset := errors.New("connection reset")
	cases := map[string]struct {
		reason     string
		method     string
		idempotent bool
		status     int
		err        error
		want       int
		is         error
	}{
		"GET 503":         {"reading is idempotent", "GET", false, 503, nil, 6, viaduct.ErrUnavailable},
		"GET reset":       {"reading is idempotent", "GET", false, 0, reset, 6, viaduct.ErrUnavailable},
		"PUT 502":         {"PUT is idempotent", "PUT", false, 502, nil, 6, viaduct.ErrUnavailable},
		"POST 503":        {"the first may have been executed", "POST", false, 503, nil, 1, viaduct.ErrUnavailable},
		"POST reset":      {"the first may have been executed", "POST", false, 0, reset, 1, viaduct.ErrUnavailable},
		"POST dial":       {"nothing was sent", "POST", false, 0, errDial, 6, viaduct.ErrUnavailable},
		"POST 429":        {"it was turned away", "POST", false, 429, nil, 6, viaduct.ErrRateLimited},
		"PATCH 503":       {"PATCH is not idempotent in general", "PATCH", false, 503, nil, 1, viaduct.ErrUnavailable},
		"PATCH 503 idem.": {"the caller vouches for it", "PATCH", true, 503, nil, 6, viaduct.ErrUnavailable},
		"GET 400":         {"asking again changes nothing", "GET", false, 400, nil, 1, viaduct.ErrInvalid},
		"GET 404":         {"asking again changes nothing", "GET", false, 404, nil, 1, viaduct.ErrNotFound},
		"PUT 409":         {"the caller must read again", "PUT", false, 409, nil, 1, viaduct.ErrConflict},
		"PUT 412":         {"the caller must read again", "PUT", false, 412, nil, 1, viaduct.ErrConflict},
		"GET 500":         {"an error of the server's own is no hiccup", "GET", false, 500, nil, 1, viaduct.ErrUnavailable},
		"GET 302":         {"a redirect would carry credentials elsewhere", "GET", false, 302, nil, 1, nil},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var bodies []string
				client := newClient(t, func(req *http.Request) (*http.Response, error) {
					var body []byte
					if req.Body != nil {
						body, _ = io.ReadAll(req.Body)
					}
					bodies = append(bodies, string(body))
					if tc.err != nil {
						return nil, tc.err
					}
					return answer(tc.status, "", "Location", "https://elsewhere.test/"), nil
				})
				req := get()
				req.Method, req.Idempotent = tc.method, tc.idempotent
				if tc.method != http.MethodGet {
					req.Body = map[string]string{"name": "t"}
				}
				err := client.Do(t.Context(), req)
				if len(bodies) != tc.want {
					t.Errorf("%s: got %d attempts, want %d", tc.reason, len(bodies), tc.want)
				}
				for i, body := range bodies {
					if body != bodies[0] || (req.Body != nil && body != `{"name":"t"}`) {
						t.Errorf("attempt %d sent body %q", i+1, body)
					}
				}
				if err == nil || (tc.is != nil && !errors.Is(err, tc.is)) {
					t.Errorf("got error %v, want one that matches %v", err, tc.is)
				}
			})
		})
	}
}

func TestRetryAfterIsHonoured(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		value    func() string
		wait     time.Duration
		attempts int
	}{
		"seconds":  {func() string { return "7" }, 7 * time.Second, 2},
		"a date":   {func() string { return time.Now().Add(9 * time.Second).UTC().Format(http.TimeFormat) }, 9 * time.Second, 2},
		"too long": {func() string { return "3600" }, 0, 1},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				attempts := 0
				client := newClient(t, func(*http.Request) (*http.Response, error) {
					attempts++
					if attempts == 1 {
						return answer(429, "", "Retry-After", tc.value()), nil
					}
					return answer(200, ""), nil
				})
				start := time.Now()
				err := client.Do(t.Context(), get())
				if got := time.Since(start); got != tc.wait || attempts != tc.attempts {
					t.Errorf("got %d attempts in %v, want %d in %v", attempts, got, tc.attempts, tc.wait)
				}
				if tc.attempts == 1 && !errors.Is(err, viaduct.ErrRateLimited) {
					t.Errorf("got %v, want a rate limit error", err)
				}
			})
		})
	}
}

func TestBackoffDoublesWithJitter(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var at []time.Time
		client := newClient(t, func(*http.Request) (*http.Response, error) {
			at = append(at, time.Now())
			return answer(503, ""), nil
		}, func(c *rest.Config) { c.Retry = rest.Retry{MinWait: time.Second, MaxWait: 4 * time.Second} })
		if err := client.Do(t.Context(), get()); !errors.Is(err, viaduct.ErrUnavailable) {
			t.Fatal(err)
		}
		for i, full := range []time.Duration{1, 2, 4, 4, 4} {
			full *= time.Second
			if got := at[i+1].Sub(at[i]); got < full/2 || got > full {
				t.Errorf("pause %d was %v, want between %v and %v", i+1, got, full/2, full)
			}
		}
	})
}

func TestCutShortAnswerIsAskedForAgain(t *testing.T) {
	t.Parallel()
	whole := `{"name":"web"}`
	cases := map[string]func() *http.Response{
		"by length":  func() *http.Response { r := answer(200, whole[:5]); r.ContentLength = int64(len(whole)); return r },
		"by syntax":  func() *http.Response { return answer(200, whole[:5]) },
		"by reader":  func() *http.Response { r := answer(200, ""); r.Body = io.NopCloser(&broken{}); return r },
		"to nothing": func() *http.Response { return answer(200, "") },
	}
	for name, first := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				attempts := 0
				client := newClient(t, func(*http.Request) (*http.Response, error) {
					attempts++
					if attempts == 1 {
						return first(), nil
					}
					return answer(200, whole), nil
				})
				var got struct{ Name string }
				req := get()
				req.Into = &got
				if err := client.Do(t.Context(), req); err != nil || attempts != 2 {
					t.Fatalf("got %v after %d attempts", err, attempts)
				}
			})
		})
	}
}

type broken struct{}

func (*broken) Read([]byte) (int, error) { return 0, errors.New("connection reset") }

func TestCancelledContextBeatsRetry(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		shutdown := errors.New("shutting down")
		ctx, cancel := context.WithCancelCause(t.Context())
		client := newClient(t, func(*http.Request) (*http.Response, error) { return answer(429, ""), nil },
			func(c *rest.Config) { c.Retry.MinWait = time.Hour; c.Retry.MaxWait = time.Hour })
		go func() {
			time.Sleep(time.Second)
			cancel(shutdown)
		}()
		start := time.Now()
		err := client.Do(ctx, get())
		if !errors.Is(err, shutdown) || !errors.Is(err, viaduct.ErrRateLimited) {
			t.Errorf("got %v, want the cause and what was pending", err)
		}
		if got := time.Since(start); got != time.Second {
			t.Errorf("returned after %v, want 1s", got)
		}
	})
}

func TestHangingServerIsAFailure(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		attempts := 0
		client := newClient(t, func(req *http.Request) (*http.Response, error) {
			attempts++
			if attempts == 1 {
				<-req.Context().Done()
				return nil, req.Context().Err()
			}
			return answer(200, ""), nil
		})
		if err := client.Do(t.Context(), get()); err != nil || attempts != 2 {
			t.Errorf("got %v after %d attempts, want success after 2", err, attempts)
		}
	})
}
