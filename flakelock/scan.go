package flakelock

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

const (
	maxNesting = 32      // of JSON values inside attributes that are not ours
	maxString  = 2 << 10 // bytes; the longest real one is a URL of some 200
	maxMembers = 1 << 16 // of one object or array
	fewMembers = 12      // below this a linear search for duplicates beats a map
)

// ParseError is a lock file that was refused: where, and why.
type ParseError struct {
	Line, Column int    // 1-based; the column counts bytes
	Field        string // dotted path in the file, e.g. nodes.nixpkgs.locked.rev; may be empty
	Problem      string
}

func (e *ParseError) Error() string {
	if e.Field == "" {
		return fmt.Sprintf("line %d, column %d: %s", e.Line, e.Column, e.Problem)
	}
	return fmt.Sprintf("line %d, column %d: %s: %s", e.Line, e.Column, e.Field, e.Problem)
}

// scanner reads JSON as RFC 8259 has it and stricter: no duplicate names, only
// valid UTF-8, no characters that don't show. encoding/json lets the last of two
// equal names win, and matches names without regard to case; in a file that somebody
// else wrote both are ways to show one thing and mean another.
type scanner struct {
	src   string
	pos   int
	field []string // names from the outermost object in, for errors
}

// fail reports a problem at the byte offset at, within the current field.
func (s *scanner) fail(at int, format string, args ...any) error {
	before := s.src[:min(at, len(s.src))]
	return &ParseError{
		Line:    1 + strings.Count(before, "\n"),
		Column:  len(before) - strings.LastIndexByte(before, '\n'),
		Field:   fieldPath(s.field),
		Problem: fmt.Sprintf(format, args...),
	}
}

func fieldPath(names []string) string {
	short := make([]string, len(names))
	for i, n := range names {
		short[i] = clip(n)
	}
	return strings.Join(short, ".")
}

// clip keeps hostile strings from flooding a message.
func clip(s string) string {
	const most = 240
	if len(s) <= most {
		return s
	}
	cut := most
	for cut > 0 && !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + "…"
}

// next skips white space and returns the byte that follows, 0 at the end.
func (s *scanner) next() byte {
	for s.pos < len(s.src) {
		switch c := s.src[s.pos]; c {
		case ' ', '\n', '\t', '\r':
			s.pos++
		default:
			return c
		}
	}
	return 0
}

func (s *scanner) found() string {
	if s.pos >= len(s.src) {
		return "the end of the file"
	}
	r, _ := utf8.DecodeRuneInString(s.src[s.pos:])
	return strconv.QuoteRune(r)
}

// object calls member with each name; member must consume the value.
func (s *scanner) object(member func(name string) error) error {
	if s.next() != '{' {
		return s.fail(s.pos, "expected an object, found %s", s.found())
	}
	s.pos++
	if s.next() == '}' {
		s.pos++
		return nil
	}
	var seen names
	for {
		s.next()
		at := s.pos
		name, err := s.text()
		if err != nil {
			return err
		}
		if !seen.add(name) {
			return s.fail(at, "the name %q appears twice in one object", clip(name))
		}
		if seen.len() > maxMembers {
			return s.fail(at, "more than %d members in one object", maxMembers)
		}
		if s.next() != ':' {
			return s.fail(s.pos, "expected ':' after the name %q, found %s", clip(name), s.found())
		}
		s.pos++
		s.field = append(s.field, name)
		if err := member(name); err != nil {
			return err
		}
		s.field = s.field[:len(s.field)-1]
		if more, err := s.more('}'); !more {
			return err
		}
	}
}

// array calls element at each element, which must consume it.
func (s *scanner) array(element func() error) error {
	if s.next() != '[' {
		return s.fail(s.pos, "expected an array, found %s", s.found())
	}
	s.pos++
	if s.next() == ']' {
		s.pos++
		return nil
	}
	for n := 1; ; n++ {
		if n > maxMembers {
			return s.fail(s.pos, "more than %d elements in one array", maxMembers)
		}
		if err := element(); err != nil {
			return err
		}
		if more, err := s.more(']'); !more {
			return err
		}
	}
}

// more consumes a comma, or the closing byte.
func (s *scanner) more(closing byte) (bool, error) {
	switch s.next() {
	case ',':
		s.pos++
		return true, nil
	case closing:
		s.pos++
		return false, nil
	}
	return false, s.fail(s.pos, "expected ',' or '%c', found %s", closing, s.found())
}

// text reads a string.
func (s *scanner) text() (string, error) {
	if s.next() != '"' {
		return "", s.fail(s.pos, "expected a string, found %s", s.found())
	}
	start := s.pos + 1
	for i := start; i < len(s.src); i++ {
		switch c := s.src[i]; {
		case c == '"':
			if i-start > maxString {
				return "", s.fail(s.pos, "a string of more than %d bytes", maxString)
			}
			s.pos = i + 1
			return s.src[start:i], nil
		case c == '\\' || c < ' ' || c >= 0x7f:
			return s.textSlow(start, i)
		}
	}
	return "", s.fail(s.pos, "the string does not end")
}

