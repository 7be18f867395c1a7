package policyfile

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"
)

// reader collects the problems of one file.
type reader struct{ problems []Problem }

// value is a place in the file: a node and the path that leads to it.
type value struct {
	r    *reader
	path string
	node ast.Node
}

func (v value) at(path string, node ast.Node) value {
	if v.path != "" && !strings.HasPrefix(path, "[") {
		path = "." + path
	}
	return value{v.r, v.path + path, node}
}

// refuse reports what was found at v instead of what is allowed.
func (v value) refuse(found, allowed string) {
	p := Problem{Field: v.path, Found: found, Allowed: allowed}
	if t := v.node.GetToken(); t != nil && t.Position != nil {
		p.Line, p.Column = t.Position.Line, t.Position.Column
	}
	if m, ok := v.node.(*ast.MappingNode); ok && !m.IsFlowStyle && len(m.Values) > 0 {
		if t := m.Values[0].Key.GetToken(); t != nil && t.Position != nil { // a block's own token is a colon
			p.Line, p.Column = t.Position.Line, t.Position.Column
		}
	}
	v.r.problems = append(v.r.problems, p)
}

func (v value) expected(allowed string) { v.refuse("found "+found(v.node), allowed) }

// found describes a node in words.
func found(n ast.Node) string {
	switch n := n.(type) {
	case *ast.NullNode:
		return "nothing"
	case *ast.MappingNode, *ast.MappingValueNode:
		return "a mapping"
	case *ast.SequenceNode:
		return "a list"
	case *ast.AnchorNode:
		return "an anchor (&)"
	case *ast.AliasNode:
		return "an alias (*)"
	case *ast.TagNode:
		return "a tag (!)"
	case *ast.StringNode:
		return fmt.Sprintf("%q", clip(n.Value))
	case *ast.LiteralNode:
		return fmt.Sprintf("%q", clip(n.Value.Value))
	}
	if t := n.GetToken(); t != nil {
		return clip(t.Value)
	}
	return "something else"
}

func clip(s string) string {
	const most = 80
	if r := []rune(s); len(r) > most {
		return string(r[:most]) + "…"
	}
	return s
}

// object reads a mapping: each key has its reader, others are refused, and so is a
// key that comes twice.
func (v value) object(keys map[string]func(value)) {
	var entries []*ast.MappingValueNode
	switch n := v.node.(type) {
	case *ast.MappingNode:
		entries = n.Values
	case *ast.MappingValueNode:
		entries = []*ast.MappingValueNode{n}
	default:
		v.expected("a mapping with " + words(keys))
		return
	}
	seen := map[string]bool{}
	for _, e := range entries {
		key, plain := e.Key.(*ast.StringNode)
		if !plain {
			v.at("", e.Key).refuse("found a key that is not plain text", "one of "+words(keys))
			continue
		}
		read, known := keys[key.Value]
		switch at := v.at(clip(key.Value), e.Key); {
		case !known:
			at.refuse("unknown key", "one of "+words(keys))
		case seen[key.Value]:
			at.refuse("the key is given twice", "each key once")
		default:
			seen[key.Value] = true
			read(v.at(key.Value, e.Value))
		}
	}
}

func words[T any](keys map[string]T) string {
	return strings.Join(slices.Sorted(maps.Keys(keys)), ", ")
}

// list reads a list of at most so many entries.
func (v value) list(most int, each func(value)) {
	s, ok := v.node.(*ast.SequenceNode)
	if !ok {
		v.expected("a list")
		return
	}
	if len(s.Values) > most {
		v.refuse(fmt.Sprintf("found %d entries", len(s.Values)), fmt.Sprintf("at most %d", most))
		return
	}
	for i, n := range s.Values {
		each(v.at(fmt.Sprintf("[%d]", i), n))
	}
}

// scalar is the text of a plain value. Numbers count where numbers is set.
func (v value) scalar(numbers bool) (string, bool) {
	switch n := v.node.(type) {
	case *ast.StringNode:
		return n.Value, true
	case *ast.LiteralNode:
		return n.Value.Value, true
	case *ast.IntegerNode:
		if numbers && n.Token != nil {
			return n.Token.Value, true
		}
	}
	return "", false
}

// text reads text that check finds no fault with; what says what is allowed.
func (v value) text(dst *string, what string, check func(string) bool) {
	s, ok := v.scalar(false)
	if !ok || !check(s) {
		v.expected(what)
		return
	}
	*dst = s
}

// texts reads a list of texts, each only once.
func (v value) texts(dst *[]string, what string, check func(string) bool) {
	all := []string{}
	v.list(maxList, func(e value) {
		var s string
		before := len(e.r.problems)
		e.text(&s, what, check)
		switch {
		case len(e.r.problems) > before:
		case slices.Contains(all, s):
			e.refuse(fmt.Sprintf("%q is listed twice", clip(s)), "each entry once")
		default:
			all = append(all, s)
		}
	})
	*dst = all
}

// maxList bounds every list of a policy file.
const maxList = 200

func (v value) oneOf(dst *string, allowed ...string) {
	v.text(dst, strings.Join(allowed[:len(allowed)-1], ", ")+" or "+allowed[len(allowed)-1], func(s string) bool {
		return slices.Contains(allowed, s)
	})
}

func (v value) boolean(dst *bool) {
	b, ok := v.node.(*ast.BoolNode)
	if !ok {
		v.expected("true or false")
		return
	}
	*dst = b.Value
}

func (v value) whole(dst *int, least, most int) {
	if n, ok := v.node.(*ast.IntegerNode); ok {
		if u, ok := n.Value.(uint64); ok && u <= math.MaxInt32 && int(u) >= least && int(u) <= most {
			*dst = int(u)
			return
		}
	}
	v.expected(fmt.Sprintf("a whole number from %d to %d", least, most))
}

func (v value) duration(dst *time.Duration, least, most time.Duration) {
	s, ok := v.scalar(true)
	d, err := parseDuration(s)
	switch {
	case !ok || err != nil:
		v.expected("a duration like 90s, 10m, 1h30m or 2d")
	case d < least || d > most:
		v.refuse("found "+s, fmt.Sprintf("a duration from %s to %s", short(least), short(most)))
	default:
		*dst = d
	}
}
