// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"

	"golang.org/x/sync/errgroup"

	"github.com/viaduct-sdk/viaduct"
	"github.com/viaduct-sdk/viaduct/internal/poll"
)

const namespacesPath = "/api/vcenter/namespaces/instances"

// CreateNamespace creates a vSphere Namespace in vCenter, over vCenter's own
// API, and returns when vCenter says that it is running: its Kubernetes
// namespace and its network are there then.
//
// Errors match [viaduct.ErrInvalid] when vCenter refuses the name or the
// namespace exists.
func (l *Lab) CreateNamespace(ctx context.Context, name string) error {
	if err := l.createNamespace(ctx, name); err != nil {
		return fmt.Errorf("lab: create vSphere Namespace %q: %w", name, err)
	}
	return nil
}

func (l *Lab) createNamespaces(ctx context.Context) error {
	if len(l.config.Namespaces) == 0 {
		return nil
	}
	defer l.progress.Watch("create vSphere Namespaces", nil)()
	group, ctx := errgroup.WithContext(ctx)
	for _, name := range l.config.Namespaces {
		group.Go(func() error { return l.CreateNamespace(ctx, name) })
	}
	return group.Wait()
}

func (l *Lab) createNamespace(ctx context.Context, name string) error {
	var session string
	if err := l.vcenter(ctx, http.MethodPost, "/api/session", "", nil, &session); err != nil {
		return err
	}
	spec := map[string]string{"cluster": l.clusterID(), "namespace": name}
	if err := l.vcenter(ctx, http.MethodPost, namespacesPath, session, spec, nil); err != nil {
		return err
	}
	err := poll.Until(ctx, func(ctx context.Context) (string, bool, error) {
		var seen struct {
			ConfigStatus string          `json:"config_status"`
			Messages     json.RawMessage `json:"messages"`
		}
		if err := l.vcenter(ctx, http.MethodGet, namespacesPath+"/"+name, session, nil, &seen); err != nil {
			return "", false, err
		}
		if seen.ConfigStatus == "ERROR" {
			return "", false, fmt.Errorf("vCenter says: %s", seen.Messages)
		}
		return seen.ConfigStatus, seen.ConfigStatus == "RUNNING", nil
	})
	return errors.Join(err, l.vcenter(ctx, http.MethodDelete, "/api/session", session, nil, nil))
}

// vcenter sends a request to vCenter and decodes the answer. Without a session
// it logs in.
func (l *Lab) vcenter(ctx context.Context, method, path, session string, body, into any) error {
	content, err := json.Marshal(body)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, method, l.VCenter.URL()+path, bytes.NewReader(content))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	if session == "" {
		req.SetBasicAuth(l.VCenter.Username(), l.VCenter.Password())
	} else {
		req.Header.Set("vmware-api-session-id", session)
	}
	res, err := l.VCenter.Client().Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }() // Read to its end, or failed already.
	answer, err := io.ReadAll(res.Body)
	switch {
	case err != nil:
		return err
	case res.StatusCode == http.StatusBadRequest:
		return fmt.Errorf("vCenter says: %s: %w", answer, viaduct.ErrInvalid)
	case res.StatusCode >= http.StatusBadRequest:
		return fmt.Errorf("vCenter says: %s: %s", res.Status, answer)
	case into == nil:
		return nil
	}
	return json.Unmarshal(answer, into)
}
