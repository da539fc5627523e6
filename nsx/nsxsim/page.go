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
	next(all listing, end int) string
	// start returns where the page of a cursor starts.
	start(all listing, cursor string) (int, error)
}

// listing is what a list pages through: objects, or paths of a store, of which
// each page reads only its own.
type listing struct {
	objects []*object
	paths   []string
	store   *store
}

func (l listing) len() int { return max(len(l.objects), len(l.paths)) }

func (l listing) at(i int) *object {
	if l.store != nil {
		return l.store.objects[l.paths[i]]
	}
	return l.objects[i]
}

// all returns every object.
func (l listing) all() []*object {
	if l.store == nil {
		return l.objects
	}
	objects := make([]*object, len(l.paths))
	for i := range objects {
		objects[i] = l.at(i)
	}
	return objects
}

// afterWhere returns the index after the object that is meant, looking first
// where it was; when it is gone, the index it had.
func (l listing) afterWhere(offset int, meant func(*object) bool) int {
	if offset <= l.len() && meant(l.at(offset-1)) {
		return offset
	}
	for i := range l.len() {
		if meant(l.at(i)) {
			return i + 1
		}
	}
	return min(offset, l.len())
}

// policyCursor is the dialect of Policy API lists: opaque, absent on the last
// page.
type policyCursor struct{}

func (policyCursor) next(all listing, end int) string {
	if end == 0 || end >= all.len() {
		return ""
	}
	return base64.RawURLEncoding.EncodeToString([]byte(strconv.Itoa(end) + ":" + all.at(end-1).path))
}

// start finds the object after the one that the cursor names; when that is
// gone, the position it had.
func (policyCursor) start(all listing, cursor string) (int, error) {
	text, err := base64.RawURLEncoding.DecodeString(cursor)
	number, path, ok := strings.Cut(string(text), ":")
	offset, convErr := strconv.Atoi(number)
	if err != nil || convErr != nil || !ok || offset < 1 {
		return 0, invalidCursor(cursor)
	}
	return all.afterWhere(offset, func(o *object) bool { return o.path == path }), nil
}

func invalidCursor(cursor string) error { return invalidField("cursor %s is not valid", cursor) }

// page returns the page of the objects that the request asks for.
func (c *call) page(objects []*object, dialect cursorDialect) (any, error) {
	return c.pageOf(listing{objects: objects}, dialect)
}

func (c *call) pageOf(all listing, dialect cursorDialect) (any, error) {
	size, err := c.pageSize()
	if err != nil {
		return nil, err
	}
	ascending := c.query.Get("sort_ascending") != "false"
	by := c.query.Get("sort_by")
	if by != "" || !ascending {
		all = listing{objects: all.all()}
		sortObjects(all.objects, by, ascending)
	}
	start := 0
	cursor := c.query.Get("cursor")
	if cursor != "" {
		if start, err = dialect.start(all, cursor); err != nil {
			return nil, err
		}
	}
	start = min(start, all.len())
	end := min(start+size, all.len())
	var b bytes.Buffer
	c.writeResults(&b, all, start, end)
	if cursor == "" {
		fmt.Fprintf(&b, `,"result_count":%d`, all.len())
	}
	if next := dialect.next(all, end); next != "" {
		fmt.Fprintf(&b, `,"cursor":%q`, next)
	}
	quoted, _ := json.Marshal(orDefault(by, "id")) // a string always encodes
	fmt.Fprintf(&b, `,"sort_by":%s,"sort_ascending":%t}`, quoted, ascending)
	return json.RawMessage(b.Bytes()), nil
}

// writeResults begins the answer with the objects of the page.
func (c *call) writeResults(b *bytes.Buffer, all listing, start, end int) {
	results := make([]json.RawMessage, 0, end-start)
	size := 256
	for i := start; i < end; i++ {
		result := c.s.listed(all.at(i))
		size += len(result) + 1
		results = append(results, result)
	}
	b.Grow(size)
	b.WriteString(`{"results":[`)
	for i, result := range results {
		if i > 0 {
			b.WriteByte(',')
		}
		b.Write(result)
	}
	b.WriteByte(']')
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