// textSlow reads on at i a string that holds more than printable ASCII.
func (s *scanner) textSlow(start, i int) (string, error) {
	buf := []byte(s.src[start:i])
	for i < len(s.src) {
		if len(buf) > maxString {
			return "", s.fail(start-1, "a string of more than %d bytes", maxString)
		}
		if s.src[i] == '"' {
			s.pos = i + 1
			return string(buf), nil
		}
		r, size := utf8.DecodeRuneInString(s.src[i:])
		if r == utf8.RuneError && size <= 1 {
			return "", s.fail(i, "not valid UTF-8")
		}
		if r == '\\' {
			if r, size = unescape(s.src[i:]); size == 0 {
				return "", s.fail(i, "not a valid escape in a string")
			}
		}
		if !unicode.IsPrint(r) {
			return "", s.fail(i, "the character %U does not show and is not allowed in a lock file", r)
		}
		buf = utf8.AppendRune(buf, r)
		i += size
	}
	return "", s.fail(start-1, "the string does not end")
}

// unescape decodes the escape that s begins with; size 0 means that it is none.
func unescape(s string) (r rune, size int) {
	if len(s) < 2 {
		return 0, 0
	}
	switch s[1] {
	case '"', '\\', '/':
		return rune(s[1]), 2
	case 'b', 'f', 'n', 'r', 't':
		return rune(s[1] - 'a' + 1), 2 // any control character: the caller refuses it
	case 'u':
		r, ok := hex4(s)
		if !ok {
			return 0, 0
		}
		if !utf16.IsSurrogate(r) {
			return r, 6
		}
		low, ok := hex4(s[6:])
		if r = utf16.DecodeRune(r, low); !ok || r == utf8.RuneError {
			return 0, 0
		}
		return r, 12
	}
	return 0, 0
}

func hex4(s string) (rune, bool) {
	if len(s) < 6 || s[0] != '\\' || s[1] != 'u' {
		return 0, false
	}
	n, err := strconv.ParseUint(s[2:6], 16, 16)
	return rune(n), err == nil
}

// scalar reads a string, an unsigned whole number or a boolean. Nix takes nothing
// else as an attribute of an input.
func (s *scanner) scalar() (attr, error) {
	c := s.next()
	switch {
	case c == '"':
		t, err := s.text()
		return attr{kind: textAttr, value: t}, err
	case strings.HasPrefix(s.src[s.pos:], "true"):
		s.pos += len("true")
		return attr{kind: boolAttr, value: "true"}, nil
	case strings.HasPrefix(s.src[s.pos:], "false"):
		s.pos += len("false")
		return attr{kind: boolAttr, value: "false"}, nil
	case c >= '0' && c <= '9':
		n, err := s.digits()
		return attr{kind: numberAttr, value: n}, err
	}
	return attr{}, s.fail(s.pos, "expected a string, a whole number or a boolean, found %s", s.found())
}

// digits reads an unsigned number that fits 64 bits, without fraction or exponent.
func (s *scanner) digits() (string, error) {
	s.next()
	start := s.pos
	for s.pos < len(s.src) && s.src[s.pos] >= '0' && s.src[s.pos] <= '9' {
		s.pos++
	}
	n := s.src[start:s.pos]
	if _, err := strconv.ParseUint(n, 10, 64); err != nil || (len(n) > 1 && n[0] == '0') {
		return "", s.fail(start, "expected an unsigned whole number")
	}
	if s.pos < len(s.src) && strings.IndexByte(".eE", s.src[s.pos]) >= 0 {
		return "", s.fail(start, "expected a whole number, not a fraction")
	}
	return n, nil
}

// raw checks any value and returns its text as it stands.
func (s *scanner) raw(depth int) (string, error) {
	c, start := s.next(), s.pos
	if depth > maxNesting {
		return "", s.fail(start, "nested deeper than %d", maxNesting)
	}
	var err error
	switch {
	case c == '{':
		err = s.object(func(string) error { _, err := s.raw(depth + 1); return err })
	case c == '[':
		err = s.array(func() error { _, err := s.raw(depth + 1); return err })
	case strings.HasPrefix(s.src[s.pos:], "null"):
		s.pos += len("null")
	default:
		_, err = s.scalar()
	}
	if err != nil {
		return "", err
	}
	return s.src[start:s.pos], nil
}

// names is a set that is cheap while it is small.
type names struct {
	few  []string
	many map[string]struct{}
	buf  [fewMembers]string
}

func (n *names) len() int { return max(len(n.few), len(n.many)) }

// add reports whether the name is new.
func (n *names) add(name string) bool {
	if n.many != nil {
		if _, dup := n.many[name]; dup {
			return false
		}
		n.many[name] = struct{}{}
		return true
	}
	for _, have := range n.few {
		if have == name {
			return false
		}
	}
	if n.few == nil {
		n.few = n.buf[:0]
	}
	if len(n.few) < fewMembers {
		n.few = append(n.few, name)
		return true
	}
	n.many = make(map[string]struct{}, 4*fewMembers)
	for _, have := range n.few {
		n.many[have] = struct{}{}
	}
	n.many[name] = struct{}{}
	return true
}
