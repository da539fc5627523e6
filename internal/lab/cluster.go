// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/viaduct-sdk/viaduct"
	"github.com/viaduct-sdk/viaduct/internal/authority"
)

// Cluster is a Kubernetes control plane of the lab: the Supervisor's, or that
// of a Tanzu Kubernetes cluster. Its methods are safe for concurrent use.
type Cluster struct {
	// Name is "supervisor", or the name of the TK cluster.
	Name string

	// Config reaches the API server as a member of system:masters, by bearer
	// token. It stays valid when the API server is restarted.
	Config *rest.Config

	// Kubeconfig is the path of a kubeconfig file with the same content. The
	// file goes when the lab is closed.
	Kubeconfig string

	// ServiceCIDR is the range of the cluster's Services.
	ServiceCIDR netip.Prefix

	keeper    *keeper
	servers   servers
	manager   bool // has a kube-controller-manager
	client    kubernetes.Interface
	authority *authority.Authority
	port      port
	sockets   [2]string // of etcd, for clients and for peers

	mu                           sync.Mutex // one change at a time; guards what follows
	etcd, apiServer, controllers *process
}

// clusterSpec is what a cluster is made from. The number is unique in the lab.
type clusterSpec struct {
	name    string
	number  int
	service netip.Prefix
	manager bool
}

// newCluster prepares a cluster: its directory, keys, port and commands. It
// starts nothing.
func newCluster(k *keeper, s servers, spec clusterSpec) (*Cluster, error) {
	c := &Cluster{
		Name:        spec.name,
		ServiceCIDR: spec.service,
		keeper:      k,
		servers:     s,
		manager:     spec.manager,
	}
	// In the lab's directory and under short names: the path of a unix socket
	// has room for about a hundred bytes.
	for i, suffix := range [2]string{"c", "p"} {
		c.sockets[i] = k.path(fmt.Sprintf("%d%s", spec.number, suffix))
		if len(c.sockets[i]) > maxSocketPath {
			return nil, fmt.Errorf("temporary directory %s is too deep for a unix socket; set TMPDIR: %w", os.TempDir(), viaduct.ErrInvalid)
		}
	}
	if err := os.Mkdir(c.file(""), 0o700); err != nil {
		return nil, err
	}
	var err error
	if c.authority, err = authority.New(spec.name); err != nil {
		return nil, err
	}
	if c.port, err = k.holdPort(); err != nil {
		return nil, err
	}
	if err := c.writeFiles(); err != nil {
		return nil, errors.Join(err, c.discard())
	}
	return c, nil
}

const maxSocketPath = 100

// file is the path of a file in the cluster's directory.
func (c *Cluster) file(name string) string { return c.keeper.path(c.Name, name) }

func (c *Cluster) writeFiles() error {
	firstService := c.ServiceCIDR.Masked().Addr().Next().String()
	serving, err := c.authority.Server("kubernetes", "kubernetes.default", "kubernetes.default.svc",
		"kubernetes.default.svc.cluster.local", firstService, c.keeper.address.String())
	if err != nil {
		return err
	}
	servingCert, servingKey, err := authority.PEM(serving)
	if err != nil {
		return err
	}
	signing, err := authority.NewKey() // for the tokens of service accounts
	if err != nil {
		return err
	}
	signingKey, err := authority.KeyPEM(signing)
	if err != nil {
		return err
	}
	admin := token{secret: rand.Text(), user: "kubernetes-admin"}
	manager := token{secret: rand.Text(), user: "system:kube-controller-manager"}
	for name, content := range map[string][]byte{
		"ca.crt":        c.authority.CertPEM(),
		"apiserver.crt": servingCert,
		"apiserver.key": servingKey,
		"signing.key":   signingKey,
		"tokens.csv":    tokenFile(admin, manager),
	} {
		if err := os.WriteFile(c.file(name), content, 0o600); err != nil {
			return err
		}
	}
	c.Config = c.anonymous()
	c.Config.BearerToken = admin.secret
	if c.client, err = kubernetes.NewForConfig(c.Config); err != nil {
		return err
	}
	c.Kubeconfig = c.file("kubeconfig")
	if err := writeKubeconfig(c.Kubeconfig, c.Name, admin.user, c.Config); err != nil {
		return err
	}
	managerConfig := c.anonymous()
	managerConfig.BearerToken = manager.secret
	return writeKubeconfig(c.file("controller-manager.kubeconfig"), c.Name, manager.user, managerConfig)
}

