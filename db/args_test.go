package db

import (
	"encoding/json"
	"strings"
	"testing"
	"testing/quick"
	"time"

	"github.com/nixfleet/nixfleet/fleet"
)

func TestMarshalJSONReplacesOnlyRealNULs(t *testing.T) {
	t.Parallel()
	for give, want := range map[string]string{
		"a\x00b":         "a\uFFFDb",
		`\u0000`:         `\u0000`, // six characters of text, not an escape
		`\` + "\x00":     `\` + "\uFFFD",
		`\\u0000\` + "x": `\\u0000\x`,
		"\x00\x00":       "\uFFFD\uFFFD",
		"no trouble":     "no trouble",
		"\xff":           "\uFFFD",
	} {
		b, err := marshalJSON(give)
		if err != nil {
			t.Fatal(err)
		}
		var got string
		if err := json.Unmarshal(b, &got); err != nil {
			t.Errorf("%q became %s, which is not JSON: %v", give, b, err)
		}
		if got != want {
			t.Errorf("%q became %q, want %q", give, got, want)
		}
	}
}

func TestMarshalJSONOfAnyStringIsStorable(t *testing.T) {
	t.Parallel()
	storable := func(raw []byte, times uint8) bool {
		text := strings.Repeat(string(raw)+"\x00\\", int(times%5))
		b, err := marshalJSON(map[string]string{text: text})
		var back map[string]string
		if err != nil || json.Unmarshal(b, &back) != nil {
			return false
		}
		again, err := marshalJSON(back)
		return err == nil && string(again) == string(b) && !strings.Contains(back[text], "\x00") && len(back) == 1
	}
	if err := quick.Check(storable, nil); err != nil {
		t.Error(err)
	}
}

func TestVisible(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	shown := fleet.Verdict{
		State: fleet.UpdateHolding, HeadSHA: "abc", Headline: "Merges at 13:00 UTC.", HoldUntil: at.Add(time.Hour), At: at,
		Conditions: []fleet.Condition{{ID: "open", Outcome: fleet.Passed, Found: "open", At: at}},
		Inputs:     []fleet.InputChange{{Path: "nixpkgs", FromDate: at, ToDate: at}},
	}
	for name, c := range map[string]struct {
		change func(v *VerdictChange)
		want   bool
	}{
		"the same again": {func(*VerdictChange) {}, false},
		"read at another time": {func(v *VerdictChange) {
			v.Verdict.At, v.Verdict.Again, v.Verdict.Conditions[0].At = at.Add(time.Hour), at.Add(2*time.Hour), at.Add(time.Hour)
		}, false},
		"the same moment elsewhere": {func(v *VerdictChange) {
			v.Verdict.HoldUntil = v.Verdict.HoldUntil.In(time.FixedZone("here", 3600))
		}, false},
		"another state":                        {func(v *VerdictChange) { v.Verdict.State = fleet.UpdateReady }, true},
		"another head":                         {func(v *VerdictChange) { v.Verdict.HeadSHA = "def" }, true},
		"another condition":                    {func(v *VerdictChange) { v.Verdict.Conditions[0].Outcome = fleet.Refused }, true},
		"a longer hold":                        {func(v *VerdictChange) { v.Verdict.HoldUntil = at.Add(2 * time.Hour) }, true},
		"another title":                        {func(v *VerdictChange) { v.Pull.Title = "new" }, true},
		"a title that was cleaned when stored": {func(v *VerdictChange) { v.Pull.Title = "ti\x00tle" }, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			u := fleet.Update{State: shown.State, HeadSHA: "abc", Title: "ti\uFFFDtle", Verdict: shown}
			v := VerdictChange{Verdict: timeless(shown)} // a copy of its own
			v.Verdict.At, v.Verdict.Again = at, at
			v.Pull.Title = "ti\x00tle"
			c.change(&v)
			if got := visible(u, v); got != c.want {
				t.Errorf("visible = %v, want %v", got, c.want)
			}
		})
	}
}

func TestPickBinaries(t *testing.T) {
	t.Parallel()
	b := func(v string) binaries { return binaries{postgres: "/usr/lib/pg/" + v + "/postgres", version: v} }
	for name, c := range map[string]struct {
		found   []binaries
		major   string
		version string
		err     string
	}{
		"none installed":          {nil, "", "", "apt install postgresql"},
		"the newest":              {[]binaries{b("15.14"), b("17.2"), b("16")}, "", "17.2", ""},
		"the one of the data":     {[]binaries{b("15.14"), b("17.2")}, "15", "15.14", ""},
		"not the one of the data": {[]binaries{b("17.2")}, "15", "", "install Postgres 15"},
		"too old":                 {[]binaries{b("9.6.24")}, "", "", "version 14 or newer"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := pickBinaries(c.found, []string{"/usr/bin"}, c.major)
			if c.err == "" && (err != nil || got.version != c.version) {
				t.Errorf("got %q, %v, want %q", got.version, err, c.version)
			}
			if c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)) {
				t.Errorf("got %v, want %q in it", err, c.err)
			}
		})
	}
}
