// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package tkc

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"time"

	kuberest "k8s.io/client-go/rest"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// Kubeconfig is how to reach one cluster as one user: the current context of a
// kubeconfig file, checked. It prints and logs without its credentials. It is
// made by this package; changing a field afterwards is up to the caller.
type Kubeconfig struct {
	// The names in the file.
	Cluster, User, Context string
	// Namespace is the default namespace of the context; often empty.
	Namespace string

	Server string
	// ServerName is the name in the server's certificate, if not that of Server.
	ServerName string
	// CA is the authority of the server's certificate, PEM.
	CA []byte

	// ClientCertificate and ClientKey, PEM, or Token are the credentials.
	ClientCertificate, ClientKey []byte
	Token                        string

	// owner is the TK cluster that the kubeconfig leads to, "namespace/name"; it
	// marks the entries that a merge wrote.
	owner string

	risky risky
}

// risky is what a kubeconfig may have if that was allowed.
type risky struct {
	username, password        string
	insecure, plainHTTP       bool
	caFile, certFile, keyFile string
	tokenFile                 string
	proxy                     *url.URL
	impersonate               kuberest.ImpersonationConfig
	exec                      *clientcmdapi.ExecConfig
	authProvider              *clientcmdapi.AuthProviderConfig
}

// String returns where the kubeconfig leads, without credentials.
func (k Kubeconfig) String() string {
	return fmt.Sprintf("tkc.Kubeconfig(%s as %s)", k.Server, k.User)
}

// GoString returns what String returns.
func (k Kubeconfig) GoString() string { return k.String() }

// LogValue returns what String returns.
func (k Kubeconfig) LogValue() slog.Value { return slog.StringValue(k.String()) }

// Expires returns when the client certificate ends, or the zero time when there
// is none. When a token ends, only who issued it can say.
func (k Kubeconfig) Expires() time.Time {
	block, _ := pem.Decode(k.ClientCertificate)
	if block == nil {
		return time.Time{}
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return time.Time{}
	}
	return cert.NotAfter
}

// Config returns how to reach the cluster with the credentials as they are now.
// [Access.Config] follows their replacement.
func (k Kubeconfig) Config() *kuberest.Config {
	r := k.risky
	c := &kuberest.Config{
		Host:        k.Server,
		BearerToken: k.Token, BearerTokenFile: r.tokenFile,
		Username: r.username, Password: r.password,
		Impersonate:  r.impersonate,
		ExecProvider: r.exec, AuthProvider: r.authProvider,
		TLSClientConfig: kuberest.TLSClientConfig{
			Insecure: r.insecure, ServerName: k.ServerName,
			CAData: slices.Clone(k.CA), CertData: slices.Clone(k.ClientCertificate), KeyData: slices.Clone(k.ClientKey),
			CAFile: r.caFile, CertFile: r.certFile, KeyFile: r.keyFile,
		},
	}
	if r.proxy != nil {
		c.Proxy = http.ProxyURL(r.proxy)
	}
	if r.exec != nil {
		c.ExecProvider = r.exec.DeepCopy()
		c.ExecProvider.InteractiveMode = clientcmdapi.NeverExecInteractiveMode
	}
	return c
}

// sameAccess reports whether two kubeconfigs lead to the same server with the
// same credentials.
func (k Kubeconfig) sameAccess(other Kubeconfig) bool {
	return k.Server == other.Server && k.ServerName == other.ServerName && k.Token == other.Token &&
		bytes.Equal(k.CA, other.CA) && bytes.Equal(k.ClientCertificate, other.ClientCertificate) &&
		bytes.Equal(k.ClientKey, other.ClientKey) && reflect.DeepEqual(k.risky, other.risky)
}
