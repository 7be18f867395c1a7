package policyfile

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/nixfleet/nixfleet/fleet"
)

func TestParseReadsEveryKeyOfTheSpecification(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("testdata/full.yml")
	if err != nil {
		t.Fatal(err)
	}
	got, err := Parse(data, "nixfleet.yml")
	if err != nil {
		t.Fatal(err)
	}
	want := fleet.DefaultPolicy()
	want.Updates.RequiredChecks = []fleet.RequiredCheck{{Name: "build", App: "github-actions", From: "policy"}}
	want.Updates.Inputs.Trust = []string{"git+https://git.example.org/"}
	want.Updates.Freeze = []fleet.Freeze{{From: "Fri 18:00", To: "Mon 06:00", TZ: "Europe/Vienna", Reason: "weekend"}}
	want.Deploy.Health = []fleet.HealthCheck{
		{Unit: "sshd.service"}, {HTTP: "http://localhost:8080/health"}, {Command: []string{"test", "-e", "/run/ok"}},
	}
	want.Notify = []fleet.NotifyRule{{To: "ops", On: []string{"merged", "failed", "halted", "succeeded"}}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the example of the specification, less what is default (-want +got):\n%s", diff)
	}
}

func TestParseFillsInDefaults(t *testing.T) {
	t.Parallel()
	got, err := Parse([]byte("version: 1\n"), "p.yml")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(fleet.DefaultPolicy(), got); diff != "" {
		t.Errorf("only a version (-default +got):\n%s", diff)
	}
}