// Kill ends the API server with SIGKILL and returns when it is gone. Its port
// then refuses connections. It does nothing when the API server is not running.
func (c *Cluster) Kill() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.apiServer.kill()
}

// KillEtcd ends etcd with SIGKILL and returns when it is gone. It does nothing
// when etcd is not running.
func (c *Cluster) KillEtcd() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.etcd.kill()
}

// Restart kills the API server if it is running, starts it on the same port and
// the same data, and returns when the cluster is ready. It also starts etcd and
// kube-controller-manager if they are gone.
func (c *Cluster) Restart(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.apiServer.kill()
	if err := c.up(ctx); err != nil {
		return fmt.Errorf("lab: restart %s: %w", c.Name, err)
	}
	return nil
}

// RestartEtcd kills etcd if it is running, starts it on the same data, and
// returns when the cluster is ready. The API server keeps running; if it gave
// up in the meantime it is started again.
func (c *Cluster) RestartEtcd(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.etcd.kill()
	if err := c.up(ctx); err != nil {
		return fmt.Errorf("lab: restart etcd of %s: %w", c.Name, err)
	}
	return nil
}

// readyWithin is far more than a cluster takes on a busy machine. It turns what
// would never be ready into an error.
const readyWithin = 5 * time.Minute

// up starts what is not running and waits until the cluster is ready.
func (c *Cluster) up(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, readyWithin, fmt.Errorf("gave up after %s", readyWithin))
	defer cancel()
	if err := c.ensure(&c.etcd, c.etcdCommand()); err != nil {
		return err
	}
	// At once: an API server waits for its etcd.
	if err := c.ensure(&c.apiServer, c.apiServerCommand()); err != nil {
		return err
	}
	if err := c.wait(ctx, c.serverReady, c.etcd, c.apiServer); err != nil {
		return err
	}
	if !c.manager {
		return nil
	}
	if err := c.ensure(&c.controllers, c.controllersCommand()); err != nil {
		return err
	}
	return c.wait(ctx, c.controllersReady, c.etcd, c.apiServer, c.controllers)
}

// discard ends all of the cluster and removes its files.
func (c *Cluster) discard() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.controllers.kill()
	c.apiServer.kill()
	c.etcd.kill()
	c.port.free()
	return os.RemoveAll(c.file(""))
}

// ensure starts a process unless it is running.
func (c *Cluster) ensure(p **process, cmd command) error {
	if (*p).running() {
		return nil
	}
	started, err := c.keeper.start(cmd)
	if err != nil {
		return err
	}
	*p = started
	return nil
}

// wait looks until ready says nil, one of the processes ends, or ctx ends.
func (c *Cluster) wait(ctx context.Context, ready func(context.Context) error, needed ...*process) error {
	const pause = 50 * time.Millisecond
	ticker := time.NewTicker(pause)
	defer ticker.Stop()
	for {
		err := ready(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("not ready (%w): %w", err, context.Cause(ctx))
		case <-c.keeper.ended:
			return errClosed
		case <-ticker.C:
		}
		for _, p := range needed {
			if !p.running() {
				return p.gone()
			}
		}
	}
}

// serverReady says whether the API server is ready and has its namespaces,
// which it makes in the background after saying that it is ready.
func (c *Cluster) serverReady(ctx context.Context) error {
	// An API server that accepts a connection and is killed must not hold us.
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	if _, err := c.client.Discovery().RESTClient().Get().AbsPath("/readyz").DoRaw(ctx); err != nil {
		return err
	}
	_, err := c.client.CoreV1().Namespaces().Get(ctx, metav1.NamespaceDefault, metav1.GetOptions{})
	return err
}

// controllersReady says whether kube-controller-manager has begun: it gives the
// default namespace its service account.
func (c *Cluster) controllersReady(ctx context.Context) error {
	_, err := c.client.CoreV1().ServiceAccounts(metav1.NamespaceDefault).Get(ctx, "default", metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return errors.New("kube-controller-manager has not made the default service account")
	}
	return err
}
