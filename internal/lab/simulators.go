// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"context"
	"fmt"
	"strings"

	"github.com/viaduct-sdk/viaduct/nsx/nsxsim"
	"github.com/viaduct-sdk/viaduct/supervisor/supervisorsim"
	"github.com/viaduct-sdk/viaduct/vcenter/vcentersim"
)

// loopback is a free port of the loopback interface.
const loopback = "127.0.0.1:0"

func (l *Lab) startNSX() error {
	l.NSX = nsxsim.NewServer(l.config.NSX...)
	if err := l.onClose(l.NSX.Close); err != nil {
		return err
	}
	if _, err := l.NSX.ListenTLS(loopback); err != nil {
		return fmt.Errorf("lab: start NSX: %w", err)
	}
	return nil
}

func (l *Lab) startVCenter() error {
	defer l.progress.Watch("start vCenter", nil)()
	vc, err := vcentersim.NewServer(l.config.VCenter...)
	if err != nil {
		return fmt.Errorf("lab: start vCenter: %w", err)
	}
	if err := l.onClose(vc.Close); err != nil {
		return err
	}
	l.VCenter = vc
	if _, err := vc.ListenTLS(loopback); err != nil {
		return fmt.Errorf("lab: start vCenter: %w", err)
	}
	return nil
}

// startSupervisorSim makes a Supervisor of the Supervisor cluster, and has
// vCenter know of it.
func (l *Lab) startSupervisorSim(ctx context.Context) error {
	defer l.progress.Watch("start WCP and NCP on the Supervisor", nil)()
	config := l.config.SupervisorSim
	config.Kubernetes, config.NSX, config.VCenter = l.Supervisor.Config, l.NSX, l.VCenter
	if config.TKG.Clusters == nil {
		config.TKG.Clusters = provider{l}
	}
	sim, err := supervisorsim.Start(ctx, config)
	if err != nil {
		return fmt.Errorf("lab: start WCP and NCP on the Supervisor: %w", err)
	}
	if err := l.onClose(sim.Close); err != nil {
		return err
	}
	l.SupervisorSim = sim
	l.VCenter.SetNamespaceController(sim)
	url, err := sim.WCP().ListenTLS(loopback)
	if err != nil {
		return fmt.Errorf("lab: start the Supervisor's login: %w", err)
	}
	address := strings.TrimPrefix(url, "https://")
	if err := l.VCenter.SetSupervisorEndpoint(l.clusterID(), address, sim.WCP().CACertPEM()); err != nil {
		return fmt.Errorf("lab: tell vCenter of the Supervisor: %w", err)
	}
	return nil
}

// clusterID is the Supervisor's cluster in vCenter.
func (l *Lab) clusterID() string {
	if id := l.config.SupervisorSim.ClusterID; id != "" {
		return id
	}
	return supervisorsim.DefaultClusterID
}
