package fleet

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Selector picks hosts. Its language (SPEC 8): all, the name of a host, tag:x,
// platform:nixos|darwin|home, joined with not, and, or and parentheses; not binds
// tightest, or loosest. The zero Selector picks nobody.
type Selector struct {
	text  string
	match func(Host) bool
}

// MaxSelector is how many bytes a selector may have. Beyond its limits it is no
// selector but an attack.
const MaxSelector = 1000

const maxSelectorDepth = 50 // nested parentheses and nots

var (
	hostName  = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,62}$`)
	tagName   = regexp.MustCompile(`^[A-Za-z0-9._-]{1,63}$`)
	platforms = []string{"nixos", "darwin", "home"}
)

// ParseSelector reads a selector. The error names the place (counted in bytes
// from 1), what was found there and what may stand there.
func ParseSelector(text string) (Selector, error) {
	if len(text) > MaxSelector {
		return Selector{}, fmt.Errorf("the selector has %d bytes, at most %d are allowed", len(text), MaxSelector)
	}
	p := selectorParser{text: text}
	p.advance()
	match, err := p.or(0)
	if err != nil {
		return Selector{}, err
	}
	if p.word != "" {
		return Selector{}, p.unexpected("and, or, or the end")
	}
	return Selector{text: text, match: match}, nil
}

// Match reports whether h is picked.
func (s Selector) Match(h Host) bool { return s.match != nil && s.match(h) }

// String is the selector as it was written.
func (s Selector) String() string { return s.text }

// selectorParser is a recursive descent over words; word is the current one, at
// byte offset at, and empty at the end.
type selectorParser struct {
	text string
	word string
	at   int
	end  int
}

func (p *selectorParser) advance() {
	i := p.end
	for i < len(p.text) && strings.IndexByte(" \t\r\n", p.text[i]) >= 0 {
		i++
	}
	j := i
	for j < len(p.text) && strings.IndexByte(" \t\r\n()", p.text[j]) < 0 {
		j++
	}
	if j == i && i < len(p.text) {
		j++ // a parenthesis stands for itself
	}
	p.word, p.at, p.end = p.text[i:j], i, j
}

func (p *selectorParser) unexpected(want string) error {
	found := "the end"
	if p.word != "" {
		found = fmt.Sprintf("%q", p.word)
	}
	return fmt.Errorf("at character %d: found %s, expected %s", p.at+1, found, want)
}

func (p *selectorParser) or(depth int) (func(Host) bool, error) {
	left, err := p.and(depth)
	for err == nil && p.word == "or" {
		p.advance()
		a, b := left, (func(Host) bool)(nil)
		if b, err = p.and(depth); err == nil {
			left = func(h Host) bool { return a(h) || b(h) }
		}
	}
	return left, err
}

func (p *selectorParser) and(depth int) (func(Host) bool, error) {
	left, err := p.not(depth)
	for err == nil && p.word == "and" {
		p.advance()
		a, b := left, (func(Host) bool)(nil)
		if b, err = p.not(depth); err == nil {
			left = func(h Host) bool { return a(h) && b(h) }
		}
	}
	return left, err
}

func (p *selectorParser) not(depth int) (func(Host) bool, error) {
	if depth > maxSelectorDepth {
		return nil, fmt.Errorf("at character %d: nested more than %d deep", p.at+1, maxSelectorDepth)
	}
	switch p.word {
	case "not":
		p.advance()
		inner, err := p.not(depth + 1)
		if err != nil {
			return nil, err
		}
		return func(h Host) bool { return !inner(h) }, nil
	case "(":
		p.advance()
		inner, err := p.or(depth + 1)
		if err != nil {
			return nil, err
		}
		if p.word != ")" {
			return nil, p.unexpected("and, or, or )")
		}
		p.advance()
		return inner, nil
	default:
		return p.term()
	}
}

const selectorTerms = "all, the name of a host, tag:NAME, platform:nixos|darwin|home, not, or ("

func (p *selectorParser) term() (func(Host) bool, error) {
	kind, value, named := strings.Cut(p.word, ":")
	var match func(Host) bool
	switch {
	case p.word == "all":
		match = func(Host) bool { return true }
	case named && kind == "tag" && tagName.MatchString(value):
		match = func(h Host) bool { return slices.Contains(h.Tags, value) }
	case named && kind == "platform" && slices.Contains(platforms, value):
		match = func(h Host) bool { return h.Platform() == value }
	case !named && hostName.MatchString(p.word) && p.word != "and" && p.word != "or":
		name := p.word
		match = func(h Host) bool { return h.Name == name }
	default:
		return nil, p.unexpected(selectorTerms)
	}
	p.advance()
	return match, nil
}
