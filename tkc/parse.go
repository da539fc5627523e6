// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package tkc

import (
	"net/url"
	"path/filepath"
	"slices"
	"strconv"

	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// ParseKubeconfig reads a kubeconfig file of any origin, YAML or JSON, and
// returns its current context. Nothing of it is run, opened or dialled.
//
// It refuses what [Risk] lists, anywhere in the file, unless the risk is among
// those allowed. It refuses what is malformed, whatever is allowed: fields that
// are not known, names that are ambiguous, YAML that means different things to
// different readers, certificates and keys that don't fit, a context without
// credentials.
//
// A program that an allowed exec plugin names is run by client-go when the
// [Kubeconfig.Config] is used, without access to the terminal. Files that are
// allowed must be named by absolute paths.
//
// The error is a [*KubeconfigError] and matches [viaduct.ErrInvalid]. Without
// error the result is not nil.
func ParseKubeconfig(data []byte, allow ...Risk) (*Kubeconfig, error) {
	root, err := readDocument(data)
	if err != nil {
		return nil, err
	}
	p := &parser{allow: allow}
	var version, kind string
	err = root.mapping(fields{
		"apiVersion": func(n node) error { return n.text(&version) },
		"kind":       func(n node) error { return n.text(&kind) },
		"preferences": func(n node) error {
			return n.mapping(fields{"colors": func(n node) error { return n.flag(new(bool)) }, "extensions": anything})
		},
		"clusters":        func(n node) error { return n.each(p.cluster) },
		"users":           func(n node) error { return n.each(p.user) },
		"contexts":        func(n node) error { return n.each(p.context) },
		"current-context": func(n node) error { return n.text(&p.current) },
		"extensions":      anything,
	})
	if err != nil {
		return nil, err
	}
	if (version != "" && version != "v1") || (kind != "" && kind != "Config") {
		return nil, root.malformed("its apiVersion and kind are not v1 and Config")
	}
	return p.choose(root)
}

// parser collects what is in a file. Of an entry it keeps the part of the
// Kubeconfig that it makes up.
type parser struct {
	allow    []Risk
	clusters []entry
	users    []entry
	contexts []entry
	current  string
}

type entry struct {
	node node
	name string
	Kubeconfig
}

// permit refuses a risk that is not allowed.
func (p *parser) permit(n node, risk Risk) error {
	if slices.Contains(p.allow, risk) {
		return nil
	}
	return n.refuse(risk, "")
}

// risk returns a reader of text that is refused when it is there and not allowed.
func (p *parser) risk(risk Risk, into *string) func(node) error {
	return func(n node) error {
		if err := n.text(into); err != nil || *into == "" {
			return err
		}
		if err := p.permit(n, risk); err != nil {
			return err
		}
		if risk == RiskFile && !filepath.IsAbs(*into) {
			return n.malformed("the path is not absolute")
		}
		return nil
	}
}

// named reads an entry of one of the lists: its name, and what it is.
func named(n node, what string, name *string, content func(node) error) error {
	var given bool
	err := n.mapping(fields{
		"name": func(n node) error { return n.text(name) },
		what: func(n node) error {
			given = true
			return content(n)
		},
	})
	switch {
	case err != nil:
		return err
	case *name == "":
		return n.malformed("it has no name")
	case !given:
		return n.malformed("it has no " + what)
	default:
		return nil
	}
}

func add(list *[]entry, e entry) error {
	if slices.ContainsFunc(*list, func(other entry) bool { return other.name == e.name }) {
		return e.node.malformed("another one has the same name")
	}
	*list = append(*list, e)
	return nil
}

func (p *parser) context(n node) error {
	e := entry{node: n}
	err := named(n, "context", &e.name, func(n node) error {
		return n.mapping(fields{
			"cluster":    func(n node) error { return n.text(&e.Cluster) },
			"user":       func(n node) error { return n.text(&e.User) },
			"namespace":  func(n node) error { return n.text(&e.Namespace) },
			"extensions": anything,
		})
	})
	if err != nil {
		return err
	}
	return add(&p.contexts, e)
}

func (p *parser) cluster(n node) error {
	e := entry{node: n}
	var proxy string
	err := named(n, "cluster", &e.name, func(n node) error {
		return n.mapping(fields{
			"server":                     func(n node) error { return p.server(n, &e) },
			"tls-server-name":            func(n node) error { return n.text(&e.ServerName) },
			"certificate-authority-data": func(n node) error { return readCertificates(n, &e.CA) },
			"certificate-authority":      p.risk(RiskFile, &e.risky.caFile),
			"proxy-url":                  p.risk(RiskProxy, &proxy),
			"insecure-skip-tls-verify": func(n node) error {
				if err := n.flag(&e.risky.insecure); err != nil || !e.risky.insecure {
					return err
				}
				return p.permit(n, RiskInsecure)
			},
			"disable-compression": func(n node) error { return n.flag(new(bool)) },
			"extensions":          anything,
		})
	})
	if err != nil {
		return err
	}
	if proxy != "" {
		if e.risky.proxy, err = url.Parse(proxy); err != nil || e.risky.proxy.Host == "" {
			return n.malformed("the proxy is no URL")
		}
	}
	return add(&p.clusters, e)
}

func (p *parser) server(n node, e *entry) error {
	if err := n.text(&e.Server); err != nil {
		return err
	}
	const wrong = "it is not the https URL of a server"
	u, err := url.Parse(e.Server)
	if err != nil || u.Hostname() == "" || u.Opaque != "" || u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" {
		return n.malformed(wrong)
	}
	if port := u.Port(); port != "" {
		if number, err := strconv.ParseUint(port, 10, 16); err != nil || number == 0 {
			return n.malformed(wrong)
		}
	}
	switch u.Scheme {
	case "https":
		return nil
	case "http":
		e.risky.plainHTTP = true
		return p.permit(n, RiskPlainHTTP)
	default:
		return n.malformed(wrong)
	}
}

