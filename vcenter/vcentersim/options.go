// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package vcentersim

import (
	"context"
	"slices"
	"time"
)

// Role is what a user may do.
type Role string

// The roles that the simulator knows.
const (
	// RoleAdministrator may do everything.
	RoleAdministrator Role = "Administrator"
	// RoleReadOnly has System.Read everywhere and no Namespaces.Configure.
	RoleReadOnly Role = "ReadOnly"
	// RoleDeveloper has no privilege of its own: it sees the namespaces whose
	// access list names it, through the API for users.
	RoleDeveloper Role = "Developer"
)

// User is an account. Names have the form user@domain.
type User struct {
	Name, Password string
	Role           Role
	// PasswordExpired makes each login fail although the password is right.
	PasswordExpired bool
}

// NamespaceController is what happens on the Supervisor when vCenter creates
// or deletes a vSphere Namespace. vCenter keeps the namespace CONFIGURING or
// REMOVING until the call returns; an error becomes the namespace's message
// and turns its state to ERROR. The context ends when the simulator closes.
type NamespaceController interface {
	CreateNamespace(ctx context.Context, name string) error
	DeleteNamespace(ctx context.Context, name string) error
}

// Option changes how a Server behaves.
type Option func(*options)

type options struct {
	listen       string
	version      string
	users        []User
	idle         time.Duration
	legacyOnly   bool
	controller   NamespaceController
	manual       bool
	maxSessions  int
	networkLimit int
	endedWait    WaitEnd
}

func defaults() options {
	return options{
		version: "7.0.3",
		users:   []User{{Name: DefaultUser, Password: DefaultPassword, Role: RoleAdministrator}},
		idle:    30 * time.Minute,
	}
}

// WithListener serves on a TLS listener from the start; see [Server.ListenTLS].
func WithListener(addr string) Option { return func(o *options) { o.listen = addr } }

// WithVersion is the vCenter's version, "7.0.3" when not given. From "8.0.0"
// the second version of the namespace API and the Supervisor API are served.
func WithVersion(version string) Option { return func(o *options) { o.version = version } }

// WithUser adds an account. One with the administrator's name replaces it.
func WithUser(user User) Option {
	return func(o *options) {
		for i := range o.users {
			if o.users[i].Name == user.Name {
				o.users = slices.Clone(o.users)
				o.users[i] = user
				return
			}
		}
		o.users = append(slices.Clip(o.users), user)
	}
}

// WithSessionTimeout is how long a session lives without a request, 30
// minutes when not given.
func WithSessionTimeout(idle time.Duration) Option { return func(o *options) { o.idle = idle } }

// WithLegacySessionOnly takes /api/session away, as on servers before it.
func WithLegacySessionOnly() Option { return func(o *options) { o.legacyOnly = true } }

// WithMaxSessions refuses further logins with SERVICE_UNAVAILABLE while so
// many REST sessions are alive.
func WithMaxSessions(n int) Option { return func(o *options) { o.maxSessions = n } }

// WithNamespaceController connects what happens on the Supervisor. Without
// one, namespaces are RUNNING at once.
func WithNamespaceController(ctl NamespaceController) Option {
	return func(o *options) { o.controller = ctl }
}

// WithManualClusters leaves clusters CONFIGURING when they are enabled and
// REMOVING when they are disabled, until [Server.FinishCluster] is called.
func WithManualClusters() Option { return func(o *options) { o.manual = true } }

// WithResultLimit pages the results of the property collector after n
// objects, as vCenter's policy may; without it there is one page.
func WithResultLimit(n int) Option { return func(o *options) { o.networkLimit = n } }

// WaitEnd is how a wait for updates ends when its session does. Which of them
// a vCenter answers with is not known.
type WaitEnd string

// The ways in which a wait may end.
const (
	WaitEndsNotAuthenticated WaitEnd = ""
	WaitEndsCanceled         WaitEnd = "RequestCanceled"
	WaitEndsNotFound         WaitEnd = "ManagedObjectNotFound"
)

// WithWaitEnd chooses how waits for updates end when their session ends.
func WithWaitEnd(end WaitEnd) Option { return func(o *options) { o.endedWait = end } }
