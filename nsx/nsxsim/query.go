// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package nsxsim

import (
	"encoding/json"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
)

// matcher tells whether a search finds an object.
type matcher func(*object) bool

// queryParser reads the part of Lucene's query syntax that NSX documents:
// field:value with wildcards, quotes and escapes, AND, OR and NOT, groups of
// terms and of values, ranges, and _exists_.
type queryParser struct {
	tokens []token
	field  string // of the group of values being read
}

// token is a word or a sign of a query.
type token struct {
	text   string // as it is written, without escapes
	sign   bool   // one of ( ) : or a range bracket
	quoted bool
	wild   bool   // it has wildcards
	glob   string // text as a pattern
}

// parseQuery returns what the query matches.
func parseQuery(query string) (matcher, error) {
	tokens, err := tokenize(query)
	if err != nil {
		return nil, err
	}
	p := &queryParser{tokens: tokens}
	match, err := p.or()
	if err == nil && len(p.tokens) > 0 {
		err = badQuery("unexpected %s", p.tokens[0].text)
	}
	if err != nil {
		return nil, err
	}
	return match, nil
}

func badQuery(format string, args ...any) *apiError {
	return badRequest(codeField, moduleCommon, "The query can not be parsed: %s.", fmt.Sprintf(format, args...))
}

func tokenize(query string) ([]token, error) {
	var tokens []token
	rest := query
	for {
		rest = strings.TrimLeft(rest, " \t\n")
		if rest == "" {
			return tokens, nil
		}
		switch {
		case strings.ContainsRune("():[]{}", rune(rest[0])):
			tokens = append(tokens, token{text: rest[:1], sign: true})
			rest = rest[1:]
		case rest[0] == '"':
			text, after, err := quoted(rest[1:])
			if err != nil {
				return nil, err
			}
			tokens = append(tokens, token{text: text, quoted: true})
			rest = after
		default:
			var t token
			t, rest = word(rest)
			tokens = append(tokens, t)
		}
	}
}

func quoted(rest string) (text, after string, err error) {
	var b strings.Builder
	for i := 0; i < len(rest); i++ {
		switch {
		case rest[i] == '"':
			return b.String(), rest[i+1:], nil
		case rest[i] == '\\' && i+1 < len(rest):
			i++
		}
		b.WriteByte(rest[i])
	}
	return "", "", badQuery("a quotation mark is not closed")
}

// word reads up to the next space or sign that is not escaped.
func word(rest string) (token, string) {
	var text, glob strings.Builder
	wild := false
	i := 0
	for ; i < len(rest) && !strings.ContainsRune(" \t\n():[]{}\"", rune(rest[i])); i++ {
		literal := rest[i] == '\\' && i+1 < len(rest)
		if literal {
			i++
		}
		text.WriteByte(rest[i])
		if !literal && (rest[i] == '*' || rest[i] == '?') {
			wild = true
			glob.WriteByte(rest[i])
		} else {
			glob.WriteString(escapeGlob(rest[i : i+1]))
		}
	}
	return token{text: text.String(), wild: wild, glob: glob.String()}, rest[i:]
}

