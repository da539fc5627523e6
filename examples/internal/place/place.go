// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

// Package place is where an example runs: on the lab when no flag says
// otherwise, on real systems with flags.
package place

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/viaduct-sdk/viaduct/internal/lab"
	"github.com/viaduct-sdk/viaduct/nsx"
	"github.com/viaduct-sdk/viaduct/nsx/nsxsim"
)

// Flags are the flags of an example.
type Flags struct {
	// Timeout bounds the whole run.
	Timeout time.Duration
	// Namespaces are vSphere Namespaces that the lab has besides that of the
	// services.
	Namespaces []string

	needsTKCluster            bool
	supervisor, tkCluster     string
	nsxURL, nsxUser, nsxCA    string
	namespace, tkClusterNamed string
}

// Register adds the flags of the exporting side to a flag set.
func (f *Flags) Register(fs *flag.FlagSet) {
	fs.StringVar(&f.supervisor, "supervisor", "", "kubeconfig `file` of the exporting cluster; empty: run on the lab")
	fs.StringVar(&f.namespace, "namespace", "acme-data", "vSphere Namespace of the services")
	fs.StringVar(&f.nsxURL, "nsx", "", "`URL` of NSX Manager, to prove virtual addresses; its password is read from NSX_PASSWORD")
	fs.StringVar(&f.nsxUser, "nsx-user", "admin", "`user` of NSX Manager")
	fs.StringVar(&f.nsxCA, "nsx-ca", "", "`file` with the certificate of NSX Manager's authority")
}

// RegisterTKCluster adds the flags of an importing cluster, and of a run that
// ends by itself.
func (f *Flags) RegisterTKCluster(fs *flag.FlagSet) {
	f.needsTKCluster = true
	fs.DurationVar(&f.Timeout, "timeout", 10*time.Minute, "give up after this time")
	fs.StringVar(&f.tkCluster, "tk-cluster", "", "kubeconfig `file` of the importing cluster")
	fs.StringVar(&f.tkClusterNamed, "tk-cluster-name", "acme-fitness", "`name` of the importing cluster")
}

// Place is what an example works with.
type Place struct {
	// Supervisor reaches the exporting cluster.
	Supervisor *rest.Config
	// NSX is the NSX Manager behind it; nil when there is none to ask.
	NSX *nsx.Client
	// Namespace is the vSphere Namespace of the services. It exists.
	Namespace string
	// TKClusterName is the name of the importing cluster.
	TKClusterName string

	tkCluster *rest.Config
	lab       *lab.Lab
}

// Open starts the lab, or connects to the systems that the flags name. What
// takes long is reported to progress.
func (f *Flags) Open(ctx context.Context, progress io.Writer) (*Place, error) {
	p := &Place{Namespace: f.namespace, TKClusterName: f.tkClusterNamed}
	if f.supervisor == "" && f.tkCluster == "" && f.nsxURL == "" {
		if err := p.openLab(ctx, f.Namespaces, progress); err != nil {
			return nil, err
		}
		return p, nil
	}
	switch {
	case f.supervisor == "":
		return nil, errors.New("real systems need -supervisor")
	case f.tkCluster == "" && f.needsTKCluster:
		return nil, errors.New("real systems need both -supervisor and -tk-cluster")
	}
	var err error
	if p.Supervisor, err = clientcmd.BuildConfigFromFlags("", f.supervisor); err != nil {
		return nil, fmt.Errorf("-supervisor: %w", err)
	}
	if f.needsTKCluster {
		if p.tkCluster, err = clientcmd.BuildConfigFromFlags("", f.tkCluster); err != nil {
			return nil, fmt.Errorf("-tk-cluster: %w", err)
		}
	}
	if f.nsxURL != "" {
		p.NSX, err = f.connectNSX()
	}
	return p, err
}

func (f *Flags) connectNSX() (*nsx.Client, error) {
	password := os.Getenv("NSX_PASSWORD")
	if password == "" {
		return nil, errors.New("-nsx: set NSX_PASSWORD")
	}
	var opts []nsx.Option
	if f.nsxCA != "" {
		pem, err := os.ReadFile(f.nsxCA)
		if err != nil {
			return nil, fmt.Errorf("-nsx-ca: %w", err)
		}
		opts = append(opts, nsx.WithCACert(pem))
	}
	return nsx.NewClient(f.nsxURL, nsx.SessionAuth(f.nsxUser, password), opts...)
}

// openLab starts a lab with the vSphere Namespaces in it.
func (p *Place) openLab(ctx context.Context, more []string, progress io.Writer) error {
	var err error
	p.lab, err = lab.Start(ctx, lab.Config{Namespaces: append([]string{p.Namespace}, more...), ControllerManager: true, Progress: progress})
	if err != nil {
		return err
	}
	p.Supervisor = p.lab.Supervisor.Config
	p.NSX, err = nsx.NewClient(p.lab.NSX.URL(), nsx.SessionAuth(nsxsim.DefaultUser, nsxsim.DefaultPassword),
		nsx.WithCACert(p.lab.NSX.CACertPEM()))
	if err != nil {
		return errors.Join(err, p.Close())
	}
	return nil
}

// TKCluster reaches the importing cluster. On the lab it is created now, with
// the namespace in it.
func (p *Place) TKCluster(ctx context.Context) (*rest.Config, error) {
	if p.tkCluster != nil {
		return p.tkCluster, nil
	}
	cluster, err := p.lab.StartTKCluster(ctx, p.TKClusterName)
	if err != nil {
		return nil, err
	}
	client, err := kubernetes.NewForConfig(cluster.Config)
	if err != nil {
		return nil, err
	}
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: p.Namespace}}
	if _, err := client.CoreV1().Namespaces().Create(ctx, namespace, metav1.CreateOptions{}); err != nil {
		return nil, err
	}
	p.tkCluster = cluster.Config
	return p.tkCluster, nil
}

// Close ends what Open started. Nothing of the lab is left.
func (p *Place) Close() error {
	if p.lab == nil {
		return nil
	}
	return p.lab.Close()
}

// OnLab reports whether the place is the lab, where an example makes what it
// needs.
func (p *Place) OnLab() bool { return p.lab != nil }
