// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package e2e_rbac_test

import (
	"context"
	"fmt"
	"net/http"

	"k8s.io/client-go/rest"

	"github.com/viaduct-sdk/viaduct"
)

// watching counts the watches that an account opens and that the server refuses.
type watching struct{ opened, refused chan string }

func newWatching() watching {
	const enough = 1000
	return watching{make(chan string, enough), make(chan string, enough)}
}

func (w watching) wrap(config *rest.Config) *rest.Config {
	config = rest.CopyConfig(config)
	config.Wrap(func(next http.RoundTripper) http.RoundTripper {
		return roundTripper(func(req *http.Request) (*http.Response, error) {
			res, err := next.RoundTrip(req)
			if err != nil || req.URL.Query().Get("watch") == "" {
				return res, err
			}
			to := w.opened
			if res.StatusCode == http.StatusForbidden {
				to = w.refused
			}
			select {
			case to <- req.URL.Path:
			default:
			}
			return res, nil
		})
	})
	return config
}

// until runs a call that watches without end until the server has opened that
// many watches, or has refused one, or the call returns.
func (w watching) until(ctx context.Context, opened int, call func(context.Context) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	returned := make(chan error, 1)
	go func() { returned <- call(ctx) }()
	for range opened {
		select {
		case <-w.opened:
		case path := <-w.refused:
			cancel()
			<-returned
			return fmt.Errorf("watch %s: %w", path, viaduct.ErrForbidden)
		case err := <-returned:
			return err
		}
	}
	cancel()
	<-returned
	return nil
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }
