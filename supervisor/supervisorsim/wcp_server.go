// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package supervisorsim

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"k8s.io/client-go/rest"

	"github.com/viaduct-sdk/viaduct"
	"github.com/viaduct-sdk/viaduct/internal/authority"
)

// The user that a WCP has when it is given none.
const (
	DefaultUser     = "administrator@vsphere.local"
	DefaultPassword = "VMware1!"

	// A token of a Supervisor is good for ten hours (vSphere with Tanzu
	// documentation).
	defaultTokenLifetime = 10 * time.Hour
)

// Role is what a user may do in a vSphere Namespace.
type Role string

// The roles. The set is open.
const (
	RoleEdit Role = "EDIT"
	RoleView Role = "VIEW"
)

// User is a user of vCenter Single Sign-On.
type User struct {
	Name, Password string
	Groups         []string
	// Namespaces are the vSphere Namespaces that the user may use. Nil: all,
	// with RoleEdit.
	Namespaces map[string]Role
}

func (u User) role(namespace string) (Role, bool) {
	if u.Namespaces == nil {
		return RoleEdit, true
	}
	role, ok := u.Namespaces[namespace]
	return role, ok
}

// subject is the user's name in Kubernetes.
func subject(name string) string { return "sso:" + name }

// GuestEndpoint is where a guest cluster answers.
type GuestEndpoint struct {
	Namespace, Name string
	// Server is an address with port, or an address that means port 6443.
	Server string
	// CA is the PEM of the cluster's authority.
	CA []byte
}

// WCPConfig describes the login of a Supervisor. The zero value is one with the
// user [DefaultUser] and nothing behind it.
type WCPConfig struct {
	Users []User
	// Banner is shown before login.
	Banner string
	// TokenLifetime is ten hours when zero.
	TokenLifetime time.Duration
	// Clock is the time by which tokens expire; nil means this machine's.
	Clock func() time.Time
	// Lockout is how many wrong passwords in a row lock an account; 0: no
	// number does.
	Lockout int
	// Kubernetes is the API server behind the login, for requests outside of
	// /wcp. Nil: they are answered with 501.
	Kubernetes *rest.Config
	// Namespaces returns the names of the vSphere Namespaces, and Guests the
	// guest clusters. Either may be nil: none.
	Namespaces func() []string
	Guests     func() []GuestEndpoint
	// AmbiguousGuestRefused answers a guest cluster's name without namespace
	// that several have with 400, instead of as if there were none. Which of
	// the two the real server does is not known.
	AmbiguousGuestRefused bool
	// KubeConfigField adds the field kube_config, which is null, to the answer
	// to a login, as vSphere 9 does.
	KubeConfigField bool
}

// WCP is what a Supervisor serves at its address: /wcp/*, and the Kubernetes API
// for those who show a token that they got there. It is safe for concurrent use.
type WCP struct {
	cfg    WCPConfig
	ca     *authority.Authority
	issuer *issuer
	gate   *gate

	journal journal

	mu       sync.Mutex
	failures map[string]int
	listener *listener
}

// audienceSupervisor is the audience of the Supervisor's own tokens.
const audienceSupervisor = "vmware-tes:vc:vns:k8s"

// NewWCP returns a login that can be reached in process through [WCP.Client]; it
// opens no listener. The error matches [viaduct.ErrInvalid].
func NewWCP(cfg WCPConfig) (*WCP, error) {
	setDefault(&cfg.TokenLifetime, defaultTokenLifetime)
	if cfg.Clock == nil {
		cfg.Clock = time.Now
	}
	if len(cfg.Users) == 0 {
		cfg.Users = []User{{Name: DefaultUser, Password: DefaultPassword, Groups: []string{"Administrators@vsphere.local"}}}
	}
	for _, u := range cfg.Users {
		if u.Name == "" || u.Password == "" {
			return nil, fmt.Errorf("supervisorsim: %w: a user needs a name and a password", viaduct.ErrInvalid)
		}
	}
	ca, err := authority.New("CA, DC=vsphere, DC=local")
	if err != nil {
		return nil, fmt.Errorf("supervisorsim: %w", err)
	}
	i, err := newIssuer(cfg.Clock)
	if err != nil {
		return nil, fmt.Errorf("supervisorsim: %w", err)
	}
	w := &WCP{cfg: cfg, ca: ca, issuer: i, failures: map[string]int{}}
	if cfg.Kubernetes != nil {
		if w.gate, err = newGate(cfg.Kubernetes, w.authenticate); err != nil {
			return nil, err
		}
	}
	return w, nil
}

// ListenTLS serves on addr, such as "127.0.0.1:0", and returns the URL. The
// certificate is of the authority that [WCP.CACertPEM] returns.
func (w *WCP) ListenTLS(addr string) (string, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.listener != nil {
		return "", fmt.Errorf("supervisorsim: %w: it listens already", viaduct.ErrExists)
	}
	l, err := listen(addr, w.ca, nil, w)
	if err != nil {
		return "", err
	}
	w.listener = l
	return l.url, nil
}

// URL returns https://supervisor.sim, or the listener's URL once there is one.
func (w *WCP) URL() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.listener != nil {
		return w.listener.url
	}
	return "https://" + inProcessHost
}

// CACertPEM returns the certificate of the authority that signed the server's.
func (w *WCP) CACertPEM() []byte { return w.ca.CertPEM() }

// Close ends the listener and its connections.
func (w *WCP) Close() {
	w.mu.Lock()
	l := w.listener
	w.listener = nil
	w.mu.Unlock()
	if l != nil {
		l.close()
	}
}

// ExpireTokens makes the server refuse all tokens that it has issued so far.
// Watches that are open stay open.
func (w *WCP) ExpireTokens() { w.issuer.refuse() }

