// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package rest_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/viaduct-sdk/viaduct"
	"github.com/viaduct-sdk/viaduct/internal/rest"
)

// door is a server with sessions.
type door struct {
	mu       sync.Mutex
	password string
	session  int
	valid    bool
	logins   int
	bodies   []string
	loginErr []int // statuses of the next logins
}

func (d *door) RoundTrip(req *http.Request) (*http.Response, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case req.URL.Path == "/login":
		d.logins++
		if len(d.loginErr) > 0 {
			status := d.loginErr[0]
			d.loginErr = d.loginErr[1:]
			return answer(status, ""), nil
		}
		if _, password, _ := req.BasicAuth(); password != d.password {
			return answer(401, ""), nil
		}
		d.session++
		d.valid = true
		return answer(200, strconv.Itoa(d.session)), nil
	case req.URL.Path == "/logout":
		d.valid = false
		return answer(204, ""), nil
	case !d.valid || req.Header.Get("Session") != strconv.Itoa(d.session):
		return answer(401, ""), nil
	default:
		body, _ := io.ReadAll(req.Body)
		d.bodies = append(d.bodies, string(body))
		return answer(200, ""), nil
	}
}

func (d *door) expire() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.valid = false
}

func session(password string) *rest.Session {
	return &rest.Session{
		Login: func(ctx context.Context, base *url.URL) (*http.Request, string, error) {
			req, err := http.NewRequestWithContext(ctx, http.MethodPost, base.JoinPath("/login").String(), http.NoBody)
			if err == nil {
				req.SetBasicAuth("admin", password)
			}
			return req, password, err
		},
		Token: func(res rest.Response) (http.Header, error) {
			return http.Header{"session": {string(res.Body)}}, nil
		},
		Logout: func(ctx context.Context, base *url.URL) (*http.Request, error) {
			return http.NewRequestWithContext(ctx, http.MethodPost, base.JoinPath("/logout").String(), http.NoBody)
		},
	}
}

func post() rest.Request {
	return rest.Request{Op: "add thing", Object: "t", Method: http.MethodPost, Route: "/things", Path: "/things", Body: 1}
}

func TestConcurrentCallersShareOneLogin(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := &door{password: "good"}
		client := newClient(t, d.RoundTrip, func(c *rest.Config) { c.Auth = session("good") })
		round := func() {
			t.Helper()
			errs := make(chan error, 50)
			for range cap(errs) {
				go func() { errs <- client.Do(t.Context(), post()) }()
			}
			for range cap(errs) {
				if err := <-errs; err != nil {
					t.Error(err)
				}
			}
		}
		round()
		if d.logins != 1 {
			t.Errorf("got %d logins, want 1", d.logins)
		}
		d.expire()
		round()
		if d.logins != 2 {
			t.Errorf("after expiry: got %d logins, want 2", d.logins)
		}
		if len(d.bodies) != 100 {
			t.Errorf("got %d requests, want 100", len(d.bodies))
		}
		for _, body := range d.bodies {
			if body != "1" {
				t.Fatalf("a replayed request had body %q", body)
			}
		}
	})
}

func TestWrongCredentialsAreNotHammered(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := &door{password: "good"}
		client := newClient(t, d.RoundTrip, func(c *rest.Config) { c.Auth = session("wrong") })
		for range 20 {
			if err := client.Do(t.Context(), post()); !errors.Is(err, viaduct.ErrUnauthenticated) {
				t.Errorf("got %v, want unauthenticated", err)
			}
		}
		if d.logins != 1 {
			t.Errorf("got %d logins, want 1", d.logins)
		}
		time.Sleep(2 * time.Minute)
		for range 20 {
			_ = client.Do(t.Context(), post())
		}
		if d.logins != 2 {
			t.Errorf("after the penalty: got %d logins, want 2", d.logins)
		}
		time.Sleep(2 * time.Minute)
		_ = client.Do(t.Context(), post())
		if d.logins != 2 {
			t.Errorf("the second penalty is longer: got %d logins, want 2", d.logins)
		}
	})
}

func TestLoginIsRetriedLikeARequest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := &door{password: "good", loginErr: []int{503, 429}}
		client := newClient(t, d.RoundTrip, func(c *rest.Config) { c.Auth = session("good") })
		if err := client.Do(t.Context(), post()); err != nil || d.logins != 3 || len(d.bodies) != 1 {
			t.Errorf("got %v, %d logins, %d requests; want success, 3, 1", err, d.logins, len(d.bodies))
		}
	})
}

func TestWaitingForALoginEndsWithTheContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		client := newClient(t, func(req *http.Request) (*http.Response, error) {
			<-req.Context().Done()
			return nil, req.Context().Err()
		}, func(c *rest.Config) { c.Auth = session("good") })
		errs := make(chan error, 2)
		for range 2 {
			go func() { errs <- client.Do(ctx, post()) }()
		}
		for range 2 {
			if err := <-errs; !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("got %v, want the deadline", err)
			}
		}
	})
}

func TestCloseLogsOut(t *testing.T) {
	t.Parallel()
	d := &door{password: "good"}
	client := newClient(t, d.RoundTrip, func(c *rest.Config) { c.Auth = session("good") })
	for range 2 {
		if err := client.Do(t.Context(), post()); err != nil {
			t.Fatal(err)
		}
		if err := client.Close(t.Context()); err != nil || d.valid {
			t.Fatalf("got %v, session valid %t; want it ended", err, d.valid)
		}
	}
}

func TestRefusedHeaderIsNotSentAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		sent := 0
		token := "old"
		serve := func(req *http.Request) (*http.Response, error) {
			sent++
			if req.Header.Get("Authorization") != "Bearer new" {
				return answer(401, ""), nil
			}
			return answer(200, ""), nil
		}
		client := newClient(t, serve, func(c *rest.Config) {
			c.Auth = &rest.Header{Name: "Authorization", Renewable: true, Value: func(context.Context) (string, error) {
				return "Bearer " + token, nil
			}}
		})
		for range 5 {
			if err := client.Do(t.Context(), get()); !errors.Is(err, viaduct.ErrUnauthenticated) {
				t.Errorf("got %v, want unauthenticated", err)
			}
		}
		if sent != 1 {
			t.Errorf("the refused token was sent %d times, want once", sent)
		}
		token = "new"
		if err := client.Do(t.Context(), get()); err != nil {
			t.Errorf("a new token must be tried at once: %v", err)
		}
	})
}

func TestLogsHoldNoSecrets(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	var calls []rest.Call
	d := &door{password: "s3cr3t-password"}
	client := newClient(t, d.RoundTrip, func(c *rest.Config) {
		c.Auth = session("s3cr3t-password")
		c.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug - 8}))
		c.Observer = func(_ context.Context, call rest.Call) { calls = append(calls, call) }
	})
	d.session = 7777000
	if err := client.Do(t.Context(), post()); err != nil {
		t.Fatal(err)
	}
	_ = client.Close(t.Context())
	for _, secret := range []string{"s3cr3t", "czNjcjN0", "YWRtaW46", "7777001"} {
		if strings.Contains(log.String(), secret) {
			t.Errorf("the log holds %q:\n%s", secret, log.String())
		}
	}
	if n := strings.Count(log.String(), "http attempt"); n != 3 || len(calls) != 3 {
		t.Errorf("got %d log records and %d calls, want 3 each", n, len(calls))
	}
	if calls[1].Route != "/things" || calls[1].Status != 200 || calls[1].Attempt != 1 || calls[1].Server != "test" {
		t.Errorf("got call %+v", calls[1])
	}
}
