// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package nsx

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/viaduct-sdk/viaduct"
)

// Version is the version of an NSX Manager.
type Version struct {
	Major, Minor, Patch int
	Product             string // as NSX spells it: "3.2.1.0.0.19801959"
}

// ParseVersion reads the first up to three numbers of a product version. The
// error matches [viaduct.ErrInvalid].
func ParseVersion(product string) (Version, error) {
	v := Version{Product: product}
	numbers := []*int{&v.Major, &v.Minor, &v.Patch}
	for i, part := range strings.Split(product, ".") {
		if i == len(numbers) {
			break
		}
		n, err := strconv.Atoi(part)
		if err != nil || n < 0 {
			return Version{}, fmt.Errorf("nsx: %w: version %q", viaduct.ErrInvalid, product)
		}
		*numbers[i] = n
	}
	return v, nil
}

// Before reports whether the version is older than w, builds aside.
func (v Version) Before(w Version) bool {
	if v.Major != w.Major {
		return v.Major < w.Major
	}
	if v.Minor != w.Minor {
		return v.Minor < w.Minor
	}
	return v.Patch < w.Patch
}

// String returns the product version.
func (v Version) String() string {
	if v.Product != "" {
		return v.Product
	}
	return fmt.Sprintf("%d.%d.%d", v.Major, v.Minor, v.Patch)
}

// UnsupportedError says that this version of NSX lacks a feature. Nothing was
// sent. It matches [viaduct.ErrUnsupported].
type UnsupportedError struct {
	Feature string
	Need    Version // the first, or with Removed the first without it
	Have    Version
	Removed bool
}

// Error returns the text.
func (e *UnsupportedError) Error() string {
	if e.Removed {
		return fmt.Sprintf("nsx: %s was removed in NSX %s, the manager has %s", e.Feature, e.Need, e.Have)
	}
	return fmt.Sprintf("nsx: %s needs NSX %s, the manager has %s", e.Feature, e.Need, e.Have)
}

// Is reports whether target is [viaduct.ErrUnsupported].
func (*UnsupportedError) Is(target error) bool { return target == viaduct.ErrUnsupported }

// versionCache holds the version once it was read. Whoever holds the lock, a
// channel so that waiting for it ends with the context, reads it.
type versionCache struct {
	lock    chan struct{}
	version Version
}

func newVersionCache() *versionCache { return &versionCache{lock: make(chan struct{}, 1)} }

// Version returns the version of the manager. It is read once for each client.
func (c *Client) Version(ctx context.Context) (Version, error) {
	select {
	case c.version.lock <- struct{}{}:
	case <-ctx.Done():
		return Version{}, fmt.Errorf("nsx: get version: %w", context.Cause(ctx))
	}
	defer func() { <-c.version.lock }()
	if c.version.version.Product != "" {
		return c.version.version, nil
	}
	var body struct {
		ProductVersion string `json:"product_version"`
	}
	err := c.send(ctx, managerBase, call{
		op: "get version", object: "node", method: http.MethodGet, route: "/node/version", into: &body,
	})
	if err != nil {
		return Version{}, err
	}
	version, err := ParseVersion(body.ProductVersion)
	if err != nil {
		return Version{}, err
	}
	c.version.version = version
	return version, nil
}

// Require returns an [*UnsupportedError] when the manager is older than need,
// and nil when the feature is there.
func (c *Client) Require(ctx context.Context, feature string, need Version) error {
	have, err := c.Version(ctx)
	if err != nil {
		return err
	}
	if have.Before(need) {
		return &UnsupportedError{Feature: feature, Need: need, Have: have}
	}
	return nil
}

// RequireBefore returns an [*UnsupportedError] when the manager has version
// removed or a later one, which lack the feature.
func (c *Client) RequireBefore(ctx context.Context, feature string, removed Version) error {
	have, err := c.Version(ctx)
	if err != nil {
		return err
	}
	if !have.Before(removed) {
		return &UnsupportedError{Feature: feature, Need: removed, Have: have, Removed: true}
	}
	return nil
}
