package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"unicode"

	"github.com/mattn/go-runewidth"
	"golang.org/x/term"
)

// proseWidth is how wide sentences are where there is no terminal to ask, in columns.
const proseWidth = 100

// screenSize is how large the terminal behind w is; 0 where there is none.
func screenSize(w io.Writer) (columns, lines int) {
	f, ok := w.(*os.File)
	if !ok {
		return 0, 0
	}
	columns, lines, err := term.GetSize(int(f.Fd()))
	if err != nil {
		return 0, 0
	}
	return max(columns, 40), max(lines, 10)
}

// width is how wide sentences for w may be.
func width(w io.Writer) int {
	if columns, _ := screenSize(w); columns > 0 {
		return columns
	}
	return proseWidth
}

// terminal reports whether w is one, so that escape sequences stay out of files.
func terminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// colourful reports whether w shows colours: a terminal does, unless NO_COLOR or a dumb
// TERM says otherwise; FORCE_COLOR has the last word.
func colourful(w io.Writer) bool {
	if force := os.Getenv("FORCE_COLOR"); force != "" {
		return force != "0"
	}
	return terminal(w) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
}

// tones of what is shown. Colour only says again what a word or an icon says.
const (
	plain  = ""
	green  = "32"
	yellow = "33"
	red    = "31"
	blue   = "34"
	grey   = "90"
	bold   = "1"
)

// paint colours text where that is wanted.
func (e *env) paint(tone, text string) string {
	if tone == plain || text == "" || !colourful(e.out) {
		return text
	}
	return "\x1b[" + tone + "m" + text + "\x1b[0m"
}

// iconTones are the colours of the icons with which texts begin.
var iconTones = map[rune]string{'✓': green, '▲': yellow, '✗': red, '?': grey, '◌': blue, '·': grey, '…': blue, '!': yellow}

// stateTones are the colours of words for states.
var stateTones = map[string]string{
	"healthy": green, "succeeded": green, "merged": green, "rolled back": green, "rolled_back": green, "ready": green,
	"failed": red, "reverted": red, "halted": red, "failing": red, "blocked": red, "conflict": red, "wrong": red,
	"paused": yellow, "aborted": yellow, "offline": grey, "deferred": yellow, "holding": yellow, "note": yellow, "rolling back": yellow,
	"running": blue, "merging": blue, "checks": blue, "received": blue, "fetching": blue, "building": blue, "switching": blue, "verifying": blue,
	"closed": grey, "superseded": grey, "cancelled": grey, "excluded": grey, "waiting": grey, "planned": grey, "ok": green, "unknown": grey,
}

// toneOf is the colour of a text by its icon or its word.
func toneOf(text string) string {
	for _, r := range text {
		if tone, ok := iconTones[r]; ok {
			return tone
		}
		break
	}
	return stateTones[text]
}

// stateIcons say with one sign what a state means.
var stateIcons = map[string]string{green: "✓", red: "✗", yellow: "▲", blue: "◌", grey: "·"}

// icon is the sign of a state, where there is a terminal to show it on.
func (e *env) icon(state string) string {
	sign := stateIcons[stateTones[state]]
	if sign == "" || !terminal(e.out) {
		return ""
	}
	return sign + " "
}

// cells is how many columns of a terminal a text takes.
func cells(s string) int { return runewidth.StringWidth(s) }

// cut shortens a line to so many columns; 0 means as long as it is.
func cut(line string, columns int) string {
	if columns <= 0 || cells(line) <= columns {
		return line
	}
	return runewidth.Truncate(line, columns, "…")
}

// wrap writes text behind an indent, broken between words so that it fits.
func wrap(b *strings.Builder, indent, text string, columns int) {
	line := indent
	for word := range strings.FieldsSeq(text) {
		if line != indent && cells(line)+1+cells(word) > columns {
			fmt.Fprintln(b, strings.TrimRight(line, " "))
			indent = strings.Repeat(" ", cells(indent))
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