// authenticate knows the bearers of the Supervisor's tokens.
func (w *WCP) authenticate(r *http.Request) (*identity, bool) {
	c, good := w.issuer.verify(bearer(r), audienceSupervisor)
	return c.identity(), good || c == nil
}

func (c *claims) identity() *identity {
	if c == nil {
		return nil
	}
	groups := make([]string, 0, len(c.Groups))
	for _, g := range c.Groups {
		groups = append(groups, subject(g))
	}
	return &identity{user: subject(c.Subject), groups: groups}
}

// ServeHTTP implements [http.Handler].
func (w *WCP) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	recorder := &recorder{ResponseWriter: rw}
	defer func() { w.journal.record(r, recorder.status) }()
	if w.journal.fault(recorder, r) {
		return
	}
	switch r.Method + " " + r.URL.Path {
	case "GET /wcp/loginbanner":
		recorder.Header().Set("Content-Type", "text/plain")
		_, _ = io.WriteString(recorder, w.cfg.Banner)
	case "POST /wcp/login":
		w.login(recorder, r)
	case "GET /wcp/workloads":
		w.workloads(recorder, r)
	default:
		if w.gate == nil || strings.HasPrefix(r.URL.Path, "/wcp/") {
			w.journal.miss(r)
			http.Error(recorder, "supervisorsim does not simulate "+r.Method+" "+r.URL.Path, http.StatusNotImplemented)
			return
		}
		w.gate.ServeHTTP(recorder, r)
	}
}

// user checks the password of a request, and answers when it is wrong.
func (w *WCP) user(rw http.ResponseWriter, r *http.Request) (User, bool) {
	name, password, _ := r.BasicAuth()
	w.mu.Lock()
	defer w.mu.Unlock()
	i := slices.IndexFunc(w.cfg.Users, func(u User) bool { return strings.EqualFold(u.Name, name) })
	locked := w.cfg.Lockout > 0 && w.failures[name] >= w.cfg.Lockout
	if i < 0 || w.cfg.Users[i].Password != password || locked {
		w.failures[name]++
		http.Error(rw, "Unauthorized", http.StatusUnauthorized)
		return User{}, false
	}
	delete(w.failures, name)
	return w.cfg.Users[i], true
}

func (w *WCP) login(rw http.ResponseWriter, r *http.Request) {
	who, ok := w.user(rw, r)
	if !ok {
		return
	}
	var guest struct {
		Name      string `json:"guest_cluster_name"`
		Namespace string `json:"guest_cluster_namespace"`
	}
	const most = 64 << 10
	body, err := io.ReadAll(io.LimitReader(r.Body, most))
	if err != nil || (len(body) > 0 && json.Unmarshal(body, &guest) != nil) {
		http.Error(rw, "malformed request", http.StatusBadRequest)
		return
	}
	result := map[string]any{}
	if w.cfg.KubeConfigField {
		result["kube_config"] = nil
	}
	audience := audienceSupervisor
	if guest.Name != "" {
		found := w.guests(who, guest.Namespace, guest.Name)
		if len(found) > 1 && w.cfg.AmbiguousGuestRefused {
			http.Error(rw, "guest cluster name is ambiguous", http.StatusBadRequest)
			return
		}
		result["guest_cluster_server"], result["guest_cluster_ca"] = "", ""
		if len(found) == 1 {
			result["guest_cluster_server"] = found[0].Server
			result["guest_cluster_ca"] = base64.StdEncoding.EncodeToString(found[0].CA)
			audience = guestAudience(found[0].Namespace, found[0].Name)
		}
	}
	token, err := w.issuer.issue(who, audience, w.cfg.TokenLifetime)
	if err != nil {
		http.Error(rw, "can't sign", http.StatusInternalServerError)
		return
	}
	result["session_id"] = token
	answer(rw, http.StatusOK, result)
}

func guestAudience(namespace, name string) string {
	return audienceSupervisor + ":" + namespace + "/" + name
}

// guests are the guest clusters of that name in namespaces of the user's, in
// one of them when namespace is not empty.
func (w *WCP) guests(who User, namespace, name string) []GuestEndpoint {
	if w.cfg.Guests == nil {
		return nil
	}
	var found []GuestEndpoint
	for _, g := range w.cfg.Guests() {
		_, mine := who.role(g.Namespace)
		if mine && g.Name == name && (namespace == "" || namespace == g.Namespace) {
			found = append(found, g)
		}
	}
	return found
}

func (w *WCP) workloads(rw http.ResponseWriter, r *http.Request) {
	who, ok := w.user(rw, r)
	if !ok {
		return
	}
	u, err := url.Parse(w.URL())
	if err != nil {
		http.Error(rw, "no URL", http.StatusInternalServerError)
		return
	}
	port := 443
	if p, err := strconv.Atoi(u.Port()); err == nil {
		port = p
	}
	workloads := []map[string]any{}
	for _, namespace := range w.namespacesOf(who) {
		workloads = append(workloads, map[string]any{
			"namespace": namespace, "master_host": u.Hostname(),
			"control_plane_api_server_port": port, "control_plane_DNS_names": []string{},
		})
	}
	answer(rw, http.StatusOK, workloads)
}

// namespacesOf are the vSphere Namespaces that the user may use, sorted.
func (w *WCP) namespacesOf(who User) []string {
	if w.cfg.Namespaces == nil {
		return nil
	}
	names := map[string]bool{}
	for _, namespace := range w.cfg.Namespaces() {
		if _, mine := who.role(namespace); mine {
			names[namespace] = true
		}
	}
	return slices.Sorted(maps.Keys(names))
}
