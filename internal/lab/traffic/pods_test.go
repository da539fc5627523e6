// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux && e2etraffic

package traffic_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/viaduct-sdk/viaduct/internal/lab/hosts"
)

// pod is a vSphere Pod: a machine on a segment of its namespace.
type pod struct {
	*hosts.Host
	address netip.Addr
}

// service is one of the shop's data services.
type service struct {
	name string
	port int32
}

// services are all of them.
func services() []service {
	return []service{
		{"cart-redis", 6379}, {"catalog-mongo", 27017}, postgres(), {"users-mongo", 27017}, {"users-redis", 6379},
	}
}

func postgres() service { return service{orders, 5432} }

const orders = "order-postgres"

func (s service) namespaced() types.NamespacedName {
	return types.NamespacedName{Namespace: dataNamespace, Name: s.name}
}

// host is the name under which the shop knows the service.
func (s service) host() string { return s.name + "." + dataNamespace + ".svc.cluster.local" }

// startShop makes the shop's data services on the Supervisor, each with a pod,
// and the pods' machines.
func (w *world) startShop() {
	for _, s := range services() {
		_, err := w.supervisor.CoreV1().Services(dataNamespace).Create(w.ctx, &corev1.Service{
			ObjectMeta: metav1.ObjectMeta{Name: s.name},
			Spec: corev1.ServiceSpec{
				Selector: map[string]string{"app": s.name},
				Ports:    []corev1.ServicePort{{Name: "main", Port: s.port, TargetPort: intstr.FromInt32(s.port)}},
			},
		}, metav1.CreateOptions{})
		w.must(err)
		w.startPod(s, 0)
	}
}

// startPod makes a pod behind a service and what runs in it.
func (w *world) startPod(s service, number int) *pod {
	w.t.Helper()
	name := fmt.Sprintf("%s-%d", s.name, number)
	pods := w.supervisor.CoreV1().Pods(dataNamespace)
	_, err := pods.Create(w.ctx, &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"app": s.name}},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "main", Image: "registry.example.com/" + s.name}}},
	}, metav1.CreateOptions{})
	w.must(err)
	p := &pod{}
	w.eventually("pod "+name, func(ctx context.Context) string {
		found, err := pods.Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return err.Error()
		}
		if p.address, err = netip.ParseAddr(found.Status.PodIP); err != nil {
			return "without address"
		}
		return ""
	})
	p.Host, err = w.hosts.Host(w.ctx, name, "")
	w.must(err)
	w.attach(p.Host, p.address)
	switch {
	case s.name == orders:
		w.startPostgres(p)
	case strings.HasSuffix(s.name, "-redis"):
		w.startRedis(p, s)
	default:
		cmd := p.Command(w.ctx, w.self())
		cmd.Env = environment(roleVariable+"="+roleMongo, nameVariable+"="+s.name,
			serveVariable+"="+netip.AddrPortFrom(p.address, uint16(s.port)).String())
		w.start(cmd)
	}
	w.pods[name] = p
	w.eventually(name, func(ctx context.Context) string {
		conn, err := p.Dial(ctx, "tcp", netip.AddrPortFrom(p.address, uint16(s.port)).String())
		if err != nil {
			return err.Error()
		}
		_ = conn.Close() // It answers.
		return ""
	})
	return p
}

// self is this very program.
func (w *world) self() string {
	path, err := os.Executable()
	w.must(err)
	return path
}

func (w *world) startRedis(p *pod, s service) {
	cmd := p.Command(w.ctx, "redis-server", "-")
	cmd.Dir = w.directory(p.Name(), 0, 0)
	cmd.Stdin = strings.NewReader(fmt.Sprintf("bind %s\nport %d\nsave \"\"\nappendonly no\nprotected-mode no\n", p.address, s.port))
	w.start(cmd)
}

// startPostgres starts a PostgreSQL with one table, of orders, which whoever
// has the password may read.
func (w *world) startPostgres(p *pod) {
	const role, database = "shop", "shop"
	if w.secrets == "" {
		w.secrets = w.directory("secrets", 0, 0)
		password := rand.Text()
		w.must(os.WriteFile(filepath.Join(w.secrets, "pgpass"), []byte("*:*:*:"+role+":"+password+"\n"), 0o600))
		w.must(os.WriteFile(filepath.Join(w.secrets, "password"), []byte(password), 0o600))
	}
	programs, err := postgresPrograms()
	w.must(err)
	account, err := user.Lookup("postgres")
	w.must(err)
	uid, err := strconv.Atoi(account.Uid)
	w.must(err)
	gid, err := strconv.Atoi(account.Gid)
	w.must(err)
	dir := w.directory(p.Name(), uid, gid)
	as := func(program string, args ...string) *exec.Cmd {
		argv := append([]string{"--reuid", account.Uid, "--regid", account.Gid, "--clear-groups", filepath.Join(programs, program)}, args...)
		cmd := p.Command(w.ctx, "setpriv", argv...)
		cmd.Dir, cmd.Env = dir, environment()
		return cmd
	}
	data := filepath.Join(dir, "data")
	w.must(run(as("initdb", "--pgdata", data, "--auth=reject", "--encoding=UTF8", "--no-locale", "--no-sync")))

	// In single-user mode nobody can connect, and nobody needs a password.
	password, err := os.ReadFile(filepath.Join(w.secrets, "password"))
	w.must(err)
	create := as("postgres", "--single", "-D", data, "postgres")
	create.Stdin = strings.NewReader("CREATE DATABASE " + database + "\n")
	w.must(run(create))
	fill := as("postgres", "--single", "-j", "-D", data, database)
	fill.Stdin = strings.NewReader("CREATE ROLE " + role + " LOGIN PASSWORD '" + string(password) + "';\n\n" +
		"CREATE TABLE orders (id int PRIMARY KEY, item text NOT NULL);\n\n" +
		"INSERT INTO orders VALUES (1, 'yoga mat'), (2, 'water bottle'), (3, 'fit watch');\n\n" +
		"GRANT SELECT ON orders TO " + role + ";\n\n")
	w.must(run(fill))
	hba := fmt.Sprintf("host %s %s 0.0.0.0/0 scram-sha-256\n", database, role)
	w.must(os.WriteFile(filepath.Join(data, "pg_hba.conf"), []byte(hba), 0o600))
	w.start(as("postgres", "-D", data, "-h", p.address.String(), "-k", "", "-F"))
}

// clientEnvironment is what a client of order-postgres is told.
func (w *world) clientEnvironment(host string, more ...string) []string {
	return environment(append(more, "PGHOST="+host, "PGPORT=5432", "PGUSER=shop", "PGDATABASE=shop", "PGSSLMODE=disable",
		"PGCONNECT_TIMEOUT=4", "PGPASSFILE="+filepath.Join(w.secrets, "pgpass"))...)
}

// directory makes a directory for a user.
func (w *world) directory(name string, uid, gid int) string {
	dir := filepath.Join(w.hosts.Dir(), name)
	w.must(os.Mkdir(dir, 0o700))
	w.must(os.Chown(dir, uid, gid))
	return dir
}

// run runs a command to its end. An error has what the command said, and not
// what it was told.
func run(cmd *exec.Cmd) error {
	if cmd.Env == nil {
		cmd.Env = environment()
	}
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w: %s", filepath.Base(cmd.Args[0]), err, strings.TrimSpace(string(out)))
	}
	return nil
}
