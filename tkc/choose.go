// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package tkc

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/types"
)

// choose puts the current context together and refuses it when something is
// missing or does not fit.
func (p *parser) choose(root node) (*Kubeconfig, error) {
	if p.current == "" && len(p.contexts) == 1 {
		p.current = p.contexts[0].name
	}
	context, ok := find(p.contexts, p.current)
	if !ok {
		return nil, root.malformed("it does not say which context to use, or has no such context")
	}
	cluster, ok := find(p.clusters, context.Cluster)
	if !ok {
		return nil, context.node.malformed("there is no cluster of that name")
	}
	user, ok := find(p.users, context.User)
	if !ok {
		return nil, context.node.malformed("there is no user of that name")
	}
	if err := p.checkCluster(cluster); err != nil {
		return nil, err
	}
	if err := checkUser(user); err != nil {
		return nil, err
	}
	k := cluster.Kubeconfig
	k.Cluster, k.User, k.Context, k.Namespace = cluster.name, user.name, context.name, context.Namespace
	k.ClientCertificate, k.ClientKey, k.Token = user.ClientCertificate, user.ClientKey, user.Token
	k.owner = types.NamespacedName{Name: cluster.name}.String() // of no namespace that is known
	r := user.risky
	c := cluster.risky
	r.caFile, r.insecure, r.plainHTTP, r.proxy = c.caFile, c.insecure, c.plainHTTP, c.proxy
	k.risky = r
	return &k, nil
}

func find(list []entry, name string) (entry, bool) {
	i := slices.IndexFunc(list, func(e entry) bool { return e.name == name })
	if i < 0 {
		return entry{}, false
	}
	return list[i], true
}

func (p *parser) checkCluster(e entry) error {
	verified := len(e.CA) > 0 || e.risky.caFile != ""
	switch {
	case e.Server == "":
		return e.node.malformed("it has no server")
	case e.risky.plainHTTP:
		return nil
	case verified && e.risky.insecure:
		return e.node.malformed("its certificate is to be both verified and not")
	case !verified && !e.risky.insecure:
		return p.permit(e.node, RiskNoCA)
	default:
		return nil
	}
}

func checkUser(e entry) error {
	r := e.risky
	cert := len(e.ClientCertificate) > 0 || r.certFile != ""
	key := len(e.ClientKey) > 0 || r.keyFile != ""
	switch {
	case cert != key:
		return e.node.malformed("it has one of certificate and key without the other")
	case !cert && e.Token == "" && r.tokenFile == "" && r.username == "" && r.exec == nil && r.authProvider == nil:
		return e.node.malformed("it has no credentials")
	case len(e.ClientCertificate) == 0 || len(e.ClientKey) == 0:
		return nil
	}
	if _, err := tls.X509KeyPair(e.ClientCertificate, e.ClientKey); err != nil {
		return e.node.malformed("its certificate and key do not fit")
	}
	return nil
}

// readCertificates reads base64 of PEM certificates and nothing else.
func readCertificates(n node, into *[]byte) error {
	if err := n.data(into); err != nil || len(*into) == 0 {
		return err
	}
	if !areCertificates(*into) {
		return n.malformed("it does not hold PEM certificates, and only those")
	}
	return nil
}

func areCertificates(data []byte) bool {
	rest := data
	for {
		var block *pem.Block
		block, rest = pem.Decode(rest)
		if block == nil || block.Type != "CERTIFICATE" {
			return false
		}
		if _, err := x509.ParseCertificate(block.Bytes); err != nil {
			return false
		}
		if len(bytes.TrimSpace(rest)) == 0 {
			return true
		}
	}
}

// readToken reads text that can stand in a header.
func readToken(n node, into *string) error {
	if err := n.text(into); err != nil {
		return err
	}
	if strings.ContainsFunc(*into, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return n.malformed("it is no token")
	}
	return nil
}
