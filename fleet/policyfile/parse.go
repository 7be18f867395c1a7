package policyfile

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"

	"github.com/nixfleet/nixfleet/fleet"
)

// Limits of a policy file. A long real one has 4 KiB; the rest keeps the YAML
// parser, whose time grows with the square of the nesting, from being a target.
const (
	MaxSize     = 64 << 10 // bytes
	maxLine     = 4000     // bytes
	maxBrackets = 1000     // opening brackets in the whole file
)

// Parse reads a policy file. Settings that it leaves out have the value of
// fleet.DefaultPolicy. name is how errors call the file. The error is an [*Error];
// the policy is then of no use.
func Parse(data []byte, name string) (fleet.Policy, error) {
	if problem := fit(data); problem != nil {
		return fleet.Policy{}, failure(name, []Problem{*problem})
	}
	file, err := parser.ParseBytes(data, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		return fleet.Policy{}, failure(name, []Problem{syntax(err)})
	}
	r := &reader{}
	policy := fleet.DefaultPolicy()
	root, problem := document(file)
	if problem != nil {
		return fleet.Policy{}, failure(name, []Problem{*problem})
	}
	readPolicy(value{r: r, node: root}, &policy)
	if err := failure(name, r.problems); err != nil {
		return fleet.Policy{}, err
	}
	return policy, nil
}

// fit refuses what the YAML parser should not even see.
func fit(data []byte) *Problem {
	switch {
	case len(data) > MaxSize:
		return &Problem{Found: fmt.Sprintf("the file has %d bytes", len(data)), Allowed: fmt.Sprintf("at most %d", MaxSize)}
	case !utf8.Valid(data):
		return &Problem{Found: "the file is not text in UTF-8"}
	case bytes.Count(data, []byte("["))+bytes.Count(data, []byte("{")) > maxBrackets:
		return &Problem{Found: "the file has too many brackets", Allowed: fmt.Sprintf("at most %d", maxBrackets)}
	}
	number := 0
	for line := range bytes.Lines(data) {
		if number++; len(line) > maxLine {
			return &Problem{Line: number, Column: 1, Found: fmt.Sprintf("the line has %d bytes", len(line)), Allowed: fmt.Sprintf("at most %d", maxLine)}
		}
	}
	return nil
}

func syntax(err error) Problem {
	var s *yaml.SyntaxError
	if !errors.As(err, &s) {
		return Problem{Found: "this is not YAML: " + clip(err.Error())}
	}
	p := Problem{Found: "this is not YAML: " + clip(s.Message)}
	if s.Token != nil && s.Token.Position != nil {
		p.Line, p.Column = s.Token.Position.Line, s.Token.Position.Column
	}
	return p
}

// document is the one document of the file.
func document(file *ast.File) (ast.Node, *Problem) {
	var root ast.Node
	for _, d := range file.Docs {
		if d == nil || d.Body == nil {
			continue
		}
		if root != nil {
			p := Problem{Found: "the file has more than one document", Allowed: "one"}
			if t := d.Body.GetToken(); t != nil && t.Position != nil {
				p.Line, p.Column = t.Position.Line, t.Position.Column
			}
			return nil, &p
		}
		root = d.Body
	}
	if root == nil {
		return nil, &Problem{Found: "the file is empty", Allowed: strings.TrimSpace(`"version: 1" and settings`)}
	}
	return root, nil
}
