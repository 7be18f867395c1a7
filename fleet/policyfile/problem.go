package policyfile

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Problem is one thing that is wrong in a policy file.
type Problem struct {
	Line, Column int    // 1-based; 0 where the file as a whole is meant
	Field        string // path of the setting, e.g. updates.auto_merge.hold; may be empty
	Found        string // what stands there, in words
	Allowed      string // what may stand there, in words; may be empty
}

// Error lists the problems of one policy file, in the order of the file.
type Error struct {
	Name     string // of the file, as it was given
	Problems []Problem
}

// maxProblems bounds what is reported of one file: more do not help anybody.
const maxProblems = 20

// Error is one line for each problem: file:line:column: field: found …, expected ….
func (e *Error) Error() string {
	lines := make([]string, 0, len(e.Problems))
	for _, p := range e.Problems {
		lines = append(lines, p.text(e.Name))
	}
	return strings.Join(lines, "\n")
}

func (p Problem) text(name string) string {
	var b strings.Builder
	b.WriteString(name)
	if p.Line > 0 {
		fmt.Fprintf(&b, ":%d:%d", p.Line, p.Column)
	}
	b.WriteString(": ")
	if p.Field != "" {
		b.WriteString(p.Field + ": ")
	}
	b.WriteString(p.Found)
	if p.Allowed != "" {
		b.WriteString(", expected " + p.Allowed)
	}
	return b.String()
}

// failure makes an error of problems, nil where there are none.
func failure(name string, problems []Problem) error {
	if len(problems) == 0 {
		return nil
	}
	slices.SortStableFunc(problems, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	if len(problems) > maxProblems {
		problems = problems[:maxProblems]
	}
	return &Error{Name: name, Problems: problems}
}
