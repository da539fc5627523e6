// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

// Lab starts a vSphere with Kubernetes in the foreground, prints how to reach
// each part of it with kubectl, govc and curl, and ends with Ctrl-C.
//
// You learn: what there is to talk to, and with which credentials.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/viaduct-sdk/viaduct/internal/lab"
	"github.com/viaduct-sdk/viaduct/nsx/nsxsim"
	"github.com/viaduct-sdk/viaduct/supervisor/supervisorsim"
)

func main() {
	reference := lab.Reference()
	namespaces := flag.String("namespaces", strings.Join(reference.Namespaces, ","), "vSphere Namespaces to create, with commas between")
	clusters := flag.String("tk-clusters", strings.Join(reference.TKClusters, ","), "TK clusters to start, with commas between")
	controllers := flag.Bool("controller-manager", true, "run kube-controller-manager for each cluster")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx, lab.Config{
		Namespaces:        split(*namespaces),
		TKClusters:        split(*clusters),
		ControllerManager: *controllers,
		Progress:          os.Stderr,
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func split(list string) []string {
	return strings.FieldsFunc(list, func(r rune) bool { return r == ',' || r == ' ' })
}

// run keeps a lab until ctx ends.
func run(ctx context.Context, config lab.Config) (err error) {
	l, err := lab.Start(ctx, config)
	if err != nil {
		if ctx.Err() != nil {
			return nil // Interrupted before it was ready: nothing is left.
		}
		return err
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	if err := guide(os.Stdout, l); err != nil {
		return err
	}
	<-ctx.Done()
	fmt.Println("\nStopping; everything goes with it.")
	return nil
}

// guide prints how to reach each part. The lines are made to be pasted into a
// shell.
func guide(w io.Writer, l *lab.Lab) error {
	wcp := l.SupervisorSim.WCP()
	nsxCA, vcenterCA := filepath.Join(l.Dir(), "nsx-ca.pem"), filepath.Join(l.Dir(), "vcenter-ca.pem")
	wcpCA := filepath.Join(l.Dir(), "supervisor-ca.pem")
	for path, pem := range map[string][]byte{nsxCA: l.NSX.CACertPEM(), vcenterCA: l.VCenter.CACertPEM(), wcpCA: wcp.CACertPEM()} {
		if err := os.WriteFile(path, pem, 0o600); err != nil {
			return err
		}
	}
	fmt.Fprintf(w, "The lab is up, in %s. Ctrl-C ends it.\n\n", l.Dir())
	fmt.Fprintf(w, "# The Supervisor\nkubectl --kubeconfig %s get namespaces\n", l.Supervisor.Kubeconfig)
	fmt.Fprintf(w, "curl -sS --cacert %s -u '%s:%s' -X POST %s/wcp/login\n",
		wcpCA, supervisorsim.DefaultUser, supervisorsim.DefaultPassword, wcp.URL())
	for _, c := range l.TKClusters() {
		fmt.Fprintf(w, "\n# The TK cluster %s\nkubectl --kubeconfig %s get svc,endpointslices -A\n", c.Name, c.Kubeconfig)
	}

	fmt.Fprintf(w, `
# vCenter, with govc
export GOVC_URL=%s/sdk
export GOVC_USERNAME=%s
export GOVC_PASSWORD='%s'
export GOVC_TLS_CA_CERTS=%s
govc about
govc namespace.ls
`, l.VCenter.URL(), l.VCenter.Username(), l.VCenter.Password(), vcenterCA)

	fmt.Fprintf(w, `
# vCenter, with curl
session=$(curl -sS --cacert %[1]s -u '%[2]s:%[3]s' -X POST %[4]s/api/session | tr -d '"')
curl -sS --cacert %[1]s -H "vmware-api-session-id: $session" %[4]s/api/vcenter/namespaces/instances
`, vcenterCA, l.VCenter.Username(), l.VCenter.Password(), l.VCenter.URL())

	_, err := fmt.Fprintf(w, `
# NSX Manager, with curl
curl -sS --cacert %s -u '%s:%s' %s/policy/api/v1/infra/tier-1s
`, nsxCA, nsxsim.DefaultUser, nsxsim.DefaultPassword, l.NSX.URL())
	return err
}
