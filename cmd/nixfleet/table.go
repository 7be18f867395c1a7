package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

// column is one of a table.
type column struct {
	name  string
	drop  int  // is left out as the n-th where the terminal is too narrow; 0: never
	prose bool // may be shortened, down to proseLeast
}

// proseLeast is how much of a sentence is shown at least.
const proseLeast = 24

// columns reads a heading: "STATE" is a column, "TAGS~1" one that is left out first
// where the terminal is too narrow, "NOTE…" one whose texts are shortened before that.
func columns(heading string) []column {
	var list []column
	for word := range strings.FieldsSeq(heading) {
		c := column{name: word}
		if name, n, ok := strings.Cut(word, "~"); ok {
			c.name = name
			c.drop, _ = strconv.Atoi(strings.TrimSuffix(n, "…")) // headings are constants
		}
		c.prose = strings.HasSuffix(word, "…")
		c.name = strings.TrimSuffix(c.name, "…")
		list = append(list, c)
	}
	return list
}

// table prints rows under a heading, see columns. On a terminal it fits; elsewhere
// nothing is left out. Cells come from strangers and are cleaned.
func table(e *env, heading string, rows [][]string) error {
	_, err := io.WriteString(e.out, e.table(heading, rows))
	return err
}

// table is the text of a table.
func (e *env) table(heading string, rows [][]string) string {
	list := columns(heading)
	widths := make([]int, len(list))
	for i := range list {
		for _, row := range rows {
			row[i] = clean(row[i])
			widths[i] = max(widths[i], cells(row[i]))
		}
	}
	room, _ := screenSize(e.out)
	if e.columns > 0 {
		room = e.columns
	}
	fit(list, widths, room)
	var b strings.Builder
	line := func(cell func(i int) (text, tone string)) {
		text, used := "", 0
		for i := range list {
			if widths[i] < 0 {
				continue
			}
			what, tone := cell(i)
			what = cut(what, widths[i])
			text += strings.Repeat(" ", used) + e.paint(tone, what)
			used = widths[i] - cells(what) + 2
		}
		fmt.Fprintln(&b, strings.TrimRight(text, " "))
	}
	line(func(i int) (string, string) { return list[i].name, bold })
	for _, row := range rows {
		line(func(i int) (string, string) { return row[i], tones(list[i].name, row[i]) })
	}
	return b.String()
}

// tones are the colours of cells that say how something is.
func tones(column, text string) string {
	switch column {
	case "STATE", "GIT", "LOCK", "SYSTEM", "HOST":
		return toneOf(text)
	}
	return plain
}

// fit makes the widths of texts those of columns, which add up to what there is room
// for; 0 is any. A column that is left out is -1 wide: an empty one before all others.
func fit(list []column, widths []int, room int) {
	empty := make([]bool, len(list))
	for i, c := range list {
		empty[i] = widths[i] == 0
		widths[i] = max(widths[i], cells(c.name))
	}
	if room == 0 {
		return
	}
	least := func() (sum int) {
		sum = -2
		for i, c := range list {
			if widths[i] < 0 {
				continue
			}
			w := widths[i]
			if c.prose {
				w = min(w, max(proseLeast, cells(c.name)))
			}
			sum += w + 2
		}
		return sum
	}
	for n := 0; n <= len(list) && least() > room; n++ {
		for i, c := range list {
			if n == 0 && empty[i] || n > 0 && c.drop == n {
				widths[i] = -1
			}
		}
	}
	left := room - least()
	for i, c := range list {
		if widths[i] < 0 || !c.prose {
			continue
		}
		w := min(widths[i], max(proseLeast, cells(c.name)))
		more := max(0, min(widths[i]-w, left))
		widths[i], left = w+more, left-more
	}
	for i := len(list) - 1; i >= 0 && left < 0; i-- { // nothing helps but to cut what is there
		if widths[i] > 6 {
			less := min(widths[i]-6, -left)
			widths[i], left = widths[i]-less, left+less
		}
	}
}

// say is sentences that fit.
func (e *env) say(text string) string {
	var b strings.Builder
	wrap(&b, "", text, width(e.out))
	return b.String()
}

// moment is a time as tables show it.
func moment(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02 15:04")
}

// span is a duration as people say it, in its two largest units.
func span(d time.Duration) string {
	d = max(0, d).Truncate(time.Second)
	switch {
	case d >= 48*time.Hour:
		return fmt.Sprintf("%dd", d/(24*time.Hour))
	case d >= time.Hour:
		return fmt.Sprintf("%dh%02dm", d/time.Hour, d%time.Hour/time.Minute)
	case d >= time.Minute:
		return fmt.Sprintf("%dm%02ds", d/time.Minute, d%time.Minute/time.Second)
	}
	return fmt.Sprintf("%ds", d/time.Second)
}

func short(commit string) string { return fmt.Sprintf("%.7s", commit) }
