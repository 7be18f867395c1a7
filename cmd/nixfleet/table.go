package main

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
	"unicode/utf8"
)

// table prints rows under a heading, in columns that fit w; what is too long for a
// line is cut at its end. Cells come from strangers and are cleaned.
func table(w io.Writer, heading string, rows [][]string) error {
	var text bytes.Buffer
	t := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(t, strings.ReplaceAll(heading, " ", "\t"))
	for _, r := range rows {
		for i := range r {
			r[i] = clean(r[i])
		}
		_, _ = fmt.Fprintln(t, strings.Join(r, "\t"))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	columns := width(w)
	var b strings.Builder
	for line := range strings.Lines(text.String()) {
		fmt.Fprintln(&b, cut(strings.TrimRight(line, " \n"), columns))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// cut shortens a line to so many columns.
func cut(line string, columns int) string {
	if utf8.RuneCountInString(line) <= columns {
		return line
	}
	return string([]rune(line)[:columns-1]) + "…"
}

// moment is a time as tables show it.
func moment(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02 15:04")
}

func short(commit string) string { return fmt.Sprintf("%.7s", commit) }
