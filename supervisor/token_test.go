// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package supervisor_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/client-go/rest"

	"github.com/viaduct-sdk/viaduct"
	"github.com/viaduct-sdk/viaduct/supervisor"
	"github.com/viaduct-sdk/viaduct/supervisor/supervisorsim"
)

// backend is an API server that echoes, and sends an event an hour to watches.
type backend struct{}

func (backend) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.URL.Query().Get("watch") == "" {
		rec := httptest.NewRecorder()
		var body []byte
		if req.Body != nil {
			body, _ = io.ReadAll(req.Body)
		}
		fmt.Fprintf(rec, "%s %s", req.Header.Get("Impersonate-User"), body)
		return rec.Result(), nil
	}
	reader, writer := io.Pipe()
	go func() {
		for hour := 1; ; hour++ {
			select {
			case <-req.Context().Done():
				writer.CloseWithError(req.Context().Err())
				return
			case <-time.After(time.Hour):
				if _, err := fmt.Fprintf(writer, "hour %d\n", hour); err != nil {
					return
				}
			}
		}
	}()
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: reader, Request: req}, nil
}

func newAPI(t *testing.T) (*supervisorsim.WCP, *supervisor.Login, *http.Client) {
	t.Helper()
	sim := newWCP(t, supervisorsim.WCPConfig{Kubernetes: &rest.Config{Host: "https://api.sim", Transport: backend{}}})
	l := newLogin(t, sim, admin())
	client, err := rest.HTTPClientFor(l.Config())
	if err != nil {
		t.Fatal(err)
	}
	return sim, l, client
}

func get(ctx context.Context, client *http.Client, url, body string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		return "", err
	}
	resp, err := client.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if resp.StatusCode != http.StatusOK {
		return "", fmt.Errorf("%d %s", resp.StatusCode, text)
	}
	return string(text), err
}

// slow makes logins take a second, so that all who need one want it before the
// first one has it.
func slow(sim *supervisorsim.WCP) {
	sim.Inject(supervisorsim.Fault{Path: "/wcp/login", Delay: time.Second})
}

// storm sends 64 requests at once, each of which must succeed.
func storm(t *testing.T, client *http.Client, url string) {
	t.Helper()
	var wg sync.WaitGroup
	for i := range 64 {
		wg.Go(func() {
			body := fmt.Sprint(i)
			got, err := get(t.Context(), client, url, body)
			if want := "sso:" + supervisorsim.DefaultUser + " " + body; err != nil || got != want {
				t.Errorf("request %d: %q, %v; want %q", i, got, err, want)
			}
		})
	}
	wg.Wait()
}

// TestTokenIsRenewedAhead lets a token grow old under a watch and under 64
// requests at once: nothing fails, and there is one login for each renewal.
func TestTokenIsRenewedAhead(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		sim, l, client := newAPI(t)
		slow(sim)
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, sim.URL()+"/api/v1/pods?watch=1", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		watch, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer watch.Body.Close()
		storm(t, client, sim.URL()+"/api")
		if n := logins(sim); n != 1 {
			t.Errorf("%d logins for the first token", n)
		}
		time.Sleep(8 * time.Hour) // of ten
		storm(t, client, sim.URL()+"/api")
		if n := logins(sim); n != 1 {
			t.Errorf("%d logins while the token is young", n)
		}
		time.Sleep(90 * time.Minute)
		storm(t, client, sim.URL()+"/api")
		if n := logins(sim); n != 2 {
			t.Errorf("%d logins, want one more, ahead of the expiry", n)
		}
		token, err := l.TokenSource().Token(t.Context())
		if left := time.Until(token.Expires); err != nil || left < 9*time.Hour {
			t.Errorf("the token lives for %v: %v", left, err)
		}
		lines := bufio.NewScanner(watch.Body)
		for hour := 1; hour <= 12; hour++ {
			if !lines.Scan() || lines.Text() != fmt.Sprintf("hour %d", hour) {
				t.Fatalf("the watch ended at hour %d: %q, %v", hour, lines.Text(), lines.Err())
			}
		}
	})
}

// TestTokenIsRefused makes the server refuse a token that should be good.
func TestTokenIsRefused(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		sim, _, client := newAPI(t)
		slow(sim)
		storm(t, client, sim.URL()+"/api")
		sim.ExpireTokens()
		storm(t, client, sim.URL()+"/api")
		if n := logins(sim); n != 2 {
			t.Errorf("%d logins, want one for each token", n)
		}
	})
}

// TestOldTokenServesWhileLoginFails takes the login away, not the API server.
func TestOldTokenServesWhileLoginFails(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		sim, _, client := newAPI(t)
		storm(t, client, sim.URL()+"/api")
		sim.Inject(supervisorsim.Fault{Path: "/wcp/login", Status: http.StatusServiceUnavailable})
		time.Sleep(9*time.Hour + 30*time.Minute)
		storm(t, client, sim.URL()+"/api")
		time.Sleep(time.Hour)
		_, err := get(t.Context(), client, sim.URL()+"/api", "")
		if !errors.Is(err, viaduct.ErrUnavailable) {
			t.Errorf("got %v after the token expired, want that the login is unavailable", err)
		}
	})
}

// TestCallerMayLeave cancels the request that began the login that another
// waits for.
func TestCallerMayLeave(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		sim, l, _ := newAPI(t)
		sim.Inject(supervisorsim.Fault{Path: "/wcp/login", Delay: 10 * time.Second, Times: 1})
		leaving := errors.New("no time")
		ctx, cancel := context.WithCancelCause(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := l.TokenSource().Token(ctx); !errors.Is(err, leaving) {
				t.Errorf("the one who leaves gets %v", err)
			}
		})
		synctest.Wait()
		wg.Go(func() {
			if _, err := l.TokenSource().Token(t.Context()); err != nil {
				t.Errorf("the one who stays gets %v", err)
			}
		})
		synctest.Wait()
		cancel(leaving)
		wg.Wait()
		synctest.Wait()
		if n := logins(sim); n != 1 {
			t.Errorf("%d logins", n)
		}
	})
}

// TestPasswordChanges changes the password after it was refused.
func TestPasswordChanges(t *testing.T) {
	t.Parallel()
	sim := newWCP(t, supervisorsim.WCPConfig{})
	password := "old"
	l := newLogin(t, sim, supervisor.PasswordFuncAuth(func(context.Context) (string, string, error) {
		return supervisorsim.DefaultUser, password, nil
	}))
	if _, err := l.TokenSource().Token(t.Context()); !errors.Is(err, viaduct.ErrUnauthenticated) {
		t.Fatalf("the old password: %v", err)
	}
	password = supervisorsim.DefaultPassword
	if _, err := l.TokenSource().Token(t.Context()); err != nil {
		t.Errorf("the new password: %v", err)
	}
}
