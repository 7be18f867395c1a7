package policyfile

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/nixfleet/nixfleet/fleet"
)

func TestTheBuiltInPolicyIsAVersionAlone(t *testing.T) {
	t.Parallel()
	got, err := Write(fleet.DefaultPolicy())
	if err != nil || string(got) != "version: 1\n" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestWhatIsWrittenReadsTheSame(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/policy.md")
	if err != nil {
		t.Fatal(err)
	}
	_, example, _ := strings.Cut(string(page), "```yaml\n")
	example, _, _ = strings.Cut(example, "```")
	p, err := Parse([]byte(example), "docs/policy.md")
	if err != nil {
		t.Fatal(err)
	}
	sameAgain(t, p)
}

func TestAnyPolicyThatIsWrittenReadsTheSame(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(r *rapid.T) {
		seconds := func(name string, least, most int) time.Duration {
			return time.Duration(rapid.IntRange(least, most).Draw(r, name)) * time.Second
		}
		// Text that YAML would take for something else unless it is quoted.
		line := rapid.SampledFrom([]string{"build", "yes", "1", "1:30", "a: b", "# no", "- x", "null", "'", `"`, "{a}", "*x", "&y", "é ü", "|", "100%", "~", "1e3", "0x1f", "a\u2028b"})
		window := rapid.Custom(func(r *rapid.T) fleet.Freeze {
			return fleet.Freeze{From: "Fri 18:00", To: rapid.SampledFrom([]string{"Mon 06:00", "sun 23:59"}).Draw(r, "to"), TZ: "Europe/Vienna", Reason: line.Draw(r, "reason")}
		})
		p := fleet.DefaultPolicy()
		p.Updates.AutoMerge.Hold, p.Updates.AutoMerge.Enabled = seconds("hold", 0, 30*86400), rapid.Bool().Draw(r, "enabled")
		p.Updates.Freeze = rapid.SliceOfN(window, 0, 3).Draw(r, "freeze")
		for _, name := range rapid.SliceOfNDistinct(line, 0, 3, rapid.ID).Draw(r, "checks") {
			p.Updates.RequiredChecks = append(p.Updates.RequiredChecks, fleet.RequiredCheck{Name: name, From: "policy"})
		}
		p.Deploy.Waves = nil
		for _, name := range rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"a", "1", "no", "true"}), 0, 3, rapid.ID).Draw(r, "waves") {
			size := rapid.SampledFrom([]string{"2", "50%", "all", "tag:a and not b"}).Draw(r, "size")
			p.Deploy.Waves = append(p.Deploy.Waves, fleet.WavePolicy{Name: name, Hosts: size, Soak: seconds("soak", 0, 90000)})
		}
		p.Deploy.Hosts = rapid.SampledFrom([]string{"all", "tag:x or not web1", "web1"}).Draw(r, "hosts")
		p.Deploy.MaxFailures = fleet.Amount{N: rapid.IntRange(0, 100).Draw(r, "failures"), Percent: rapid.Bool().Draw(r, "percent")}
		p.Deploy.Health = []fleet.HealthCheck{{Command: append([]string{"sh"}, rapid.SliceOfN(line, 0, 3).Draw(r, "words")...)}}
		p.Deploy.Settle = seconds("settle", 0, 600)
		sameAgain(r, p)
	})
}

func sameAgain(t rapid.TB, p fleet.Policy) {
	t.Helper()
	text, err := Write(p)
	if err != nil {
		t.Fatal(err)
	}
	got, err := Parse(text, "written")
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	if diff := cmp.Diff(p, got, cmpopts.EquateEmpty()); diff != "" {
		t.Fatalf("(-given +read again):\n%s\n%s", diff, text)
	}
}

// Whatever the reader reads, the list of settings has; so the form and the comparison
// of two policies show every key.
func TestEveryKeyIsASetting(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("testdata/full.yml")
	if err != nil {
		t.Fatal(err)
	}
	full, err := Parse(data, "full.yml")
	if err != nil {
		t.Fatal(err)
	}
	full.Updates.Commit, full.Deploy.RebootWindows, full.Deploy.Anchors = fleet.CommitPullRequest, full.Updates.Freeze, []string{"a:1"}
	full.Deploy.Windows, full.Updates.AutoMerge.Overlap = full.Updates.Freeze, true
	text := ""
	for _, s := range fleet.SettingsOf(full) {
		text += "." + s.Key + "."
		if list, ok := s.Value.([]fleet.Entry); ok {
			if len(list) == 0 {
				t.Errorf("%s is empty in this test", s.Key)
			}
			for _, e := range list {
				for _, p := range e {
					text += "." + p.Key + "."
				}
			}
		}
	}
	for _, key := range knownKeys(t) {
		if !strings.Contains(text, "."+key+".") && key != "version" {
			t.Errorf("the key %s is no setting", key)
		}
	}
}
