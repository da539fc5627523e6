// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"context"

	"k8s.io/client-go/rest"
)

// provider starts clusters of the lab behind the TanzuKubernetesCluster and
// Cluster objects on the Supervisor. In the lab, the cluster of such an object
// is named after its namespace and its name, with a dot between.
type provider struct {
	lab *Lab
}

// StartCluster returns how to reach the cluster, which it starts unless it runs
// already.
func (p provider) StartCluster(ctx context.Context, namespace, name string) (*rest.Config, error) {
	key := namespace + "." + name
	if c := p.lab.TKCluster(key); c != nil {
		return c.Config, nil
	}
	c, err := p.lab.StartTKCluster(ctx, key)
	if err != nil {
		return nil, err
	}
	return c.Config, nil
}

// StopCluster ends the cluster. It does nothing when there is none.
func (p provider) StopCluster(_ context.Context, namespace, name string) error {
	return p.lab.StopTKCluster(namespace + "." + name)
}
