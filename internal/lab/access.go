// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"context"
	"fmt"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/viaduct-sdk/viaduct/internal/authority"
)

// UserConfig returns a configuration for a user of that name and those groups,
// known to the API server by a client certificate. The user can do what RBAC
// allows, which is next to nothing at first.
func (c *Cluster) UserConfig(name string, groups ...string) (*rest.Config, error) {
	config := c.anonymous()
	issued, err := c.authority.Client(name, groups...)
	if err == nil {
		config.CertData, config.KeyData, err = authority.PEM(issued)
	}
	if err != nil {
		return nil, fmt.Errorf("lab: issue a certificate for %q: %w", name, err)
	}
	return config, nil
}

// ServiceAccountConfig returns a configuration with a bearer token of a service
// account, valid for an hour. The service account is made when it is absent;
// its namespace must exist.
func (c *Cluster) ServiceAccountConfig(ctx context.Context, namespace, name string) (*rest.Config, error) {
	client, err := kubernetes.NewForConfig(c.Config)
	if err != nil {
		return nil, fmt.Errorf("lab: %w", err)
	}
	accounts := client.CoreV1().ServiceAccounts(namespace)
	_, err = accounts.Create(ctx, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return nil, fmt.Errorf("lab: create service account %s/%s: %w", namespace, name, err)
	}
	token, err := accounts.CreateToken(ctx, name, &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	if err != nil {
		return nil, fmt.Errorf("lab: create a token of service account %s/%s: %w", namespace, name, err)
	}
	config := c.anonymous()
	config.BearerToken = token.Status.Token
	return config, nil
}

// anonymous is a configuration without credentials. It has no rate limit on
// the client's side, so that tests are as fast as the server is.
func (c *Cluster) anonymous() *rest.Config {
	return &rest.Config{
		Host:            fmt.Sprintf("https://%s:%d", c.keeper.address, c.port.number),
		TLSClientConfig: rest.TLSClientConfig{CAData: c.authority.CertPEM()},
		QPS:             -1,
	}
}

// writeKubeconfig writes a kubeconfig, with everything inside, that only its
// owner can read.
func writeKubeconfig(path, cluster, user string, config *rest.Config) error {
	return clientcmd.WriteToFile(clientcmdapi.Config{
		Clusters: map[string]*clientcmdapi.Cluster{
			cluster: {Server: config.Host, CertificateAuthorityData: config.CAData},
		},
		AuthInfos: map[string]*clientcmdapi.AuthInfo{
			user: {Token: config.BearerToken},
		},
		Contexts: map[string]*clientcmdapi.Context{
			cluster: {Cluster: cluster, AuthInfo: user},
		},
		CurrentContext: cluster,
	}, path)
}
