package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/term"
)

// fallbackWidth is how wide text is where there is no terminal to ask, in columns.
const fallbackWidth = 100

// width is how many columns w has.
func width(w io.Writer) int {
	if f, ok := w.(*os.File); ok {
		if columns, _, err := term.GetSize(int(f.Fd())); err == nil && columns >= 40 {
			return columns
		}
	}
	return fallbackWidth
}

// wrap writes text behind an indent, broken between words so that it fits.
func wrap(b *strings.Builder, indent, text string, columns int) {
	line := indent
	for word := range strings.FieldsSeq(text) {
		if line != indent && utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > columns {
			fmt.Fprintln(b, strings.TrimRight(line, " "))
			indent = strings.Repeat(" ", utf8.RuneCountInString(indent))
			line = indent
		}
		if line != indent {
			line += " "
		}
		line += word
	}
	fmt.Fprintln(b, line)
}

// clean takes out what a terminal would take for an order. Titles and messages come
// from strangers.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) {
			return ' '
		}
		return r
	}, s)
}
