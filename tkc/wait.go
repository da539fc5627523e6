// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package tkc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/types"
	kuberest "k8s.io/client-go/rest"

	"github.com/viaduct-sdk/viaduct"
	"github.com/viaduct-sdk/viaduct/internal/poll"
)

// WaitOptions change what [Client.WaitReady] does.
type WaitOptions struct {
	// OnProgress is called with each state that differs from the one before, by
	// the goroutine that waits.
	OnProgress func(Progress)
}

// Progress is how far a TK cluster is.
type Progress struct {
	// Cluster as it is now.
	Cluster Cluster
	// State says in words what is waited for.
	State string
}

// WaitReady waits until a TK cluster can be used: until the Supervisor says that
// it is ready, its kubeconfig is there, and its API server answers with that. It
// returns the cluster as it is then. The deadline is that of ctx; the error then
// wraps [context.Cause] and names the last state. It goes on while the Supervisor
// can't be reached.
//
// Errors match [viaduct.ErrNotFound] when there is no such cluster, or it is being
// deleted; [viaduct.ErrUnavailable] when the Supervisor has given up on it, with
// its reason; [viaduct.ErrInvalid] when the kubeconfig is refused;
// [viaduct.ErrForbidden] when the user may not read it and the client has no
// login.
func (c *Client) WaitReady(ctx context.Context, namespace, name string, opts WaitOptions) (Cluster, error) {
	w := &waiter{client: c, key: types.NamespacedName{Namespace: namespace, Name: name}, report: opts.OnProgress}
	if namespace == "" || name == "" {
		return Cluster{}, invalid(opWait, w.key.String(), "both namespace and name are needed")
	}
	err := poll.Until(ctx, w.look)
	return w.cluster, waitError(opWait, w.key, err)
}

const opWait = "wait until ready"

type waiter struct {
	client  *Client
	key     types.NamespacedName
	report  func(Progress)
	cluster Cluster
	state   string
	access  *Access
}

// look reports the state, and whether the wait is over.
func (w *waiter) look(ctx context.Context) (string, bool, error) {
	state, done, err := w.step(ctx)
	if err == nil && state != w.state && w.report != nil {
		w.report(Progress{Cluster: w.cluster, State: state})
	}
	w.state = state
	return state, done, err
}

const stateReady = "it is ready and its API server answers"

func (w *waiter) step(ctx context.Context) (string, bool, error) {
	p, err := w.client.get(ctx, opWait, w.key)
	if isTransient(err) {
		return "the Supervisor does not answer: " + err.Error(), false, nil
	}
	if err != nil {
		return "", false, err
	}
	if cluster := p.view(); cluster.UID != w.cluster.UID {
		w.cluster, w.access = cluster, nil // the first, or one made anew
	} else {
		w.cluster = cluster
	}
	switch {
	case w.cluster.IsDeleted():
		return "", false, &Error{Op: opWait, Object: w.key.String(), Message: "it is being deleted", kind: viaduct.ErrNotFound}
	case w.cluster.IsFailed():
		return "", false, &Error{Op: opWait, Object: w.key.String(), Message: describe(w.cluster), kind: viaduct.ErrUnavailable}
	case !w.cluster.IsReady():
		return describe(w.cluster), false, nil
	}
	return w.probe(ctx)
}

// describe says in words why a cluster is not ready.
func describe(c Cluster) string {
	text := "its phase is not known"
	if c.Phase != "" {
		text = "its phase is " + string(c.Phase)
	}
	worst := worstCondition(c.Conditions)
	if worst.Type == "" {
		return text
	}
	text += ", " + worst.Type + " is " + worst.Status
	if worst.Reason != "" {
		text += " (" + worst.Reason + ")"
	}
	if worst.Message != "" {
		text += ": " + worst.Message
	}
	return text
}

// worstCondition is the one that says most: one that is not true, an error before
// others, a particular one before the summary.
func worstCondition(conditions []Condition) Condition {
	var worst Condition
	best := 0
	for _, condition := range conditions {
		score := 1
		switch {
		case condition.Status == "True" || condition.Type == "UpdatesAvailable":
			continue
		case condition.Severity == "Error":
			score = 4
		case condition.Message != "":
			score = 3
		case condition.Type != "Ready" && condition.Type != "Available":
			score = 2
		}
		if score > best {
			best, worst = score, condition
		}
	}
	return worst
}

// probe asks the API server of the cluster itself.
func (w *waiter) probe(ctx context.Context) (string, bool, error) {
	if w.access == nil {
		access, err := w.client.Access(ctx, w.key.Namespace, w.key.Name)
		switch {
		case errors.Is(err, viaduct.ErrNotFound) || isTransient(err):
			return "it is ready and has no kubeconfig: " + err.Error(), false, nil
		case err != nil:
			return "", false, err
		}
		w.access = access
	}
	if err := answers(ctx, w.access.Config()); err != nil {
		// Its endpoint may have moved since.
		_ = w.access.Refresh(ctx)
		return fmt.Sprintf("it is ready and its API server at %s does not answer: %v", w.access.Config().Host, err), false, nil
	}
	return stateReady, true, nil
}

// answers returns nil when an API server says that it is ready. One that does not
// know the question, or does not allow it, answers too.
func answers(ctx context.Context, config *kuberest.Config) error {
	const patience = 10 * time.Second
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	client, err := kuberest.HTTPClientFor(config)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimRight(config.Host, "/")+"/readyz", nil)
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	const most = 4 << 10
	_, _ = io.CopyN(io.Discard, resp.Body, most)
	switch resp.StatusCode {
	case http.StatusOK, http.StatusForbidden, http.StatusNotFound:
		return nil
	default:
		return fmt.Errorf("/readyz is %s", resp.Status)
	}
}
