// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package vcenter

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/viaduct-sdk/viaduct"
)

// Version is the version of a vCenter. Update 3 of 7.0 is 7.0.3.
type Version struct{ Major, Minor, Update int }

// ParseVersion reads the first up to three numbers of a version. The error
// matches [viaduct.ErrInvalid].
func ParseVersion(text string) (Version, error) {
	var v Version
	numbers := []*int{&v.Major, &v.Minor, &v.Update}
	for i, part := range strings.Split(text, ".") {
		if i == len(numbers) {
			break
		}
		n, err := strconv.Atoi(part)
		if err != nil || n < 0 {
			return Version{}, fmt.Errorf("vcenter: %w: version %q", viaduct.ErrInvalid, text)
		}
		*numbers[i] = n
	}
	return v, nil
}

// Before reports whether the version is older than w.
func (v Version) Before(w Version) bool {
	if v.Major != w.Major {
		return v.Major < w.Major
	}
	if v.Minor != w.Minor {
		return v.Minor < w.Minor
	}
	return v.Update < w.Update
}

// String returns the version as vCenter spells it.
func (v Version) String() string { return fmt.Sprintf("%d.%d.%d", v.Major, v.Minor, v.Update) }

// UnsupportedError says that this version of vCenter lacks a feature. Nothing
// was sent. It matches [viaduct.ErrUnsupported].
type UnsupportedError struct {
	Feature    string
	Need, Have Version
}

// Error returns the text.
func (e *UnsupportedError) Error() string {
	return fmt.Sprintf("vcenter: %s needs vCenter %s, the server has %s", e.Feature, e.Need, e.Have)
}

// Is reports whether target is [viaduct.ErrUnsupported].
func (*UnsupportedError) Is(target error) bool { return target == viaduct.ErrUnsupported }

// require returns an [*UnsupportedError] when the vCenter is older than need.
func (c *Client) require(ctx context.Context, feature string, need Version) error {
	about, err := c.About(ctx)
	if err != nil {
		return err
	}
	if about.Version.Before(need) {
		return &UnsupportedError{Feature: feature, Need: need, Have: about.Version}
	}
	return nil
}
