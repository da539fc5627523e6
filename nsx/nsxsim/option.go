// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package nsxsim

import (
	"crypto/x509"
	"time"
)

// The user that every simulated NSX Manager knows unless [WithPrincipal] says
// otherwise.
const (
	DefaultUser     = "admin"
	DefaultPassword = "VMware1!VMware1!" //nolint:gosec // the simulator's own well-known password protects nothing
)

// systemUser owns what NSX makes by itself.
const systemUser = "system"

// Principal is somebody who may log in. At least one of Password, Token and
// Certificate is set.
type Principal struct {
	Name     string
	Password string
	// Remote makes the password one of vIDM: it is accepted with the scheme
	// Remote and not with Basic.
	Remote bool
	// Token is accepted as Bearer. When it is a JWT with an exp claim it is
	// refused after that time.
	Token string
	// Certificate is accepted from TLS clients that present it.
	Certificate *x509.Certificate
	// Protected makes the objects that this principal creates require
	// X-Allow-Overwrite from everybody else.
	Protected bool
}

// Switches are the questions about a real NSX Manager that public sources do
// not answer, or answer in two ways. The zero value is the answer that this
// simulator gives by default; a program that works with every setting does not
// depend on the answer.
type Switches struct {
	// PatchReplaces makes PATCH of load balancer objects replace the whole
	// object, as the API reference says, instead of merging top-level fields.
	PatchReplaces bool
	// MissingPathNotFound answers 404 instead of 400 (code 500012) when the
	// parent of an object to be written, or an object that it refers to, does
	// not exist. Both have been seen.
	MissingPathNotFound bool
	// NotFoundCode is the error_code of a 404; 600 when zero. 500090 and 202
	// have been seen too.
	NotFoundCode int
	// ProtectedStatus is the status with which a change of a protected object
	// is refused; 400 when zero, which has been seen, 403 has been described.
	ProtectedStatus int
	// ExpiredSessionStatus is the status for a session that ended; 403 when
	// zero (with code 98), 401 has been described too.
	ExpiredSessionStatus int
	// ConcurrencyStatus is the status beyond the concurrency limit of a
	// client; 503 when zero, 429 has been described too.
	ConcurrencyStatus int
	// RetryAfter sends Retry-After, in seconds, with 429 and 503.
	RetryAfter int
	// AddressReleaseDelay keeps the address of a deleted allocation from being
	// allocated again for that long. The API reference speaks of two minutes.
	AddressReleaseDelay time.Duration
	// HideAllocatedIP leaves allocation_ip out of what GET returns for an
	// allocation whose address NSX chose, so that only the realized entity
	// tells it.
	HideAllocatedIP bool
	// EmptyPoolStatus is the status of a pool without members; UNKNOWN when
	// empty.
	EmptyPoolStatus string
	// SearchCursorEnds leaves the cursor out of the last page of a search
	// instead of sending one that equals result_count.
	SearchCursorEnds bool
	// SearchPageLimit refuses searches with a larger page_size, as NSX does
	// when the page would take too many bytes; 0 means no limit.
	SearchPageLimit int
	// RepeatedScopeFindsNothing makes a search that names tags.scope twice
	// find nothing, as older releases are said to do.
	RepeatedScopeFindsNothing bool
	// UnstableVirtualMachines lists realized virtual machines in an order that
	// differs from page to page unless sort_by is sent.
	UnstableVirtualMachines bool
}

// Option configures a [Server].
type Option func(*config)

type config struct {
	managers         int
	principals       []Principal
	clock            func() time.Time
	realizationDelay time.Duration
	manual           bool
	purgeDelay       time.Duration
	searchLag        time.Duration
	sessionTimeout   time.Duration
	limits           Limits
	lockout          int
	version          string
	switches         Switches
}

func defaults() config {
	return config{
		managers:       1,
		clock:          time.Now,
		sessionTimeout: 30 * time.Minute,
		lockout:        5,
		version:        "3.2.1.0.0.19801959",
	}
}

// WithManagers sets the number of NSX Manager nodes that share the state; 1 is
// the default. See [Server.Managers].
func WithManagers(n int) Option {
	return func(c *config) { c.managers = max(n, 1) }
}

// WithPrincipal adds somebody who may log in. [DefaultUser] exists unless a
// principal of that name is added.
func WithPrincipal(p Principal) Option {
	return func(c *config) { c.principals = append(c.principals, p) }
}

// WithClock makes the simulator read the time from now. The default is
// time.Now, which testing/synctest already controls.
func WithClock(now func() time.Time) Option {
	return func(c *config) { c.clock = now }
}

// WithRealizationDelay sets how long after a write the intent is realized; by
// default it is at the next read.
func WithRealizationDelay(d time.Duration) Option {
	return func(c *config) { c.realizationDelay = d }
}

// WithManualRealization realizes nothing until [Server.SetRealization] says so.
func WithManualRealization() Option {
	return func(c *config) { c.manual = true }
}

// WithPurgeDelay sets how long a deleted object stays, marked for deletion: it
// is found by searches, and its path can't be used again. By default objects
// are purged at once; real ones take about five minutes.
func WithPurgeDelay(d time.Duration) Option {
	return func(c *config) { c.purgeDelay = d }
}

// WithSearchLag sets how far the search index is behind; it is not by default.
func WithSearchLag(d time.Duration) Option {
	return func(c *config) { c.searchLag = d }
}

// WithSessionTimeout sets how long a session lives after its last request; 30
// minutes by default.
func WithSessionTimeout(d time.Duration) Option {
	return func(c *config) { c.sessionTimeout = d }
}

// WithLockout sets after how many wrong passwords in a row an account is
// locked for 15 minutes; 5 by default, 0 means never.
func WithLockout(failures int) Option {
	return func(c *config) { c.lockout = failures }
}

// Limits are the limits of each manager's API service. Zero means no limit,
// which is this simulator's default; NSX's defaults are 100, 40 and 199.
type Limits struct {
	RequestsPerSecond int // of each user
	ConcurrentPerUser int
	Concurrent        int
}

// WithLimits sets the limits of each manager's API service.
func WithLimits(limits Limits) Option {
	return func(c *config) { c.limits = limits }
}

// WithVersion sets the product version; a 3.2.1 build by default.
func WithVersion(version string) Option {
	return func(c *config) { c.version = version }
}

// WithSwitches answers questions about real NSX Managers otherwise than this
// simulator does by default.
func WithSwitches(switches Switches) Option {
	return func(c *config) { c.switches = switches }
}
