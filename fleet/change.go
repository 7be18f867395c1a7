package fleet

import (
	"fmt"
	"slices"
	"strings"
)

// Lines says in words what a change does: a line for each package, greatest first,
// what was left out, and what becomes of the whole closure.
func (c Change) Lines() []string {
	var lines []string
	for _, p := range c.Packages {
		lines = append(lines, p.line())
	}
	if c.More > 0 {
		lines = append(lines, fmt.Sprintf("and %d more", c.More))
	}
	switch {
	case c.SizeTo == 0:
	case c.SizeFrom == 0:
		lines = append(lines, "closure: "+Size(c.SizeTo))
	case len(lines) == 0 && c.SizeFrom == c.SizeTo:
		lines = append(lines, "no package changes; closure: "+Size(c.SizeTo))
	default:
		lines = append(lines, "closure: "+Size(c.SizeFrom)+" → "+Size(c.SizeTo)+grown(c.SizeTo-c.SizeFrom))
	}
	return lines
}

func (p PackageChange) line() string {
	switch {
	case len(p.From) == 0:
		return strings.TrimSpace("added "+p.Name+" "+listed(p.To)) + grown(p.Bytes)
	case len(p.To) == 0:
		return strings.TrimSpace("removed "+p.Name+" "+listed(p.From)) + grown(p.Bytes)
	case !slices.Equal(p.From, p.To):
		return p.Name + ": " + named(p.From) + " → " + named(p.To) + grown(p.Bytes)
	}
	return strings.TrimSpace(p.Name+" "+listed(p.To)) + ": rebuilt" + grown(p.Bytes)
}

// listed are versions in one line, without those that have no name.
func listed(versions []string) string {
	return strings.Join(slices.DeleteFunc(slices.Clone(versions), func(v string) bool { return v == "" }), ", ")
}

// named is listed with a word for what has no version at all.
func named(versions []string) string {
	if text := listed(versions); text != "" {
		return text
	}
	return "no version"
}

// grown is by how much something grew, for the end of a line; nothing for nothing.
func grown(bytes int64) string {
	switch {
	case bytes > 0:
		return ", +" + Size(bytes)
	case bytes < 0:
		return ", -" + Size(-bytes)
	}
	return ""
}

// Size is a number of bytes for people: 512 B, 12.3 KiB, 1.2 GiB.
func Size(bytes int64) string {
	if bytes < 1024 {
		return fmt.Sprintf("%d B", bytes)
	}
	value, unit := float64(bytes), 0
	for value >= 1023.95 && unit < 6 { // what rounds to 1024.0 is one of the next unit
		value, unit = value/1024, unit+1
	}
	return fmt.Sprintf("%.1f %ciB", value, "KMGTPE"[unit-1])
}
