// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package nsx

import (
	"fmt"
	"net/url"
	"strings"

	"github.com/viaduct-sdk/viaduct"
)

// Path is a policy path, the name by which objects refer to each other:
// /infra/lb-pools/web. The empty Path refers to nothing.
type Path string

// ParsePath returns s as a Path. A path starts with a slash and has no empty,
// "." or ".." part. The error matches [viaduct.ErrInvalid].
func ParsePath(s string) (Path, error) {
	if !strings.HasPrefix(s, "/") {
		return "", fmt.Errorf("nsx: %w: policy path %q does not start with a slash", viaduct.ErrInvalid, s)
	}
	for part := range strings.SplitSeq(s[1:], "/") {
		switch part {
		case "", ".", "..":
			return "", fmt.Errorf("nsx: %w: policy path %q has the part %q", viaduct.ErrInvalid, s, part)
		}
	}
	return Path(s), nil
}

// ID returns the last part, the id of the object.
func (p Path) ID() string { return string(p)[strings.LastIndexByte(string(p), '/')+1:] }

// Parent returns the path of the object beneath which this one lies: two parts
// shorter, since /infra/lb-pools is a list. It is empty for the shortest paths.
func (p Path) Parent() Path {
	s := string(p)
	for range 2 {
		s = s[:max(0, strings.LastIndexByte(s, '/'))]
	}
	return Path(s)
}

// Under reports whether the path is that of prefix or lies beneath it. Every
// path lies under the empty one.
func (p Path) Under(prefix Path) bool {
	rest, found := strings.CutPrefix(string(p), string(prefix))
	return found && (rest == "" || rest[0] == '/' || prefix == "")
}

// String returns the path.
func (p Path) String() string { return string(p) }

// escaped returns the path as it goes into a URL.
func (p Path) escaped() string {
	parts := strings.Split(string(p), "/")
	for i, part := range parts {
		parts[i] = url.PathEscape(part)
	}
	return strings.Join(parts, "/")
}

// fill puts ids, unescaped, into the placeholders of a route.
func fill(route string, ids ...string) Path {
	for _, id := range ids {
		open, end := strings.IndexByte(route, '{'), strings.IndexByte(route, '}')
		if open < 0 || end < open {
			break
		}
		route = route[:open] + id + route[end+1:]
	}
	return Path(route)
}
