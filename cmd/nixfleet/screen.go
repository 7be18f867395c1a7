package main

import (
	"fmt"
	"io"
	"strings"
)

// screen shows a text that changes: redrawn in place on a terminal; elsewhere the lines
// that are new are appended.
type screen struct {
	e     *env
	lines int             // drawn, in place
	said  map[string]bool // lines of the text before
}

func newScreen(e *env) *screen { return &screen{e: e} }

// show replaces what was shown. On a terminal at most a screenful is drawn: what has
// scrolled away can't be redrawn.
func (s *screen) show(text string) error {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	if !terminal(s.e.out) {
		return s.append(lines)
	}
	wide, high := screenSize(s.e.out)
	if len(lines) >= high {
		more := len(lines) - high + 2
		lines = append(lines[:high-2:high-2], fmt.Sprintf("… and %d more lines; a larger window shows them", more))
	}
	var b strings.Builder
	if s.lines > 0 {
		fmt.Fprintf(&b, "\x1b[%dA\r", s.lines)
	}
	for _, line := range lines {
		if !strings.Contains(line, "\x1b[") { // what is coloured was made to fit
			line = cut(line, wide)
		}
		b.WriteString(line + "\x1b[K\n")
	}
	b.WriteString("\x1b[J")
	s.lines = len(lines)
	_, err := io.WriteString(s.e.out, b.String())
	return err
}

func (s *screen) append(lines []string) error {
	said := make(map[string]bool, len(lines))
	var b strings.Builder
	for _, line := range lines {
		if said[line] = true; !s.said[line] && line != "" {
			fmt.Fprintln(&b, line)
		}
	}
	s.said = said
	_, err := io.WriteString(s.e.out, b.String())
	return err
}
