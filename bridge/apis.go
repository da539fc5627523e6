// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package bridge

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
)

// apis asks an API server, once, which APIs it serves.
type apis struct {
	client rest.Interface

	gate  gate
	found endpointsAPI // empty: not asked yet
}

func newAPIs(config *rest.Config, httpClient *http.Client) (*apis, error) {
	client, err := rest.UnversionedRESTClientForConfigAndClient(dynamic.ConfigFor(config), httpClient)
	if err != nil {
		return nil, err
	}
	return &apis{client: client, gate: newGate()}, nil
}

// endpoints returns the newest API for endpoints that the server has: slices of
// version v1 since 1.21, of v1beta1 since 1.17, Endpoints before.
func (a *apis) endpoints(ctx context.Context) (endpointsAPI, error) {
	if err := a.gate.enter(ctx, "the API groups of the cluster"); err != nil {
		return "", err
	}
	defer a.gate.leave()
	if a.found != "" {
		return a.found, nil
	}
	data, err := a.client.Get().AbsPath("/apis/discovery.k8s.io").DoRaw(ctx)
	if apierrors.IsNotFound(err) {
		a.found = endpointsOfCore
		return a.found, nil
	}
	if err != nil {
		return "", kubeError(err)
	}
	var group metav1.APIGroup
	if err := json.Unmarshal(data, &group); err != nil {
		return "", fmt.Errorf("read the versions of discovery.k8s.io: %w", err)
	}
	found := endpointsOfCore
	for _, version := range group.Versions {
		switch api := endpointsAPI(version.GroupVersion); {
		case api == slicesV1, api == slicesV1beta1 && found != slicesV1:
			found = api
		}
	}
	a.found = found
	return a.found, nil
}