func TestParseChangesOnlyWhatIsGiven(t *testing.T) {
	t.Parallel()
	got, err := Parse([]byte(`
version: 1
updates:
  strategy: host
  commit: pull_request
  authors: []
  auto_merge: {hold: 2d, hold_from: checks}
  require_checks: false
deploy:
  waves: [{name: first, hosts: 2}, {name: more, hosts: "tag:web and not web1", soak: 1h30m}]
  max_failures: 25%
`), "p.yml")
	if err != nil {
		t.Fatal(err)
	}
	want := fleet.DefaultPolicy()
	want.Updates.Strategy, want.Updates.Commit, want.Updates.Authors = "host", fleet.CommitPullRequest, []string{}
	want.Updates.AutoMerge.Hold = 48 * time.Hour
	want.Updates.AutoMerge.HoldFrom = "checks"
	want.Updates.RequireChecks = false
	want.Deploy.Waves = []fleet.WavePolicy{
		{Name: "first", Hosts: "2"},
		{Name: "more", Hosts: "tag:web and not web1", Soak: 90 * time.Minute},
	}
	want.Deploy.MaxFailures = fleet.Amount{N: 25, Percent: true}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// Each error names file, line, column, the setting, what was found and what may stand there.
func TestParseRefuses(t *testing.T) {
	t.Parallel()
	cases := map[string]struct{ file, want string }{
		"an empty file":              {"", `p.yml: the file is empty, expected "version: 1" and settings`},
		"only a comment":             {"# nothing\n", `p.yml: the file is empty, expected "version: 1" and settings`},
		"a missing version":          {"updates: {}\n", `p.yml:1:1: version: it is missing, expected "version: 1"`},
		"another version":            {"version: 2\n", "p.yml:1:10: version: found 2, expected a whole number from 1 to 1"},
		"a version as text":          {"version: \"1\"\n", `p.yml:1:10: version: found "1", expected a whole number from 1 to 1`},
		"a list at the top":          {"- version: 1\n", "p.yml:1:1: found a list, expected a mapping with deploy, notify, updates, version"},
		"text at the top":            {"hello\n", `p.yml:1:1: found "hello", expected a mapping with deploy, notify, updates, version`},
		"an unknown key":             {"version: 1\ndeploi: {}\n", "p.yml:2:1: deploi: unknown key, expected one of deploy, notify, updates, version"},
		"an unknown key deep inside": {"version: 1\nupdates:\n  auto_merge:\n    holds: 1h\n", "p.yml:4:5: updates.auto_merge.holds: unknown key, expected one of delete_branch, enabled, hold, hold_from, method, min_input_age"},
		"a key given twice":          {"version: 1\ndeploy: {auto: true}\ndeploy: {auto: false}\n", "p.yml:3:1: deploy: the key is given twice, expected each key once"},
		"a key given twice in flow":  {"version: 1\ndeploy: {auto: true, auto: false}\n", "p.yml:2:22: deploy.auto: the key is given twice, expected each key once"},
		"a key that is a number":     {"version: 1\n2: 3\n", "p.yml:2:1: found a key that is not plain text, expected one of deploy, notify, updates, version"},
		"a merge key":                {"version: 1\n<<: {a: b}\n", "p.yml:2:1: found a key that is not plain text, expected one of deploy, notify, updates, version"},
		"an alias":                   {"version: 1\nupdates: &u {}\ndeploy: *u\n", "p.yml:2:10: updates: found an anchor (&), expected a mapping with"},
		"a tag":                      {"version: !!int 1\n", "p.yml:1:10: version: found a tag (!), expected a whole number"},
		"two documents":              {"version: 1\n---\nversion: 1\n", "the file has more than one document, expected one"},
		"no YAML":                    {"version: [1\n", "this is not YAML"},
		"a null":                     {"version: 1\nupdates:\n", "updates: found nothing, expected a mapping with"},
		"a hold in words":            {"version: 1\nupdates: {auto_merge: {hold: soon}}\n", `p.yml:2:30: updates.auto_merge.hold: found "soon", expected a duration like 90s, 10m, 1h30m or 2d`},
		"a hold without a unit":      {"version: 1\nupdates: {auto_merge: {hold: 60}}\n", "hold: found 60, expected a duration like"},
		"a negative hold":            {"version: 1\nupdates: {auto_merge: {hold: -1h}}\n", `hold: found "-1h", expected a duration like`},
		"a hold of a year":           {"version: 1\nupdates: {auto_merge: {hold: 365d}}\n", "hold: found 365d, expected a duration from 0s to 30d"},
		"a yes for true":             {"version: 1\ndeploy: {auto: yes}\n", `deploy.auto: found "yes", expected true or false`},
		"another method":             {"version: 1\nupdates: {auto_merge: {method: fast-forward}}\n", `method: found "fast-forward", expected squash, merge or rebase`},
		"a path that leaves":         {"version: 1\nupdates: {files: [../flake.lock]}\n", `p.yml:2:19: updates.files[0]: found "../flake.lock", expected a path inside the repository`},
		"a path that is absolute":    {"version: 1\nupdates: {files: [/etc/passwd]}\n", "updates.files[0]: found"},
		"no lock file at all":        {"version: 1\nupdates: {files: []}\n", "updates: updates.files names no file"},
		"a file twice":               {"version: 1\nupdates: {files: [flake.lock, flake.lock]}\n", `updates.files[1]: "flake.lock" is listed twice`},
		"an author with a space":     {"version: 1\nupdates: {authors: [\"a b\"]}\n", `updates.authors[0]: found "a b", expected a GitHub login`},
		"a check without a name":     {"version: 1\nupdates: {required_checks: [{app: github-actions}]}\n", "updates.required_checks[0]: name is missing"},
		"trust of everything":        {"version: 1\nupdates: {inputs: {trust: [\"https://\"]}}\n", "updates.inputs.trust[0]: found"},
		"trust of a whole forge":     {"version: 1\nupdates: {inputs: {trust: [\"github:\"]}}\n", "updates.inputs.trust[0]: found"},
		"trust of half a host":       {"version: 1\nupdates: {inputs: {trust: [\"https://git.example\"]}}\n", "updates.inputs.trust[0]: found"},
		"a freeze on no weekday":     {"version: 1\nupdates: {freeze: [{from: \"Foo 18:00\", to: \"Mon 06:00\"}]}\n", `updates.freeze[0]: from: found "Foo 18:00"`},
		"a freeze in no zone":        {"version: 1\nupdates: {freeze: [{from: \"Fri 18:00\", to: \"Mon 06:00\", tz: Mars/Olympus}]}\n", `tz: found "Mars/Olympus"`},
		"a freeze without an end":    {"version: 1\nupdates: {freeze: [{from: \"Fri 18:00\"}]}\n", "updates.freeze[0]: to is missing"},
		"a selector that breaks off": {"version: 1\ndeploy: {hosts: \"tag:a and\"}\n", "deploy.hosts: at character 10: found the end, expected all, the name of a host"},
		"a wave without hosts":       {"version: 1\ndeploy: {waves: [{name: a}]}\n", "deploy.waves[0]: hosts is missing"},
		"a wave of nobody":           {"version: 1\ndeploy: {waves: [{name: a, hosts: 0}]}\n", "expected at least 1"},
		"a wave of 200 %":            {"version: 1\ndeploy: {waves: [{name: a, hosts: \"200%\"}]}\n", `found "200%"`},
		"two waves of one name":      {"version: 1\ndeploy: {waves: [{name: a, hosts: 1}, {name: a, hosts: 1}]}\n", "the name a is given twice"},
		"nobody at a time":           {"version: 1\ndeploy: {max_parallel: 0}\n", "deploy.max_parallel: found 0, expected a whole number from 1 to"},
		"fewer than no failures":     {"version: 1\ndeploy: {max_failures: -1}\n", `deploy.max_failures: found "-1"`},
		"a time-out of nothing":      {"version: 1\ndeploy: {timeouts: {build: 0}}\n", "deploy.timeouts.build: found 0, expected a duration from 1s to 1d"},
		"a health check of two":      {"version: 1\ndeploy: {health: [{unit: a.service, http: \"http://x/\"}]}\n", "deploy.health[0]: found 2 settings in one entry, expected exactly one"},
		"a health check of none":     {"version: 1\ndeploy: {health: [{}]}\n", "deploy.health[0]: found 0 settings in one entry"},
		"a health check of no web":   {"version: 1\ndeploy: {health: [{http: \"file:///etc/passwd\"}]}\n", "deploy.health[0].http: found"},
		"an empty command":           {"version: 1\ndeploy: {health: [{command: []}]}\n", "deploy.health[0].command: found an empty command"},
		"an unknown event":           {"version: 1\nnotify: [{to: ops, on: [everything]}]\n", `notify[0].on[0]: found "everything"`},
		"bytes that are no text":     {"version: \xff1\n", "the file is not text in UTF-8"},
		"too many brackets":          {strings.Repeat("[", 2000), "too many brackets"},
		"a line without end":         {"# " + strings.Repeat("-", 5000), "p.yml:1:1: the line has 5002 bytes, expected at most 4000"},
		"a file without end":         {strings.Repeat("#\n", MaxSize), "the file has 131072 bytes, expected at most 65536"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := Parse([]byte(c.file), "p.yml")
			var e *Error
			if !errors.As(err, &e) {
				t.Fatalf("error is %v, expected an *Error that says %q", err, c.want)
			}
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("error is\n\t%v\nexpected to contain\n\t%s", err, c.want)
			}
		})
	}
}

