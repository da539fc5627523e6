// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/viaduct-sdk/viaduct/bridge/topology"
	"github.com/viaduct-sdk/viaduct/nsx"
	"github.com/viaduct-sdk/viaduct/tkc"
	"github.com/viaduct-sdk/viaduct/vcenter"
)

// systems are the servers to ask, as flags name them.
type systems struct {
	supervisor string
	namespaces string
	clusters   []string // name=kubeconfig

	vcenter, vcenterUser, vcenterCA string
	nsx, nsxUser, nsxCA             string
}

func (s *systems) register(fs *flag.FlagSet) {
	fs.StringVar(&s.supervisor, "supervisor", "", "kubeconfig `file` of the Supervisor; no system at all: run on the lab")
	fs.StringVar(&s.namespaces, "namespaces", "", "`names` of vSphere Namespaces, with commas, for users who may not list them")
	fs.Func("tk-cluster", "`name=file` of a TK cluster and its kubeconfig; may be repeated", func(text string) error {
		if name, file, ok := strings.Cut(text, "="); !ok || name == "" || file == "" {
			return errors.New("want name=file")
		}
		s.clusters = append(s.clusters, text)
		return nil
	})
	fs.StringVar(&s.vcenter, "vcenter", "", "`URL` of vCenter; its password is read from VCENTER_PASSWORD")
	fs.StringVar(&s.vcenterUser, "vcenter-user", "administrator@vsphere.local", "`user` of vCenter")
	fs.StringVar(&s.vcenterCA, "vcenter-ca", "", "`file` with the certificate of vCenter's authority")
	fs.StringVar(&s.nsx, "nsx", "", "`URL` of NSX Manager; its password is read from NSX_PASSWORD")
	fs.StringVar(&s.nsxUser, "nsx-user", "admin", "`user` of NSX Manager")
	fs.StringVar(&s.nsxCA, "nsx-ca", "", "`file` with the certificate of NSX Manager's authority")
}

// none reports whether the flags name no system, so that it is the lab's.
func (s *systems) none() bool {
	return s.supervisor == "" && len(s.clusters) == 0 && s.vcenter == "" && s.nsx == ""
}

// open connects to the systems that the flags name, or makes the shop on the lab
// when they name none. The function that it returns ends everything.
func (s *systems) open(ctx context.Context, progress io.Writer) (topology.Sources, func() error, error) {
	if s.none() {
		return openLab(ctx, progress)
	}
	var sources topology.Sources
	var closers []func(context.Context) error
	done := func() error {
		var all []error
		for _, end := range closers {
			all = append(all, end(context.WithoutCancel(ctx)))
		}
		return errors.Join(all...)
	}
	if err := s.openKubernetes(&sources); err != nil {
		return sources, nil, err
	}
	if s.vcenter != "" {
		password, pem, err := secrets("-vcenter", "VCENTER_PASSWORD", s.vcenterCA)
		if err != nil {
			return sources, nil, err
		}
		if sources.VCenter, err = connectVCenter(s.vcenter, s.vcenterUser, password, pem); err != nil {
			return sources, nil, err
		}
		closers = append(closers, sources.VCenter.Close)
	}
	if s.nsx != "" {
		password, pem, err := secrets("-nsx", "NSX_PASSWORD", s.nsxCA)
		if err != nil {
			return sources, nil, err
		}
		if sources.NSX, err = connectNSX(s.nsx, s.nsxUser, password, pem); err != nil {
			return sources, nil, err
		}
		closers = append(closers, sources.NSX.Close)
	}
	return sources, done, nil
}

func (s *systems) openKubernetes(sources *topology.Sources) error {
	for _, text := range s.clusters {
		name, file, _ := strings.Cut(text, "=")
		config, err := clientcmd.BuildConfigFromFlags("", file)
		if err != nil {
			return fmt.Errorf("-tk-cluster %s: %w", name, err)
		}
		c, err := topology.NewCluster(name, config)
		if err != nil {
			return err
		}
		sources.Clusters = append(sources.Clusters, c)
	}
	if s.supervisor == "" {
		return nil
	}
	config, err := clientcmd.BuildConfigFromFlags("", s.supervisor)
	if err != nil {
		return fmt.Errorf("-supervisor: %w", err)
	}
	var namespaces []string
	if s.namespaces != "" {
		namespaces = strings.Split(s.namespaces, ",")
	}
	return openSupervisor(sources, config, namespaces)
}

// openSupervisor adds the Supervisor, and the TK clusters that it knows of.
func openSupervisor(sources *topology.Sources, config *rest.Config, namespaces []string) error {
	c, err := topology.NewCluster("supervisor", config)
	if err != nil {
		return err
	}
	c.Namespaces = namespaces
	sources.Supervisor = &c
	var opts []tkc.Option
	if len(namespaces) > 0 {
		opts = append(opts, tkc.WithNamespaces(func(context.Context) ([]string, error) { return namespaces, nil }))
	}
	sources.TKClusters, err = tkc.NewClient(config, opts...)
	return err
}

func connectVCenter(url, user, password string, ca []byte) (*vcenter.Client, error) {
	var opts []vcenter.Option
	if ca != nil {
		opts = append(opts, vcenter.WithCACert(ca))
	}
	return vcenter.NewClient(url, vcenter.PasswordAuth(user, password), opts...)
}

func connectNSX(url, user, password string, ca []byte) (*nsx.Client, error) {
	var opts []nsx.Option
	if ca != nil {
		opts = append(opts, nsx.WithCACert(ca))
	}
	return nsx.NewClient(url, nsx.SessionAuth(user, password), opts...)
}

// secrets returns the password for a system, and the certificate of its
// authority; nil when no file is named: the machine's authorities count then.
func secrets(system, variable, file string) (password string, pem []byte, err error) {
	if password = os.Getenv(variable); password == "" {
		return "", nil, fmt.Errorf("%s: set %s", system, variable)
	}
	if file != "" {
		if pem, err = os.ReadFile(file); err != nil {
			return "", nil, fmt.Errorf("%s-ca: %w", system, err)
		}
	}
	return password, pem, nil
}
