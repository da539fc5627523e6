// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package tkc_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	kuberest "k8s.io/client-go/rest"

	"github.com/viaduct-sdk/viaduct"
	"github.com/viaduct-sdk/viaduct/supervisor"
	"github.com/viaduct-sdk/viaduct/tkc"
)

// accessWorld is a Supervisor with one TK cluster whose token is "first".
func accessWorld(t *testing.T) (*fakeAPI, *guest, *tkc.Access) {
	t.Helper()
	f := newFake(tkc.TanzuV1alpha3)
	g := newGuest(t)
	f.put(cluster(tkc.TanzuV1alpha3, "acme-app", "a", true))
	f.put(secret("acme-app", "a", map[string][]byte{"value": g.kubeconfig("first")}))
	a, err := f.client(t).Access(t.Context(), "acme-app", "a")
	if err != nil {
		t.Fatal(err)
	}
	return f, g, a
}

func httpClient(t *testing.T, config *kuberest.Config) *http.Client {
	t.Helper()
	c, err := kuberest.HTTPClientFor(config)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// send posts a body and returns what comes back.
func send(ctx context.Context, client *http.Client, url, body string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		return "", err
	}
	resp, err := client.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("status %s", resp.Status)
	}
	return string(data), err
}

// TestAccessRefused replaces the credentials when they are refused, and sends the
// request again with its body.
func TestAccessRefused(t *testing.T) {
	t.Parallel()
	f, g, a := accessWorld(t)
	client := httpClient(t, a.Config())
	url := a.Config().Host
	if got, err := send(t.Context(), client, url+"/x", "one"); got != "one" || err != nil {
		t.Fatalf("%q, %v", got, err)
	}
	g.set("second", true)
	f.put(secret("acme-app", "a", map[string][]byte{"value": g.kubeconfig("second")}))
	g.set("first", false)
	if got, err := send(t.Context(), client, url+"/x", "two"); got != "two" || err != nil {
		t.Fatalf("%q, %v", got, err)
	}
	if g.count("second") != 1 || g.refused() != 1 {
		t.Errorf("second token used %d times after %d refusals", g.count("second"), g.refused())
	}
	k, err := a.Kubeconfig()
	if err != nil || k.Token != "second" {
		t.Errorf("kubeconfig %v, %v", k, err)
	}
	// Nothing new in the Secret: the refusal stands.
	g.set("second", false)
	if _, err := send(t.Context(), client, url+"/x", "three"); err == nil || !strings.Contains(err.Error(), "401") {
		t.Errorf("refused for good: %v", err)
	}
	if g.refused() != 2 {
		t.Errorf("%d refusals: a request was sent again with the same credentials", g.refused())
	}
	// The Secret is broken: likewise.
	f.put(secret("acme-app", "a", nil))
	if _, err := send(t.Context(), client, url+"/x", "four"); err == nil || !strings.Contains(err.Error(), "401") {
		t.Errorf("refused for good: %v", err)
	}
	if err := a.Refresh(t.Context()); !errors.Is(err, viaduct.ErrNotFound) {
		t.Errorf("refresh: %v", err)
	}
}

// TestAccessOneLook has many requests refused at once.
func TestAccessOneLook(t *testing.T) {
	t.Parallel()
	f, g, a := accessWorld(t)
	client := httpClient(t, a.Config())
	g.set("second", true)
	f.put(secret("acme-app", "a", map[string][]byte{"value": g.kubeconfig("second")}))
	g.set("first", false)
	before := f.seen("GET /api/v1/namespaces/acme-app/secrets/")
	var group sync.WaitGroup
	const many = 64
	for i := range many {
		group.Go(func() {
			body := fmt.Sprint(i)
			if got, err := send(t.Context(), client, a.Config().Host+"/x", body); got != body || err != nil {
				t.Errorf("%q, %v", got, err)
			}
		})
	}
	group.Wait()
	if n := g.count("second"); n != many {
		t.Errorf("%d requests with the second token, want %d", n, many)
	}
	// One look, unless a request was refused after it had begun: those look again.
	if n := f.seen("GET /api/v1/namespaces/acme-app/secrets/") - before; n < 1 || n > many/2 {
		t.Errorf("%d looks at the Secret", n)
	}
}