func TestParseReportsEveryProblemInTheOrderOfTheFile(t *testing.T) {
	t.Parallel()
	_, err := Parse([]byte("version: 1\ndeploy: {auto: 1}\nupdates: {auto_merge: {enabled: 2, method: x}}\n"), "p.yml")
	var e *Error
	if !errors.As(err, &e) {
		t.Fatal(err)
	}
	var fields []string
	for _, p := range e.Problems {
		fields = append(fields, p.Field)
	}
	want := []string{"deploy.auto", "updates.auto_merge.enabled", "updates.auto_merge.method"}
	if diff := cmp.Diff(want, fields); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestParseReportsNoMoreThanHelps(t *testing.T) {
	t.Parallel()
	_, err := Parse([]byte("version: 1\n"+strings.Repeat("x: 1\n", 500)), "p.yml")
	var e *Error
	if !errors.As(err, &e) || len(e.Problems) != maxProblems {
		t.Errorf("reported %v, expected %d problems", err, maxProblems)
	}
}

func TestDurations(t *testing.T) {
	t.Parallel()
	good := map[string]time.Duration{
		"0": 0, "0h": 0, "90s": 90 * time.Second, "10m": 10 * time.Minute, "1h": time.Hour,
		"2d": 48 * time.Hour, "1h30m": 90 * time.Minute, "1d2h3m4s": 26*time.Hour + 3*time.Minute + 4*time.Second,
	}
	for text, want := range good {
		if got, err := parseDuration(text); err != nil || got != want {
			t.Errorf("%q is %v, %v, expected %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "1", "h", "1.5h", "-1h", "+1h", "1h ", "30m1h", "1w", "1ms", "99999999d", "1H"} {
		if got, err := parseDuration(text); err == nil {
			t.Errorf("%q is %v, expected an error", text, got)
		}
	}
}

func FuzzParse(f *testing.F) {
	full, err := os.ReadFile("testdata/full.yml")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(full)
	f.Add([]byte("version: 1\nupdates: &a [*a]\n"))
	f.Add([]byte("? [a]\n: b\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := Parse(data, "p.yml")
		if err != nil {
			var e *Error
			if !errors.As(err, &e) || len(e.Problems) == 0 || err.Error() == "" {
				t.Fatalf("an error without a problem: %v", err)
			}
			return
		}
		if p.Deploy.MaxParallel < 1 || p.Updates.AutoMerge.Hold < 0 || len(p.Updates.Files) == 0 {
			t.Fatalf("a policy that nobody may follow: %+v", p)
		}
		if _, _, err := fleet.MakePlan(p.Deploy, nil); err != nil {
			t.Fatalf("a policy that was accepted makes no plan: %v", err)
		}
	})
}
