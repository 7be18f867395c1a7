package fleet_test

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/nixfleet/nixfleet/fleet"
)

func TestPlainText(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ in, want string }{
		"plain":                    {"building '/nix/store/…' ü\n\tok\n", "building '/nix/store/…' ü\n\tok\n"},
		"colours":                  {"\x1b[31;1merror:\x1b[0m no", "error: no"},
		"cursor and screen":        {"a\x1b[2J\x1b[1;1Hb\x1b7c\x1b(Bd", "abcd"},
		"a title":                  {"a\x1b]0;rm -rf\x07b", "ab"},
		"a title, ended otherwise": {"a\x1b]0;x\x1b\\b\x1b]0;y\u009cc", "abc"},
		"a link":                   {"\x1b]8;;https://evil.example\x1b\\here\x1b]8;;\x1b\\", "here"},
		"a title without end":      {"a\x1b]0;x\nb", "a\nb"},
		"a colour without end":     {"a\x1b[31\nb", "a\nb"},
		"device control":           {"a\x1bPq#0;2;0\x1b\\b\x1b_x\x1b\\c\x1b^y\x1b\\d", "abcd"},
		"eight-bit forms":          {"a\u009b31mb\u009d0;x\u009cc\u0090q\u009cd\u0085e", "abcde"},
		"raw eight-bit bytes":      {"a\x9b31mb", "a\uFFFD31mb"},
		"begun at the end":         {"a\x1b", "a"},
		"begun, broken off":        {"a\x1b[31", "a"},
		"an escape in a sequence":  {"a\x1b[3\x1b[31mb\x1b]0;\x1b[1mc", "abc"},
		"progress":                 {"1%\r2%\r\ndone\r", "1%\n2%\ndone\n"},
		"bells and backspaces":     {"a\a\b\x00\x7fb\f\v", "ab"},
		"no UTF-8":                 {"a\xff\xfe\xc3b\xe2\x82", "a\uFFFDb\uFFFD"},
		"a mark of its own":        {"\uFFFD\uFFFD", "\uFFFD\uFFFD"},
		"turned direction":         {"a\u202egnp.exe\u2066b", "agnp.exeb"},
	} {
		if got := fleet.PlainText([]byte(c.in)); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

func TestPlainLine(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"nginx\n\x1b[1m 1.26": "nginx 1.26",
		"0123456789ü":         "0123456789…",
		"":                    "",
	} {
		if got := fleet.PlainLine(in, 11); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

// FuzzPlainText cuts what a host prints at any place: neither the whole nor the
// pieces put together hold anything that is acted on.
func FuzzPlainText(f *testing.F) {
	for _, seed := range []string{"\x1b[31mred\x1b[0m", "\x1b]0;title\a", "\u009b1m", "a\r\nb", "\xe2\x82\xac\x1bP\x1b\\", "\u202e"} {
		f.Add([]byte(seed), len(seed)/2)
	}
	f.Fuzz(func(t *testing.T, text []byte, at int) {
		at = min(max(at, 0), len(text))
		whole := fleet.PlainText(text)
		for _, got := range []string{whole, fleet.PlainText(text[:at]) + fleet.PlainText(text[at:])} {
			if !utf8.ValidString(got) {
				t.Fatalf("%q is no UTF-8", got)
			}
			for _, r := range got {
				if r != '\n' && r != '\t' && (unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r)) {
					t.Fatalf("%q holds %U", got, r)
				}
			}
		}
		if again := fleet.PlainText([]byte(whole)); again != whole {
			t.Fatalf("%q, read again, is %q", whole, again)
		}
		if line := fleet.PlainLine(string(text), 20); len(line) > 20+len("…") || strings.Contains(line, "\n") {
			t.Fatalf("%q is no short line", line)
		}
	})
}