// TestAccessInFlight replaces the credentials while a request is under way.
func TestAccessInFlight(t *testing.T) {
	t.Parallel()
	f, g, a := accessWorld(t)
	client := httpClient(t, a.Config())
	url := a.Config().Host
	result := make(chan error, 1)
	go func() {
		got, err := send(t.Context(), client, url+"/hold", "held")
		if err == nil && got != "held" {
			err = fmt.Errorf("got %q", got)
		}
		result <- err
	}()
	<-g.held
	g.set("second", true)
	f.put(secret("acme-app", "a", map[string][]byte{"value": g.kubeconfig("second")}))
	if err := a.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	g.set("first", false)
	if _, err := send(t.Context(), client, url+"/x", "new"); err != nil || g.refused() != 0 {
		t.Errorf("a new request: %v, %d refusals", err, g.refused())
	}
	close(g.hold)
	if err := <-result; err != nil {
		t.Errorf("the request under way: %v", err)
	}
}

// TestAccessMoved follows the cluster to another server with another certificate.
func TestAccessMoved(t *testing.T) {
	t.Parallel()
	f, old, a := accessWorld(t)
	client := httpClient(t, a.Config())
	url := a.Config().Host
	fresh := newGuest(t)
	f.put(secret("acme-app", "a", map[string][]byte{"value": fresh.kubeconfig("first")}))
	old.server.CloseClientConnections()
	old.server.Close()
	if got, err := send(t.Context(), client, url+"/x", "moved"); got != "moved" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	if fresh.count("first") != 1 {
		t.Error("the new server was not asked")
	}
	// Nobody is there any more, and the Secret says nothing new.
	fresh.server.CloseClientConnections()
	fresh.server.Close()
	if _, err := send(t.Context(), client, url+"/x", "lost"); err == nil {
		t.Error("a request without server succeeded")
	}
}

// TestAccessAuthority follows the cluster to another authority, after its server
// has been given a certificate of that.
func TestAccessAuthority(t *testing.T) {
	t.Parallel()
	f := newFake(tkc.TanzuV1alpha3)
	g := newGuest(t)
	good := g.kubeconfig("first")
	other, err := tkc.ParseKubeconfig(readCorpus(t, "good-token.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	encode := base64.StdEncoding.EncodeToString
	bad := bytes.Replace(good, []byte(encode(g.authority())), []byte(encode(other.CA)), 1)
	f.put(secret("acme-app", "a", map[string][]byte{"value": bad}))
	a, err := f.client(t).Access(t.Context(), "acme-app", "a")
	if err != nil {
		t.Fatal(err)
	}
	client := httpClient(t, a.Config())
	if _, err := send(t.Context(), client, a.Config().Host+"/x", ""); err == nil {
		t.Fatal("a certificate of another authority is accepted")
	}
	f.put(secret("acme-app", "a", map[string][]byte{"value": good}))
	if got, err := send(t.Context(), client, a.Config().Host+"/x", "again"); got != "again" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
}

// TestAccessRun has new credentials in use before the old ones are refused.
func TestAccessRun(t *testing.T) {
	t.Parallel()
	f, g, a := accessWorld(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx) }()
	for i, token := range []string{"second", "third", "fourth"} {
		g.set(token, true)
		if i == 1 {
			f.disconnect(http.StatusGone)
		}
		f.put(secret("acme-app", "a", map[string][]byte{"value": g.kubeconfig(token)}))
		f.put(secret("acme-app", "b", map[string][]byte{"value": g.kubeconfig("another's")}))
		waitFor(t, "token "+token, func() bool {
			k, err := a.Kubeconfig()
			return err == nil && k.Token == token
		})
	}
	// A Secret that is refused, or gone, changes nothing.
	f.put(secret("acme-app", "a", map[string][]byte{"value": readCorpus(t, "exec.yaml")}))
	f.drop("v1", "acme-app", "a-kubeconfig")
	f.put(secret("acme-app", "a", map[string][]byte{"value": g.kubeconfig("first")}))
	waitFor(t, "token first", func() bool {
		k, err := a.Kubeconfig()
		return err == nil && k.Token == "first"
	})
	if _, err := send(t.Context(), httpClient(t, a.Config()), a.Config().Host+"/x", ""); err != nil || g.refused() != 0 {
		t.Errorf("%v, %d refusals", err, g.refused())
	}
	over := errors.New("over")
	cancel(over)
	if err := <-ended; !errors.Is(err, over) {
		t.Errorf("ended with %v", err)
	}
}

// TestAccessErrors checks what keeps an access from being made.
func TestAccessErrors(t *testing.T) {
	t.Parallel()
	g := newGuest(t)
	value := func(name string) map[string][]byte { return map[string][]byte{"value": readCorpus(t, name)} }
	tests := map[string]struct {
		data    map[string][]byte
		missing bool
		opts    []tkc.Option
		want    error
		text    string
	}{
		"no cluster":   {missing: true, want: viaduct.ErrNotFound, text: "there is none"},
		"no secret":    {want: viaduct.ErrNotFound, text: "no Secret a-kubeconfig yet"},
		"no key":       {data: map[string][]byte{"kubeconfig": g.kubeconfig("first")}, want: viaduct.ErrNotFound, text: `has no key "value"`},
		"exec":         {data: value("exec.yaml"), want: viaduct.ErrInvalid, text: "exec plugin"},
		"exec allowed": {data: value("exec.yaml"), opts: []tkc.Option{tkc.WithAllowed(tkc.RiskExec)}},
		"plain":        {data: value("plain-http.yaml"), want: viaduct.ErrInvalid, text: "plain http"},
		"good":         {data: map[string][]byte{"value": g.kubeconfig("first")}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFake(tkc.TanzuV1alpha3)
			if !tt.missing {
				f.put(cluster(tkc.TanzuV1alpha3, "acme-app", "a", true))
			}
			if tt.data != nil {
				f.put(secret("acme-app", "a", tt.data))
			}
			_, err := f.client(t, tt.opts...).Access(t.Context(), "acme-app", "a")
			if tt.want == nil {
				if err != nil {
					t.Error(err)
				}
				return
			}
			var e *tkc.Error
			if !errors.Is(err, tt.want) || !errors.As(err, &e) || !strings.Contains(fmt.Sprint(err), tt.text) {
				t.Errorf("%v; want %v and %q", err, tt.want, tt.text)
			}
		})
	}
}

