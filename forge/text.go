package forge

import (
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// oneLine makes outside text fit for one line of at most limit bytes: no control
// characters, no line breaks, nothing that turns the direction of writing.
func oneLine(s string, limit int) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsControl(r), unicode.In(r, unicode.Zl, unicode.Zp):
			return ' '
		case unicode.Is(unicode.Bidi_Control, r):
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD"))
	return cut(s, limit)
}

// cut shortens s to at most limit bytes, between two characters.
func cut(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	for limit > 0 && !utf8.RuneStart(s[limit]) {
		limit--
	}
	return s[:limit]
}

// maxText bounds a sentence, which may hold a list of names.
const maxText = 600

// escapes makes each character that Markdown, HTML or a table could act on an
// entity, which none of them acts on.
var escapes = func() *strings.Replacer {
	var pairs []string
	for _, c := range "&<>|\\`*_[]{}()#!~:\"'$@" {
		pairs = append(pairs, string(c), fmt.Sprintf("&#%d;", c))
	}
	return strings.NewReplacer(append(pairs, "www.", "www&#46;")...)
}()

// mentions keeps GitHub, which links after the entities are resolved, from
// notifying people and from linking issues.
var mentions = strings.NewReplacer("@", "@\u200b", "#", "#\u200b")

// text is outside text as plain words.
func text(s string) string {
	return escapes.Replace(mentions.Replace(oneLine(s, maxText)))
}

// code is an outside value as code, in which GitHub links nothing.
func code(s string) string {
	if s = strings.TrimSpace(oneLine(s, maxValue)); s == "" {
		return "–"
	}
	return "<code>" + escapes.Replace(s) + "</code>"
}

var terminalCodes = regexp.MustCompile(`\x1b(\[[0-9;?]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)?)`)

// fence is the end of a log as a code block that the log can't close.
func fence(log string) string {
	log = strings.ToValidUTF8(terminalCodes.ReplaceAllString(log, ""), "\uFFFD")
	log = strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' {
			return r
		}
		if unicode.IsControl(r) || unicode.In(r, unicode.Bidi_Control, unicode.Zl, unicode.Zp) {
			return -1
		}
		return r
	}, log)
	if len(log) > maxTail {
		log = strings.ToValidUTF8(log[len(log)-maxTail:], "")
		_, log, _ = strings.Cut(log, "\n")
	}
	run, longest := 0, 2
	for _, r := range log {
		if r != '`' {
			run = 0
			continue
		}
		run++
		longest = max(longest, run)
	}
	bar := strings.Repeat("`", longest+1)
	return bar + "text\n" + strings.Trim(log, "\n") + "\n" + bar
}

// maxLink bounds the address of a link; two revisions take 80 bytes of it.
const maxLink = 500

var linkEscapes = strings.NewReplacer("(", "%28", ")", "%29", "|", "%7C", "<", "%3C", ">", "%3E", `"`, "%22", "`", "%60",
	"&", "&amp;", "\\", "%5C", "[", "%5B", "]", "%5D", "'", "%27", "*", "%2A", "_", "%5F", "@", "%40", "!", "%21")

// safeURL is an address fit for a link, or nothing.
func safeURL(address string) string {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.User != nil || (u.Scheme != "https" && u.Scheme != "http") {
		return ""
	}
	link := u.String()
	for _, c := range []byte(link) {
		if c <= ' ' || c > '~' {
			return ""
		}
	}
	if len(link) > maxLink {
		return ""
	}
	return linkEscapes.Replace(link)
}

func short(sha string) string { return cut(sha, 7) }

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }

func clock(t time.Time) string {
	if t.IsZero() {
		return "–"
	}
	return t.UTC().Format("15:04:05 UTC")
}

// span is a duration for people: one or two units.
func span(d time.Duration) string {
	switch d = d.Round(time.Second); {
	case d < 0:
		return "0 s"
	case d < time.Minute:
		return fmt.Sprintf("%d s", d/time.Second)
	case d < time.Hour:
		return fmt.Sprintf("%d min", d/time.Minute)
	case d < 48*time.Hour:
		if minutes := d % time.Hour / time.Minute; minutes > 0 {
			return fmt.Sprintf("%d h %d min", d/time.Hour, minutes)
		}
		return fmt.Sprintf("%d h", d/time.Hour)
	}
	return fmt.Sprintf("%d days", d/(24*time.Hour))
}
