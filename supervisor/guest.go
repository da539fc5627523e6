// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"context"
	"encoding/base64"
	"fmt"
	"net"
	"time"

	kuberest "k8s.io/client-go/rest"

	"github.com/viaduct-sdk/viaduct"
	"github.com/viaduct-sdk/viaduct/internal/rest"
)

type guestName struct {
	Name      string `json:"guest_cluster_name"`
	Namespace string `json:"guest_cluster_namespace,omitempty"`
}

func (g guestName) String() string {
	if g.Namespace == "" {
		return g.Name
	}
	return g.Namespace + "/" + g.Name
}

// Guest is a guest cluster, a Tanzu Kubernetes cluster, that the user has
// logged in to.
type Guest struct {
	Namespace, Name string

	// Server is the URL of its Kubernetes API.
	Server string
	// CA is the authority of its certificate, PEM.
	CA []byte

	login  *Login
	source *TokenSource
}

// Guest logs in to a guest cluster of the Supervisor. namespace may be empty
// where only one of the user's namespaces has a cluster of that name.
//
// Errors match [viaduct.ErrNotFound] when the Supervisor knows no such cluster,
// or, without namespace, does not know which; [viaduct.ErrInvalid] when it
// refuses the name; [viaduct.ErrUnauthenticated] when the password is refused.
func (l *Login) Guest(ctx context.Context, namespace, name string) (*Guest, error) {
	if name == "" {
		return nil, fmt.Errorf("supervisor: log in to guest cluster: %w: it has no name", viaduct.ErrInvalid)
	}
	id := &guestName{Name: name, Namespace: namespace}
	answer, err := l.login(ctx, id)
	if err != nil {
		return nil, err
	}
	// An unknown cluster is answered with 200 and without server.
	if answer.GuestServer == "" {
		message := "the Supervisor has no such cluster, or not in a namespace of the user's"
		if namespace == "" {
			message = "none, or more than one, of the user's namespaces has a cluster of this name"
		}
		return nil, &Error{Op: "log in to guest cluster", Object: id.String(), Message: message, kind: viaduct.ErrNotFound}
	}
	ca, err := base64.StdEncoding.DecodeString(answer.GuestCA)
	if err != nil || len(ca) == 0 {
		return nil, &Error{Op: "log in to guest cluster", Object: id.String(), Message: "the answer holds no authority to verify the cluster with", kind: viaduct.ErrUnavailable}
	}
	g := &Guest{Namespace: namespace, Name: name, Server: guestURL(answer.GuestServer), CA: ca, login: l}
	g.source = newTokenSource(func(ctx context.Context) (string, error) {
		answer, err := l.login(ctx, id)
		return answer.Session, err
	})
	g.source.keep(answer.Session, time.Now())
	return g, nil
}

// guestURL is the URL of a guest cluster's API at an address with or without
// port.
func guestURL(server string) string {
	if _, _, err := net.SplitHostPort(server); err != nil {
		server = net.JoinHostPort(server, apiPort)
	}
	return "https://" + server
}

// TokenSource returns the source of the guest cluster's tokens, which differ
// from the Supervisor's.
func (g *Guest) TokenSource() *TokenSource { return g.source }

// Config returns how to reach the guest cluster's Kubernetes API, with a token
// that is renewed as needed. Each call returns a new one, all with the same
// token.
func (g *Guest) Config() *kuberest.Config {
	return g.login.config(g.Server, trust{TLS: rest.TLS{CA: g.CA}, hasCA: true}, g.source)
}
