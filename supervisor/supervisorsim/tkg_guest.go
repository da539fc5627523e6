// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package supervisorsim

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"

	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/viaduct-sdk/viaduct"
	"github.com/viaduct-sdk/viaduct/internal/authority"
)

// guest is a TK cluster: a TLS endpoint of its own, with an authority of its
// own, before the API server that the provider started.
type guest struct {
	name     types.NamespacedName
	ca       *authority.Authority
	wcp      *WCP
	listener *listener

	mu      sync.Mutex
	gate    *gate
	refused map[string]bool // serial numbers of client certificates
	serial  string          // of the client certificate in the kubeconfig
	nodes   []guestNode
	cloud   *cloudProvider
}

// guestNode is a node of a TK cluster.
type guestNode struct {
	name, address string
	worker        bool
}

// newGuest listens for a TK cluster. Until it has a gate it answers 503, as a
// control plane does that is not there yet.
func newGuest(name types.NamespacedName, ca *authority.Authority, wcp *WCP) (*guest, error) {
	g := &guest{name: name, ca: ca, wcp: wcp, refused: map[string]bool{}}
	l, err := listen("127.0.0.1:0", ca, ca, g)
	if err != nil {
		return nil, err
	}
	g.listener = l
	return g, nil
}

func (g *guest) url() string { return g.listener.url }

// ServeHTTP implements [http.Handler].
func (g *guest) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	gate := g.gate
	g.mu.Unlock()
	if gate == nil {
		status(w, http.StatusServiceUnavailable, metav1.StatusReasonServiceUnavailable, "the control plane is not ready")
		return
	}
	gate.ServeHTTP(w, r)
}

// authenticate knows the kubeconfigs' client certificates and the tokens that
// guest logins got.
func (g *guest) authenticate(r *http.Request) (*identity, bool) {
	if c, good := g.wcp.issuer.verify(bearer(r), guestAudience(g.name.Namespace, g.name.Name)); c != nil {
		return c.identity(), good
	}
	if r.TLS == nil || len(r.TLS.PeerCertificates) == 0 {
		return nil, true
	}
	leaf := r.TLS.PeerCertificates[0]
	g.mu.Lock()
	defer g.mu.Unlock()
	return &identity{user: leaf.Subject.CommonName, groups: leaf.Subject.Organization}, !g.refused[leaf.SerialNumber.String()]
}

