// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package supervisorsim

// The API groups of a Supervisor that Kubernetes lacks.
const (
	tkcGroup        = "run.tanzu.vmware.com"
	capiGroup       = "cluster.x-k8s.io"
	vmOperatorGroup = "vmoperator.vmware.com"
	ncpGroup        = "vmware.com"
)