func (p *parser) user(n node) error {
	e := entry{node: n}
	r := &e.risky
	err := named(n, "user", &e.name, func(n node) error {
		return n.mapping(fields{
			"client-certificate-data": func(n node) error { return readCertificates(n, &e.ClientCertificate) },
			"client-key-data":         func(n node) error { return n.data(&e.ClientKey) },
			"token":                   func(n node) error { return readToken(n, &e.Token) },
			"client-certificate":      p.risk(RiskFile, &r.certFile),
			"client-key":              p.risk(RiskFile, &r.keyFile),
			"tokenFile":               p.risk(RiskFile, &r.tokenFile),
			"username":                p.risk(RiskPassword, &r.username),
			"password":                p.risk(RiskPassword, &r.password),
			"as":                      p.risk(RiskImpersonation, &r.impersonate.UserName),
			"as-uid":                  p.risk(RiskImpersonation, &r.impersonate.UID),
			"as-groups": func(n node) error {
				if err := n.texts(&r.impersonate.Groups); err != nil || len(r.impersonate.Groups) == 0 {
					return err
				}
				return p.permit(n, RiskImpersonation)
			},
			"as-user-extra": func(n node) error { return p.extra(n, &r.impersonate.Extra) },
			"exec":          func(n node) error { return p.exec(n, &r.exec) },
			"auth-provider": func(n node) error { return p.authProvider(n, &r.authProvider) },
			"extensions":    anything,
		})
	})
	if err != nil {
		return err
	}
	return add(&p.users, e)
}

func (p *parser) extra(n node, into *map[string][]string) error {
	if err := p.permit(n, RiskImpersonation); err != nil {
		return err
	}
	*into = map[string][]string{}
	known := fields{}
	for i := 0; i < len(n.yaml.Content); i += 2 {
		name := n.yaml.Content[i].Value
		known[name] = func(n node) error {
			var values []string
			err := n.texts(&values)
			(*into)[name] = values
			return err
		}
	}
	return n.mapping(known)
}

func (p *parser) exec(n node, into **clientcmdapi.ExecConfig) error {
	if err := p.permit(n, RiskExec); err != nil {
		return err
	}
	e := &clientcmdapi.ExecConfig{}
	*into = e
	return n.mapping(fields{
		"apiVersion":         func(n node) error { return n.text(&e.APIVersion) },
		"command":            func(n node) error { return n.text(&e.Command) },
		"args":               func(n node) error { return n.texts(&e.Args) },
		"installHint":        anything,
		"interactiveMode":    anything,
		"provideClusterInfo": func(n node) error { return n.flag(&e.ProvideClusterInfo) },
		"env": func(n node) error {
			return n.each(func(n node) error {
				var v clientcmdapi.ExecEnvVar
				err := n.mapping(fields{
					"name":  func(n node) error { return n.text(&v.Name) },
					"value": func(n node) error { return n.text(&v.Value) },
				})
				e.Env = append(e.Env, v)
				return err
			})
		},
	})
}

func (p *parser) authProvider(n node, into **clientcmdapi.AuthProviderConfig) error {
	if err := p.permit(n, RiskAuthProvider); err != nil {
		return err
	}
	a := &clientcmdapi.AuthProviderConfig{Config: map[string]string{}}
	*into = a
	return n.mapping(fields{
		"name": func(n node) error { return n.text(&a.Name) },
		"config": func(n node) error {
			known := fields{}
			for i := 0; i < len(n.yaml.Content); i += 2 {
				name := n.yaml.Content[i].Value
				known[name] = func(n node) error {
					var value string
					err := n.text(&value)
					a.Config[name] = value
					return err
				}
			}
			return n.mapping(known)
		},
	})
}
