// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package vcenter

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/viaduct-sdk/viaduct"
)

// SoftwareState is how far a Supervisor is with its version. It is an open set:
// servers may return others.
type SoftwareState string

// The documented states.
const (
	SoftwareReady   SoftwareState = "READY"
	SoftwarePending SoftwareState = "PENDING"
	SoftwareError   SoftwareState = "ERROR"
)

// Software is the Kubernetes version of a Supervisor, and what it may be
// upgraded to.
type Software struct {
	Cluster     string        `json:"cluster"`
	ClusterName string        `json:"cluster_name"`
	State       SoftwareState `json:"state"`

	CurrentVersion    string   `json:"current_version"`
	AvailableVersions []string `json:"available_versions"`
	// DesiredVersion is set while an upgrade runs.
	DesiredVersion string `json:"desired_version"`
	// LastUpgraded is zero when there was no upgrade.
	LastUpgraded time.Time `json:"last_upgraded_date"`

	// Messages and Upgrade are filled by Get only.
	Messages []StatusMessage `json:"messages"`
	Upgrade  *UpgradeStatus  `json:"upgrade_status"`
}

// UpgradeStatus is an upgrade that runs.
type UpgradeStatus struct {
	DesiredVersion string          `json:"desired_version"`
	Messages       []StatusMessage `json:"messages"`
	Progress       struct {
		Total     int64   `json:"total"`
		Completed int64   `json:"completed"`
		Message   Message `json:"message"`
	} `json:"progress"`
}

// SoftwareVersion is a version that the vCenter can install.
type SoftwareVersion struct {
	Version     string `json:"version"`
	Name        string `json:"name"`
	Description string `json:"description"`
}

// SoftwareClusters is the Kubernetes versions of the Supervisors.
type SoftwareClusters struct{ c *Client }

// Software returns the handle of the Supervisors' versions.
func (c *Client) Software() SoftwareClusters { return SoftwareClusters{c} }

const softwareRoute = "/api/vcenter/namespace-management/software"

// List returns the versions of all Supervisors.
func (s SoftwareClusters) List(ctx context.Context) ([]Software, error) {
	var list []Software
	err := s.c.get(ctx, "list supervisor versions", "all", softwareRoute+"/clusters", &list)
	return list, err
}

// Get returns the version of one Supervisor, with the upgrade that runs.
// Errors match [viaduct.ErrNotFound] when the cluster lacks workload
// management.
func (s SoftwareClusters) Get(ctx context.Context, cluster string) (Software, error) {
	software := Software{}
	err := s.c.get(ctx, "get supervisor version", cluster, softwareRoute+"/clusters/{cluster}", &software, cluster)
	if err != nil {
		return Software{}, err
	}
	software.Cluster = cluster
	return software, nil
}

// Versions returns what this vCenter can install.
func (s SoftwareClusters) Versions(ctx context.Context) ([]SoftwareVersion, error) {
	var list []SoftwareVersion
	err := s.c.get(ctx, "list versions", "available", softwareRoute+"/cluster-available-versions", &list)
	return list, err
}

// Upgrade starts an upgrade and does not wait for its end: see
// [SoftwareClusters.Wait]. Errors match [viaduct.ErrInvalid] when the version
// is not available for this cluster.
func (s SoftwareClusters) Upgrade(ctx context.Context, cluster, version string) error {
	const op = "upgrade supervisor"
	if version == "" {
		return fmt.Errorf("vcenter: %s %q: %w: no version", op, cluster, viaduct.ErrInvalid)
	}
	return s.c.do(ctx, call{
		op: op, object: cluster, method: http.MethodPost, route: softwareRoute + "/clusters/{cluster}",
		args: []string{cluster}, query: url.Values{"action": {"upgrade"}},
		body: map[string]string{"desired_version": version},
	})
}

// Wait waits until a Supervisor is READY with a version. When the state becomes
// ERROR, the error is a [*StateError] with vCenter's messages.
func (s SoftwareClusters) Wait(ctx context.Context, cluster, version string, opts WaitOptions[Software]) (Software, error) {
	const op = "wait for supervisor version"
	return wait(ctx, op, cluster, opts,
		func(ctx context.Context) (Software, error) { return s.Get(ctx, cluster) },
		func(sw Software) string {
			state := fmt.Sprintf("%s, version %s", sw.State, sw.CurrentVersion)
			if sw.Upgrade != nil {
				state += fmt.Sprintf(", %d of %d", sw.Upgrade.Progress.Completed, sw.Upgrade.Progress.Total)
			}
			return describe(state, sw.Messages)
		},
		func(sw Software) (bool, error) {
			if sw.State == SoftwareError && !opts.TolerateError {
				return false, &StateError{Op: op, Object: cluster, Status: ConfigStatus(sw.State), Messages: sw.Messages}
			}
			return sw.State == SoftwareReady && sw.CurrentVersion == version, nil
		})
}