// open lets requests through to the API server.
func (g *guest) open(config *rest.Config) error {
	gate, err := newGate(config, g.authenticate)
	if err != nil {
		return err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.gate = gate
	return nil
}

func (g *guest) close() {
	g.mu.Lock()
	cloud := g.cloud
	g.cloud = nil
	g.mu.Unlock()
	if cloud != nil {
		cloud.close()
	}
	g.listener.close()
}

// guest returns the TK cluster of that name, or nil.
func (t *tkg) guest(name types.NamespacedName) *guest {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.guests[name]
}

// endpoints are the TK clusters that guest logins lead to.
func (t *tkg) endpoints() []GuestEndpoint {
	t.mu.Lock()
	defer t.mu.Unlock()
	var all []GuestEndpoint
	for name, g := range t.guests {
		all = append(all, GuestEndpoint{
			Namespace: name.Namespace, Name: name.Name,
			Server: strings.TrimPrefix(g.url(), "https://"), CA: g.ca.CertPEM(),
		})
	}
	return all
}

// provide makes all of a TK cluster, or what is missing of it. The kubeconfig is
// there before the API server answers, as on a real Supervisor.
func (t *tkg) provide(ctx context.Context, r *request) (*guest, error) {
	network, err := t.ensureNetwork(ctx, r)
	if err != nil {
		return nil, err
	}
	g, err := t.ensureGuest(ctx, r)
	if err != nil {
		return nil, err
	}
	if err := t.ensureNodes(r, g, network); err != nil {
		return nil, err
	}
	if err := t.ensureControlPlaneService(ctx, r); err != nil {
		return nil, err
	}
	if err := t.ensureKubeconfig(ctx, r, g); err != nil {
		return nil, err
	}
	config, err := t.cfg.TKG.Clusters.StartCluster(ctx, r.name.Namespace, r.name.Name)
	if err != nil {
		return nil, err
	}
	kube, err := kubernetes.NewForConfig(unlimited(config))
	if err != nil {
		return nil, err
	}
	if err := t.admitUsers(ctx, kube, r.name.Namespace); err != nil {
		return nil, err
	}
	if err := g.open(config); err != nil {
		return nil, err
	}
	return g, t.vms.serve(g, kube, r) //nolint:contextcheck // it goes on when this call has ended
}

// unlimited is a copy of config without a rate limit on the client's side.
func unlimited(config *rest.Config) *rest.Config {
	c := rest.CopyConfig(config)
	c.QPS, c.Burst = -1, 0
	c.WarningHandler = rest.NoWarnings{}
	return c
}

// ensureGuest returns the running endpoint of a TK cluster, which it starts if
// there is none. The authority is the one that the cluster's Secret holds, so
// that it outlives the simulator.
func (t *tkg) ensureGuest(ctx context.Context, r *request) (*guest, error) {
	if g := t.guest(r.name); g != nil {
		return g, nil
	}
	ca, err := t.ensureAuthority(ctx, r)
	if err != nil {
		return nil, err
	}
	g, err := newGuest(r.name, ca, t.wcp)
	if err != nil {
		return nil, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.guests[r.name] = g
	return g, nil
}

// admitUsers makes those who may edit the namespace administrators of its TK
// clusters.
func (t *tkg) admitUsers(ctx context.Context, kube kubernetes.Interface, namespace string) error {
	for _, u := range t.wcp.cfg.Users {
		if role, ok := u.role(namespace); !ok || role != RoleEdit {
			continue
		}
		_, err := kube.RbacV1().ClusterRoleBindings().Create(ctx, &rbacv1.ClusterRoleBinding{
			ObjectMeta: metav1.ObjectMeta{Name: "vmware-system-auth-sync-wcp:" + namespace + ":" + u.Name},
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "cluster-admin"},
			Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: subject(u.Name)}},
		}, metav1.CreateOptions{})
		if err != nil && !apierrors.IsAlreadyExists(err) {
			return fmt.Errorf("admit %s: %w", u.Name, err)
		}
	}
	return nil
}

// tearDown takes away what there is of a TK cluster.
func (t *tkg) tearDown(ctx context.Context, name types.NamespacedName) error {
	t.mu.Lock()
	g := t.guests[name]
	delete(t.guests, name)
	t.mu.Unlock()
	if g != nil {
		g.close()
	}
	if err := t.vms.removeCluster(ctx, name); err != nil {
		return err
	}
	if err := t.cfg.TKG.Clusters.StopCluster(ctx, name.Namespace, name.Name); err != nil {
		return fmt.Errorf("supervisorsim: stop tk cluster %s: %w", name, err)
	}
	if err := t.removeSecrets(ctx, name); err != nil {
		return err
	}
	return t.removeNetwork(ctx, name)
}

// RotateKubeconfig replaces the client certificate in the kubeconfig Secret of a
// TK cluster, as its control plane does long before the old one expires. The old
// one stays good. The error matches [viaduct.ErrNotFound] when no such TK cluster
// runs.
func (s *Simulator) RotateKubeconfig(ctx context.Context, namespace, name string) error {
	g, err := s.guest(namespace, name)
	if err != nil {
		return err
	}
	return s.tkg.writeKubeconfig(ctx, g, nil)
}

// RevokeKubeconfig makes the API server of a TK cluster refuse the client
// certificate that is in the kubeconfig Secret now. [Simulator.RotateKubeconfig]
// makes another. The error matches [viaduct.ErrNotFound] when no such TK cluster
// runs.
func (s *Simulator) RevokeKubeconfig(namespace, name string) error {
	g, err := s.guest(namespace, name)
	if err != nil {
		return err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.refused[g.serial] = true
	return nil
}

func (s *Simulator) guest(namespace, name string) (*guest, error) {
	id := types.NamespacedName{Namespace: namespace, Name: name}
	if s.tkg != nil {
		if g := s.tkg.guest(id); g != nil {
			return g, nil
		}
	}
	return nil, fmt.Errorf("supervisorsim: tk cluster %s: %w", id, viaduct.ErrNotFound)
}

// addresses are the addresses of the nodes with this role.
func (g *guest) addresses(worker bool) []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	var all []string
	for _, n := range g.nodes {
		if n.worker == worker {
			all = append(all, n.address)
		}
	}
	slices.Sort(all)
	return all
}
