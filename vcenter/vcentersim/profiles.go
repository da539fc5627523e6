// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package vcentersim

import (
	"slices"
	"time"

	"github.com/vmware/govmomi/pbm"
	"github.com/vmware/govmomi/pbm/methods"
	pbmtypes "github.com/vmware/govmomi/pbm/types"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

// storagePolicy is one storage policy.
type storagePolicy struct{ id, name string }

// storagePolicies are the policies there are.
func storagePolicies() []storagePolicy {
	return []storagePolicy{
		{StoragePolicy, "vSAN Default Storage Policy"},
		{WorkloadStoragePolicy, "wcp-policy"},
	}
}

// newStorageProfiles makes the part of the storage policy service that
// clients look names up in. govmomi's own simulator of it writes to profiles
// that all simulators of a process share.
func newStorageProfiles() *simulator.Registry {
	r := simulator.NewRegistry()
	r.Namespace, r.Path, r.Cookie = pbm.Namespace, pbm.Path, simulator.SOAPCookie
	manager := types.ManagedObjectReference{Type: "PbmProfileProfileManager", Value: "ProfileManager"}
	r.Put(&storageService{ManagedObjectReference: pbm.ServiceInstance, manager: manager})
	r.Put(&storageProfiles{ManagedObjectReference: manager})
	return r
}

type storageService struct {
	types.ManagedObjectReference
	manager types.ManagedObjectReference
}

// PbmRetrieveServiceContent implements the method of the same name.
func (s *storageService) PbmRetrieveServiceContent(*pbmtypes.PbmRetrieveServiceContent) soap.HasFault {
	ref := func(kind, value string) types.ManagedObjectReference {
		return types.ManagedObjectReference{Type: kind, Value: value}
	}
	return &methods.PbmRetrieveServiceContentBody{Res: &pbmtypes.PbmRetrieveServiceContentResponse{
		Returnval: pbmtypes.PbmServiceInstanceContent{
			AboutInfo:                 pbmtypes.PbmAboutInfo{Name: "PBM", Version: "2.0"},
			SessionManager:            ref("PbmSessionManager", "SessionManager"),
			CapabilityMetadataManager: ref("PbmCapabilityMetadataManager", "CapabilityMetadataManager"),
			ProfileManager:            s.manager,
			ComplianceManager:         ref("PbmComplianceManager", "complianceManager"),
			PlacementSolver:           ref("PbmPlacementSolver", "placementSolver"),
		},
	}}
}

type storageProfiles struct{ types.ManagedObjectReference }

// PbmQueryProfile implements the method of the same name.
func (*storageProfiles) PbmQueryProfile(*pbmtypes.PbmQueryProfile) soap.HasFault {
	res := &pbmtypes.PbmQueryProfileResponse{}
	for _, p := range storagePolicies() {
		res.Returnval = append(res.Returnval, pbmtypes.PbmProfileId{UniqueId: p.id})
	}
	return &methods.PbmQueryProfileBody{Res: res}
}

// PbmRetrieveContent implements the method of the same name.
func (*storageProfiles) PbmRetrieveContent(req *pbmtypes.PbmRetrieveContent) soap.HasFault {
	res := &pbmtypes.PbmRetrieveContentResponse{}
	for _, want := range req.ProfileIds {
		all := storagePolicies()
		i := slices.IndexFunc(all, func(p storagePolicy) bool { return p.id == want.UniqueId })
		if i < 0 {
			return &methods.PbmRetrieveContentBody{Fault_: simulator.Fault("", &types.InvalidArgument{InvalidProperty: "profileIds"})}
		}
		res.Returnval = append(res.Returnval, &pbmtypes.PbmCapabilityProfile{
			PbmProfile: pbmtypes.PbmProfile{
				ProfileId:    pbmtypes.PbmProfileId{UniqueId: all[i].id},
				Name:         all[i].name,
				CreationTime: time.Unix(0, 0).UTC(),
				CreatedBy:    "vcentersim",
			},
			ProfileCategory: string(pbmtypes.PbmProfileCategoryEnumREQUIREMENT),
			ResourceType:    pbmtypes.PbmProfileResourceType{ResourceType: string(pbmtypes.PbmProfileResourceTypeEnumSTORAGE)},
			Constraints:     &pbmtypes.PbmCapabilitySubProfileConstraints{},
		})
	}
	return &methods.PbmRetrieveContentBody{Res: res}
}
