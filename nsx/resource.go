// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package nsx

// Resource is what all intent objects have in common. ID, DisplayName,
// Description and Tags are the caller's to set, the rest is NSX's.
//
// A nil slice or a zero value is not sent, an empty slice is: it clears the
// field.
type Resource struct {
	ID           string `json:"id,omitzero"`
	DisplayName  string `json:"display_name,omitzero"`
	Description  string `json:"description,omitzero"`
	ResourceType string `json:"resource_type,omitzero"`
	Tags         Tags   `json:"tags,omitzero"`

	Path         Path   `json:"path,omitzero"`
	RelativePath string `json:"relative_path,omitzero"`
	ParentPath   Path   `json:"parent_path,omitzero"`

	// UniqueID is a UUID that no other object has or had. RealizationID is
	// that of the object in the Manager API. Since NSX-T 3.0.
	UniqueID      string `json:"unique_id,omitzero"`
	RealizationID string `json:"realization_id,omitzero"`

	// MarkedForDelete is true for an object that was deleted and not purged
	// yet. Only searches return such objects.
	MarkedForDelete bool `json:"marked_for_delete,omitzero"`

	// Revision counts the writes, from 0. [Collection.Replace] demands the one
	// that was read.
	Revision int64 `json:"_revision,omitzero"`

	// CreateUser is the principal that made the object; Protection says
	// whether others may change it, see [WithAllowOverwrite].
	CreateUser       string     `json:"_create_user,omitzero"`
	CreateTime       int64      `json:"_create_time,omitzero"` // milliseconds since 1970
	LastModifiedUser string     `json:"_last_modified_user,omitzero"`
	LastModifiedTime int64      `json:"_last_modified_time,omitzero"`
	Protection       Protection `json:"_protection,omitzero"`
	SystemOwned      bool       `json:"_system_owned,omitzero"`
}

// Protection says who may change an object. Open set: servers may return
// others.
type Protection string

// The protections of an object.
const (
	ProtectionNone            Protection = "NOT_PROTECTED"
	ProtectionProtected       Protection = "PROTECTED"
	ProtectionRequireOverride Protection = "REQUIRE_OVERRIDE"
	ProtectionUnknown         Protection = "UNKNOWN"
)

// resource returns the common part of any object.
func (r Resource) resource() Resource { return r }

// Object is any of this package's intent objects: a struct that embeds
// [Resource].
type Object interface{ resource() Resource }
