// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package nsxsim

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// maxPageSize is also the size of pages when none is asked for.
const maxPageSize = 1000

// cursorDialect is how one of NSX's APIs writes its cursors.
type cursorDialect interface {
	// next returns the cursor after the objects up to end of all of them.
	next(objects []*object, end int) string
	// start returns where the page of a cursor starts.
	start(objects []*object, cursor string) (int, error)
}

// policyCursor is the dialect of Policy API lists: opaque, absent on the last
// page.
type policyCursor struct{}

func (policyCursor) next(objects []*object, end int) string {
	if end == 0 || end >= len(objects) {
		return ""
	}
	return base64.RawURLEncoding.EncodeToString([]byte(strconv.Itoa(end) + ":" + objects[end-1].path))
}

// start finds the object after the one that the cursor names; when that is
// gone, the position it had.
func (policyCursor) start(objects []*object, cursor string) (int, error) {
	text, err := base64.RawURLEncoding.DecodeString(cursor)
	number, path, ok := strings.Cut(string(text), ":")
	offset, convErr := strconv.Atoi(number)
	if err != nil || convErr != nil || !ok || offset < 1 {
		return 0, invalidCursor(cursor)
	}
	return afterWhere(objects, offset, func(o *object) bool { return o.path == path }), nil
}

func invalidCursor(cursor string) error { return invalidField("cursor %s is not valid", cursor) }

// afterWhere returns the index after the object that is meant, looking first
// where it was.
func afterWhere(objects []*object, offset int, meant func(*object) bool) int {
	if offset <= len(objects) && meant(objects[offset-1]) {
		return offset
	}
	if i := slices.IndexFunc(objects, meant); i >= 0 {
		return i + 1
	}
	return min(offset, len(objects))
}

// page returns the page of the objects that the request asks for.
func (c *call) page(objects []*object, dialect cursorDialect) (any, error) {
	size, err := c.pageSize()
	if err != nil {
		return nil, err
	}
	ascending := c.query.Get("sort_ascending") != "false"
	by := c.query.Get("sort_by")
	if by != "" || !ascending {
		sortObjects(objects, by, ascending)
	}
	start := 0
	if cursor := c.query.Get("cursor"); cursor != "" {
		if start, err = dialect.start(objects, cursor); err != nil {
			return nil, err
		}
	}
	start = min(start, len(objects))
	end := min(start+size, len(objects))
	var b bytes.Buffer
	b.WriteString(`{"results":[`)
	for i, o := range objects[start:end] {
		if i > 0 {
			b.WriteByte(',')
		}
		b.Write(c.s.listed(o))
	}
	b.WriteByte(']')
	if c.query.Get("cursor") == "" {
		fmt.Fprintf(&b, `,"result_count":%d`, len(objects))
	}
	if next := dialect.next(objects, end); next != "" {
		fmt.Fprintf(&b, `,"cursor":%q`, next)
	}
	quoted, _ := json.Marshal(orDefault(by, "id")) // a string always encodes
	fmt.Fprintf(&b, `,"sort_by":%s,"sort_ascending":%t}`, quoted, ascending)
	return json.RawMessage(b.Bytes()), nil
}

func (c *call) pageSize() (int, error) {
	text := c.query.Get("page_size")
	if text == "" {
		return maxPageSize, nil
	}
	size, err := strconv.Atoi(text)
	if err != nil || size < 0 || size > maxPageSize {
		return 0, invalidField("page_size %s is not between 0 and %d", text, maxPageSize)
	}
	return size, nil
}

// sortObjects sorts by a field, and by path where that is equal.
func sortObjects(objects []*object, by string, ascending bool) {
	slices.SortFunc(objects, func(a, b *object) int {
		order := cmp.Or(compareValues(a.body[by], b.body[by]), cmp.Compare(a.path, b.path))
		if !ascending {
			return -order
		}
		return order
	})
}

func compareValues(a, b any) int {
	if x, ok := a.(string); ok {
		y, _ := b.(string)
		return cmp.Compare(x, y)
	}
	return cmp.Compare(asInt(a), asInt(b))
}