// loginFunc is a login that a test makes up.
type loginFunc func(ctx context.Context, namespace, name string) (*supervisor.Guest, error)

func (f loginFunc) Guest(ctx context.Context, namespace, name string) (*supervisor.Guest, error) {
	return f(ctx, namespace, name)
}

// TestLoginErrors checks when there is no kubeconfig by login.
func TestLoginErrors(t *testing.T) {
	t.Parallel()
	f := newFake(tkc.TanzuV1alpha3)
	if _, err := f.client(t).LoginKubeconfig(t.Context(), "acme-app", "a"); !errors.Is(err, viaduct.ErrUnsupported) {
		t.Errorf("without login: %v", err)
	}
	refused := &supervisor.Error{Op: "log in", Status: http.StatusUnauthorized}
	c := f.client(t, tkc.WithGuestLogin(loginFunc(func(context.Context, string, string) (*supervisor.Guest, error) { return nil, refused })))
	if _, err := c.LoginKubeconfig(t.Context(), "acme-app", "a"); !errors.Is(err, viaduct.ErrUnauthenticated) || !errors.Is(err, refused) {
		t.Errorf("refused: %v", err)
	}
	if _, err := c.LoginKubeconfig(t.Context(), "", "a"); !errors.Is(err, viaduct.ErrInvalid) {
		t.Errorf("without namespace: %v", err)
	}
	f.setFault(func(r *http.Request) (int, metav1.StatusReason) {
		if strings.Contains(r.URL.Path, "/secrets/") {
			return http.StatusForbidden, metav1.StatusReasonForbidden
		}
		return 0, ""
	})
	if _, err := c.Access(t.Context(), "acme-app", "a"); !errors.Is(err, viaduct.ErrUnauthenticated) {
		t.Errorf("the Secret is forbidden and so is the login: %v", err)
	}
	if _, err := f.client(t).Access(t.Context(), "acme-app", "a"); !errors.Is(err, viaduct.ErrForbidden) {
		t.Errorf("the Secret is forbidden: %v", err)
	}
}

// waitFor waits until is reports true.
func waitFor(t *testing.T, what string, is func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !is() {
		select {
		case <-ctx.Done():
			t.Fatal("still waiting for " + what)
		case <-tick.C:
		}
	}
}
