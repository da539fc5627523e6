// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package nsx

// LBServiceSize is how large a load balancer is. Open set: servers may return
// others.
type LBServiceSize string

// The sizes of load balancers. DLB is the distributed one, which NCP makes for
// the ClusterIP Services of a Supervisor.
const (
	LBServiceSmall       LBServiceSize = "SMALL"
	LBServiceMedium      LBServiceSize = "MEDIUM"
	LBServiceLarge       LBServiceSize = "LARGE"
	LBServiceXLarge      LBServiceSize = "XLARGE"
	LBServiceDistributed LBServiceSize = "DLB"
)

// LBService is a load balancer. Virtual servers name it in LBServicePath.
type LBService struct {
	Resource
	ConnectivityPath     Path          `json:"connectivity_path,omitzero"` // a tier-1 gateway
	Size                 LBServiceSize `json:"size,omitzero"`
	Enabled              *bool         `json:"enabled,omitzero"` // nil: true
	ErrorLogLevel        string        `json:"error_log_level,omitzero"`
	AccessLogEnabled     *bool         `json:"access_log_enabled,omitzero"`
	RelaxScaleValidation *bool         `json:"relax_scale_validation,omitzero"`
}

// LBServices is the load balancers, with the status of all that runs on them.
type LBServices struct{ Collection[LBService] }

// LBServices returns the load balancers.
func (c *Client) LBServices() LBServices {
	return LBServices{infra[LBService](c, "lb service", "lb-services", "LBService")}
}
