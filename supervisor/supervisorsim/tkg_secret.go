// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package supervisorsim

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/pem"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	clientcmdv1 "k8s.io/client-go/tools/clientcmd/api/v1"
	"sigs.k8s.io/yaml"

	"github.com/viaduct-sdk/viaduct/internal/authority"
)

// The Secrets of a TK cluster (cluster-api util/secret).
const (
	secretType       = "cluster.x-k8s.io/secret" //nolint:gosec // the type of a Secret
	labelClusterName = "cluster.x-k8s.io/cluster-name"
	kubeconfigKey    = "value"
)

func kubeconfigSecret(cluster string) string { return cluster + "-kubeconfig" }
func authoritySecret(cluster string) string  { return cluster + "-ca" }

// ensureAuthority returns the authority that the TK cluster's Secret holds, or
// makes one and puts it there.
func (t *tkg) ensureAuthority(ctx context.Context, r *request) (*authority.Authority, error) {
	secrets := t.kube.CoreV1().Secrets(r.name.Namespace)
	secret, err := secrets.Get(ctx, authoritySecret(r.name.Name), metav1.GetOptions{})
	if err == nil {
		return authority.Parse(secret.Data[corev1.TLSCertKey], secret.Data[corev1.TLSPrivateKeyKey])
	}
	if !apierrors.IsNotFound(err) {
		return nil, err
	}
	ca, err := authority.New("kubernetes")
	if err != nil {
		return nil, err
	}
	key, err := ca.KeyPEM()
	if err != nil {
		return nil, err
	}
	_, err = secrets.Create(ctx, newSecret(r, authoritySecret(r.name.Name), map[string][]byte{
		corev1.TLSCertKey: ca.CertPEM(), corev1.TLSPrivateKeyKey: key,
	}), metav1.CreateOptions{FieldManager: fieldManagerTKG})
	return ca, err
}

func newSecret(r *request, name string, data map[string][]byte) *corev1.Secret {
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: r.name.Namespace, Name: name,
			Labels:          map[string]string{labelClusterName: r.name.Name},
			OwnerReferences: []metav1.OwnerReference{ownerReference(r.kind, r.primary)},
		},
		Type: secretType,
		Data: data,
	}
}

// ensureKubeconfig makes the kubeconfig Secret, unless it is there and leads to
// the endpoint.
func (t *tkg) ensureKubeconfig(ctx context.Context, r *request, g *guest) error {
	secret, err := t.kube.CoreV1().Secrets(r.name.Namespace).Get(ctx, kubeconfigSecret(r.name.Name), metav1.GetOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return err
	}
	if err == nil {
		if serial := serialOf(secret.Data[kubeconfigKey], g); serial != "" {
			g.mu.Lock()
			g.serial = serial
			g.mu.Unlock()
			return nil
		}
	}
	return t.writeKubeconfig(ctx, g, r)
}

// serialOf returns the serial number of the client certificate in a kubeconfig
// that leads to the endpoint, "" when it leads elsewhere.
func serialOf(kubeconfig []byte, g *guest) string {
	var config clientcmdv1.Config
	if yaml.Unmarshal(kubeconfig, &config) != nil || len(config.Clusters) != 1 || len(config.AuthInfos) != 1 {
		return ""
	}
	cluster := config.Clusters[0].Cluster
	if cluster.Server != g.url() || !bytes.Equal(cluster.CertificateAuthorityData, g.ca.CertPEM()) {
		return ""
	}
	block, _ := pem.Decode(config.AuthInfos[0].AuthInfo.ClientCertificateData)
	if block == nil {
		return ""
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return ""
	}
	return cert.SerialNumber.String()
}

// writeKubeconfig makes a new client certificate and puts a kubeconfig with it
// into the Secret. r is nil when the Secret is there.
func (t *tkg) writeKubeconfig(ctx context.Context, g *guest, r *request) error {
	issued, err := g.ca.Client("kubernetes-admin", "system:masters")
	if err != nil {
		return err
	}
	cert, key, err := authority.PEM(issued)
	if err != nil {
		return err
	}
	serial := issued.Leaf.SerialNumber.String()
	data, err := yaml.Marshal(kubeconfig(g, cert, key))
	if err != nil {
		return err
	}
	secrets := t.kube.CoreV1().Secrets(g.name.Namespace)
	name := kubeconfigSecret(g.name.Name)
	secret, err := secrets.Get(ctx, name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err) && r != nil:
		_, err = secrets.Create(ctx, newSecret(r, name, map[string][]byte{kubeconfigKey: data}), metav1.CreateOptions{FieldManager: fieldManagerTKG})
	case err == nil:
		secret.Data = map[string][]byte{kubeconfigKey: data}
		_, err = secrets.Update(ctx, secret, metav1.UpdateOptions{FieldManager: fieldManagerTKG})
	}
	if err != nil {
		return fmt.Errorf("supervisorsim: secret %s/%s: %w", g.name.Namespace, name, err)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.serial = serial
	return nil
}

// kubeconfig is the file as Cluster API writes it.
func kubeconfig(g *guest, cert, key []byte) clientcmdv1.Config {
	cluster := g.name.Name
	user := cluster + "-admin"
	name := user + "@" + cluster
	return clientcmdv1.Config{
		APIVersion: "v1",
		Kind:       "Config",
		Clusters: []clientcmdv1.NamedCluster{{
			Name: cluster, Cluster: clientcmdv1.Cluster{Server: g.url(), CertificateAuthorityData: g.ca.CertPEM()},
		}},
		AuthInfos: []clientcmdv1.NamedAuthInfo{{
			Name: user, AuthInfo: clientcmdv1.AuthInfo{ClientCertificateData: cert, ClientKeyData: key},
		}},
		Contexts: []clientcmdv1.NamedContext{{
			Name: name, Context: clientcmdv1.Context{Cluster: cluster, AuthInfo: user},
		}},
		CurrentContext: name,
	}
}

// removeSecrets deletes the Secrets of a TK cluster.
func (t *tkg) removeSecrets(ctx context.Context, name types.NamespacedName) error {
	for _, secret := range []string{kubeconfigSecret(name.Name), authoritySecret(name.Name)} {
		secrets := t.kube.CoreV1().Secrets(name.Namespace)
		s, err := secrets.Get(ctx, secret, metav1.GetOptions{})
		if apierrors.IsNotFound(err) || (err == nil && s.Labels[labelClusterName] != name.Name) {
			continue
		}
		if err != nil {
			return err
		}
		if err := ignoreGone(secrets.Delete(ctx, secret, metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &s.UID}})); err != nil {
			return err
		}
	}
	return nil
}
