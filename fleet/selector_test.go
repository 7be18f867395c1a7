package fleet

import (
	"strings"
	"testing"
)

func TestSelectors(t *testing.T) {
	t.Parallel()
	host := Host{Name: "web1", Attr: "nixosConfigurations.web1", Tags: []string{"canary", "eu"}}
	mac := Host{Name: "mba", Attr: "darwinConfigurations.mba"}
	cases := []struct {
		text      string
		host, mac bool
	}{
		{"all", true, true},
		{"web1", true, false},
		{"web", false, false},
		{"tag:canary", true, false},
		{"tag:canar", false, false},
		{"platform:darwin", false, true},
		{"platform:nixos", true, false},
		{"not tag:canary", false, true},
		{"not not tag:canary", true, false},
		{"tag:canary and tag:eu", true, false},
		{"tag:canary and tag:us", false, false},
		{"tag:us or mba", false, true},
		{"not tag:canary or web1", true, true},
		{"not (tag:canary or mba)", false, false},
		{"mba or web1 and tag:us", false, true},    // and binds tighter
		{"(mba or web1) and tag:us", false, false}, //
		{" all\tand\n( web1 )", true, false},
		{"(((all)))", true, true},
	}
	for _, c := range cases {
		s, err := ParseSelector(c.text)
		if err != nil {
			t.Errorf("%q: %v", c.text, err)
			continue
		}
		if s.Match(host) != c.host || s.Match(mac) != c.mac {
			t.Errorf("%q picks %v and %v, expected %v and %v", c.text, s.Match(host), s.Match(mac), c.host, c.mac)
		}
		if s.String() != c.text {
			t.Errorf("%q is written %q", c.text, s)
		}
	}
	if (Selector{}).Match(host) {
		t.Error("the zero selector picks somebody")
	}
}

func TestSelectorsThatAreRefused(t *testing.T) {
	t.Parallel()
	cases := map[string]string{
		"":                          "at character 1: found the end, expected all,",
		"and":                       `at character 1: found "and"`,
		"all all":                   `at character 5: found "all", expected and, or, or the end`,
		"all and":                   "at character 8: found the end",
		"(all":                      "at character 5: found the end, expected and, or, or )",
		"all)":                      `at character 4: found ")"`,
		"()":                        `at character 2: found ")"`,
		"tag:":                      `found "tag:"`,
		"tag:a b":                   `at character 7: found "b"`,
		"platform:windows":          `found "platform:windows"`,
		"group:x":                   `found "group:x"`,
		"Web1":                      `found "Web1"`,
		"web_1":                     `found "web_1"`,
		"not":                       "at character 4: found the end",
		strings.Repeat("a", 64):     "found",
		strings.Repeat("(", 500):    "nested more than 50 deep",
		strings.Repeat("not ", 200): "nested more than 50 deep",
		strings.Repeat(" ", 2000):   "2000 bytes, at most 1000",
		"tag:\u202eevil":            "found",
	}
	for text, want := range cases {
		_, err := ParseSelector(text)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40q: %v, expected %q", text, err, want)
		}
	}
}

func TestWaveSizes(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"0", "0%", "101%", "-1", "1.5", "99999999", "%", ""} {
		if w, err := ParseWaveSize(text); err == nil {
			t.Errorf("%q is %+v, expected an error", text, w)
		}
	}
	for text, want := range map[string]int{"1": 1, "50%": 5, "1%": 1, "100%": 9, "20": 9, "all": 9} {
		w, err := ParseWaveSize(text)
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		if members, rest := w.take(make([]Host, 9), 9); len(members) != want || len(members)+len(rest) != 9 {
			t.Errorf("%q takes %d of 9 and leaves %d, expected %d", text, len(members), len(rest), want)
		}
	}
}

func FuzzSelector(f *testing.F) {
	for _, s := range []string{"all", "tag:a and (b or not platform:home)", "50%", "((", "not not x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := ParseSelector(text)
		if err != nil {
			if err.Error() == "" {
				t.Fatal("an error without words")
			}
			return
		}
		h := Host{Name: "a", Tags: []string{"a"}}
		inverse, err := ParseSelector("not (" + text + ")")
		if err == nil && inverse.Match(h) == s.Match(h) {
			t.Fatalf("%q and its inverse agree", text)
		}
	})
}