// escapeGlob makes the text mean itself in path.Match. Slashes, which wildcards
// of path.Match stop at, are replaced on both sides; see matchGlob.
func escapeGlob(text string) string {
	return strings.NewReplacer(`\`, `\\`, "*", `\*`, "?", `\?`, "[", `\[`).Replace(text)
}

func (p *queryParser) next() (token, bool) {
	if len(p.tokens) == 0 {
		return token{}, false
	}
	t := p.tokens[0]
	p.tokens = p.tokens[1:]
	return t, true
}

func (p *queryParser) peek(text string) bool {
	return len(p.tokens) > 0 && p.tokens[0].text == text && !p.tokens[0].quoted
}

func (p *queryParser) sign(text string) bool { return p.peek(text) && p.tokens[0].sign }

func (p *queryParser) or() (matcher, error) {
	left, err := p.and()
	for err == nil && p.peek("OR") {
		p.next()
		var right matcher
		if right, err = p.and(); err == nil {
			a := left
			left = func(o *object) bool { return a(o) || right(o) }
		}
	}
	return left, err
}

func (p *queryParser) and() (matcher, error) {
	left, err := p.not()
	for err == nil && len(p.tokens) > 0 && !p.peek("OR") && !p.sign(")") {
		if p.peek("AND") {
			p.next()
		}
		var right matcher
		if right, err = p.not(); err == nil {
			a := left
			left = func(o *object) bool { return a(o) && right(o) }
		}
	}
	return left, err
}

func (p *queryParser) not() (matcher, error) {
	if !p.peek("NOT") {
		return p.primary()
	}
	p.next()
	match, err := p.not()
	if err != nil {
		return nil, err
	}
	return func(o *object) bool { return !match(o) }, nil
}

func (p *queryParser) primary() (matcher, error) {
	t, ok := p.next()
	switch {
	case !ok:
		return nil, badQuery("it ends too early")
	case t.sign && t.text == "(":
		match, err := p.or()
		if err == nil && !p.sign(")") {
			err = badQuery("a parenthesis is not closed")
		}
		p.next()
		return match, err
	case t.sign && p.field != "" && (t.text == "[" || t.text == "{"):
		return p.between(t.text == "[")
	case t.sign:
		return nil, badQuery("unexpected %s", t.text)
	case p.sign(":") && !t.quoted:
		p.next()
		return p.value(t.text)
	default:
		return hasValue(p.field, t), nil
	}
}

// value reads what comes after field and colon.
func (p *queryParser) value(field string) (matcher, error) {
	if field == "_exists_" {
		t, ok := p.next()
		if !ok || t.sign {
			return nil, badQuery("_exists_ names no field")
		}
		return func(o *object) bool { return len(valuesOf(o.body, strings.Split(t.text, "."))) > 0 }, nil
	}
	outer := p.field
	p.field = field
	match, err := p.primary()
	p.field = outer
	return match, err
}

// between reads a range of values, up to its closing bracket.
func (p *queryParser) between(inclusive bool) (matcher, error) {
	low, _ := p.next()
	to, _ := p.next()
	high, _ := p.next()
	end, ok := p.next()
	if !ok || to.text != "TO" || !end.sign || low.sign || high.sign {
		return nil, badQuery("a range is not of the form [a TO b]")
	}
	parts := strings.Split(p.field, ".")
	return func(o *object) bool {
		for _, value := range valuesOf(o.body, parts) {
			atLeast, atMost := compareText(value, low.text), -compareText(value, high.text)
			if low.text == "*" {
				atLeast = 1
			}
			if high.text == "*" {
				atMost = 1
			}
			if atLeast > 0 && atMost > 0 || inclusive && atLeast >= 0 && atMost >= 0 {
				return true
			}
		}
		return false
	}, nil
}

// compareText compares as numbers where both are.
func compareText(a, b string) int {
	x, errX := strconv.ParseFloat(a, 64)
	y, errY := strconv.ParseFloat(b, 64)
	if errX != nil || errY != nil {
		return strings.Compare(a, b)
	}
	switch {
	case x < y:
		return -1
	case x > y:
		return 1
	default:
		return 0
	}
}

// hasValue matches objects of which the field, or any field when it is empty,
// has a value like the word, in any case.
func hasValue(field string, t token) matcher {
	like := func(value string) bool { return strings.EqualFold(value, t.text) }
	if t.wild {
		pattern := strings.ToLower(t.glob)
		like = func(value string) bool { return matchGlob(pattern, strings.ToLower(value)) }
	}
	parts := strings.Split(field, ".")
	return func(o *object) bool { return slices.ContainsFunc(allTexts(o, field, parts), like) }
}

func allTexts(o *object, field string, parts []string) []string {
	if field != "" {
		return valuesOf(o.body, parts)
	}
	var values []string
	for name := range o.body {
		values = append(values, valuesOf(o.body, []string{name})...)
	}
	return append(append(values, valuesOf(o.body, []string{"tags", "scope"})...), valuesOf(o.body, []string{"tags", "tag"})...)
}

// matchGlob is path.Match in which wildcards match slashes too.
func matchGlob(pattern, value string) bool {
	ok, err := path.Match(strings.ReplaceAll(pattern, "/", "\x00"), strings.ReplaceAll(value, "/", "\x00"))
	return err == nil && ok
}

// valuesOf returns the scalars beneath a dotted field as text. Lists are
// flattened, so that tags.scope and tags.tag of different tags mix, as they do
// in NSX's index.
func valuesOf(value any, parts []string) []string {
	switch v := value.(type) {
	case []any:
		var values []string
		for _, item := range v {
			values = append(values, valuesOf(item, parts)...)
		}
		return values
	case map[string]any:
		if len(parts) > 0 {
			return valuesOf(v[parts[0]], parts[1:])
		}
	case nil:
	default:
		if len(parts) == 0 {
			return []string{scalar(v)}
		}
	}
	return nil
}

func scalar(value any) string {
	switch v := value.(type) {
	case string:
		return v
	case bool:
		return strconv.FormatBool(v)
	case json.Number:
		return v.String()
	default:
		return strconv.FormatInt(asInt(v), 10)
	}
}
