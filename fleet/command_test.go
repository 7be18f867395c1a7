package fleet

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestCommands(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]Command{
		"/nixfleet":                                   {Verb: "help"},
		"/nixfleet help":                              {Verb: "help"},
		"Thanks!\n\n  /NixFleet   Merge  ":            {Verb: "merge"},
		"/nixfleet merge --no-deploy":                 {Verb: "merge", NoDeploy: true},
		"/nixfleet hold":                              {Verb: "hold"},
		"/nixfleet hold 2d\r\nuntil we are back":      {Verb: "hold", For: 48 * time.Hour, Until: noon.Add(48 * time.Hour)},
		"/nixfleet hold 1h30m":                        {Verb: "hold", For: 90 * time.Minute, Until: noon.Add(90 * time.Minute)},
		"/nixfleet hold until 2026-12-01":             {Verb: "hold", Until: time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC)},
		"/nixfleet hold until 2026-12-01t15:00z":      {Verb: "hold", Until: time.Date(2026, 12, 1, 15, 0, 0, 0, time.UTC)},
		"/nixfleet hold until 2026-12-01T15:00+02:00": {Verb: "hold", Until: time.Date(2026, 12, 1, 13, 0, 0, 0, time.UTC)},
		"/nixfleet unhold":                            {Verb: "unhold"},
		"/nixfleet deploy":                            {Verb: "deploy"},
		"/nixfleet deploy web1, db1 WEB1":             {Verb: "deploy", Hosts: []string{"web1", "db1"}},
		"> /nixfleet merge\n\n/nixfleet abort":        {Verb: "abort"},
		"```\n/nixfleet merge\n```\n/nixfleet pause":  {Verb: "pause"},
		"    /nixfleet merge\n/nixfleet status":       {Verb: "status"},
	} {
		line, found := FindCommand(body)
		got, err := ParseCommand(line, noon)
		if diff := cmp.Diff(want, got); diff != "" || err != nil || !found {
			t.Errorf("%q: found %v, error %v (-want +got):\n%s", body, found, err, diff)
		}
	}
}

func TestWhatIsNoCommand(t *testing.T) {
	t.Parallel()
	for _, body := range []string{
		"", "nixfleet merge", "see /nixfleet merge", "> /nixfleet merge", "`/nixfleet merge`", "/nixfleets merge", "/nixfleet-merge",
		"```\n/nixfleet merge", "~~~\n/nixfleet merge\n", "\t/nixfleet merge", "     /nixfleet merge",
	} {
		if line, found := FindCommand(body); found {
			t.Errorf("%q: found %q", body, line)
		}
	}
}

func TestWrongCommandsAreExplained(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]string{
		"/nixfleet mrege":                        `no command "mrege"`,
		"/nixfleet merged":                       `did you mean "merge"?`,
		"/nixfleet merge now":                    `merge knows --no-deploy, not "now"`,
		"/nixfleet hold tomorrow":                "hold takes nothing, a time such as 2d",
		"/nixfleet hold -2h":                     "is over already",
		"/nixfleet hold 0d":                      "hold takes nothing",
		"/nixfleet hold until 2020-01-01":        "2020-01-01 00:00 UTC is over already",
		"/nixfleet hold until 2126-01-01":        "within a year",
		"/nixfleet hold 367d":                    "hold takes nothing",
		"/nixfleet hold 9999999999h":             "hold takes nothing",
		"/nixfleet unhold please":                `unhold takes nothing after it; "please" is too much`,
		"/nixfleet deploy ../etc":                `"../etc" is no name of a host`,
		"/nixfleet \u202emerge":                  "no command",
		"/nixfleet " + strings.Repeat("x", 2000): "too long",
	} {
		if got, err := ParseCommand(line, noon); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60q: %+v, %v; want an error with %q", line, got, err, want)
		}
	}
}

func FuzzCommand(f *testing.F) {
	for _, h := range commandHelp {
		f.Add(CommandWord + " " + h.form)
	}
	f.Add("```\n/nixfleet merge\n~~~\n\x00/nixfleet hold 2d")
	f.Fuzz(func(t *testing.T, body string) {
		line, found := FindCommand(body)
		if !found {
			return
		}
		c, err := ParseCommand(line, noon)
		if err != nil {
			if c.Verb != "" {
				t.Errorf("%q is refused (%v), and understood as %+v", line, err, c)
			}
			return
		}
		if c.Verb == "" || !c.Until.IsZero() && !c.Until.After(noon) || len(c.Hosts) > maxCommandHosts {
			t.Errorf("%q is understood as %+v", line, c)
		}
	})
}
