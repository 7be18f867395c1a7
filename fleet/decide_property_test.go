package fleet

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// commitTruth is what is true of one head commit, whatever anybody reads when.
type commitTruth struct {
	lockOnly bool   // changes nothing but the lock
	clean    bool   // the lock changes revisions only
	check    string // what its required check says: "", running, success or failure
	seen     time.Time
}

// pullTruth is a pull request as it truly is, with everybody who acts on it.
type pullTruth struct {
	t       *rapid.T
	now     time.Time
	base    Snapshot
	dirty   Reading[LockPair]
	head    string
	commits map[string]*commitTruth
	open    bool
	request string // the head that a person asked to merge; empty for none
	state   UpdateState
	asked   *MergeOrder // the merge that is being asked for
	merged  string
}

func (p *pullTruth) push() {
	p.head = fmt.Sprintf("%040x", len(p.commits)+1)
	p.commits[p.head] = &commitTruth{
		lockOnly: rapid.IntRange(0, 4).Draw(p.t, "lock only") > 0,
		clean:    rapid.IntRange(0, 4).Draw(p.t, "clean") > 0,
	}
}

// snapshot is what a look reads now; any one of its readings may fail.
func (p *pullTruth) snapshot() Snapshot {
	s, c := p.base, p.commits[p.head]
	if c.seen.IsZero() {
		c.seen = p.now
	}
	s.Pull.Value.HeadSHA, s.Pull.Value.State = p.head, map[bool]string{true: "open", false: "closed"}[p.open]
	s.Pull.Value.Merged = p.merged != ""
	s.Recorded = Recorded{FirstSeen: noon, HeadSeen: c.seen}
	if p.request != "" {
		s.Recorded.Request = &MergeRequest{By: Actor{ID: 5, Login: "alice", Type: "User"}, HeadSHA: p.request}
	}
	if !c.lockOnly {
		s.Files.Value = append([]ChangedFile{{Path: "flake.nix", Status: "modified"}}, s.Files.Value...)
		s.Pull.Value.ChangedFiles = 2
	}
	if !c.clean {
		s.Locks = map[string]Reading[LockPair]{"flake.lock": p.dirty}
	}
	s.Checks.Value = nil
	switch c.check {
	case "running":
		s.Checks.Value = []Check{{Name: "build", Kind: "run", App: "github-actions", State: "in_progress"}}
	case "success", "failure":
		s.Checks.Value = []Check{run("build", c.check)}
	}
	switch rapid.IntRange(0, 30).Draw(p.t, "what can't be read") {
	case 1:
		s.Pull = Reading[Pull]{}
	case 2:
		s.Files = Reading[[]ChangedFile]{}
	case 3:
		s.Checks = Reading[[]Check]{}
	case 4:
		s.Locks = nil
	case 5:
		s.Policy = Reading[Policy]{}
	case 6:
		s.Required = Reading[[]RequiredCheck]{}
	}
	return s
}

// look decides, and holds every merge that is ordered against the truth.
func (p *pullTruth) look(t *rapid.T) {
	p.t = t
	v := Decide(p.snapshot(), p.now)
	from := p.state
	p.state = NextUpdateState(from, Judged(v.State))
	if !LegalUpdate(from, p.state) {
		t.Fatalf("from %s to %s", from, p.state)
	}
	if (v.Merge != nil) != (v.State == UpdateMerging) {
		t.Fatalf("%s comes with merge order %+v", v.State, v.Merge)
	}
	if !v.Again.IsZero() && !v.Again.After(p.now) {
		t.Fatalf("look again at %s, which is not after %s", v.Again, p.now)
	}
	if v.State.Open() && v.Again.IsZero() {
		t.Fatalf("%s is never looked at again", v.State)
	}
	if v.Merge == nil || from == UpdateMerging {
		return
	}
	c := p.commits[v.Merge.HeadSHA]
	held := !p.now.Before(c.seen.Add(p.base.Policy.Value.Updates.AutoMerge.Hold))
	if !c.lockOnly || !c.clean || c.check != "success" || !p.open {
		t.Fatalf("an unproven commit is to be merged: %+v", *c)
	}
	if !held && p.request != v.Merge.HeadSHA {
		t.Fatalf("merged before its hold, and nobody asked for this commit: %+v", *c)
	}
	p.asked = v.Merge
}

// execute asks GitHub to merge, pinned to the head: it refuses when that has moved.
func (p *pullTruth) execute(t *rapid.T) {
	if p.state != UpdateMerging || p.asked == nil {
		return
	}
	if p.asked.HeadSHA != p.head || !p.open || rapid.IntRange(0, 5).Draw(t, "GitHub refuses") == 0 {
		p.state = NextUpdateState(p.state, MergeRefused)
		p.asked = nil
		return
	}
	if c := p.commits[p.head]; !c.lockOnly || !c.clean {
		t.Fatalf("an unproven commit was merged: %+v", *c)
	}
	p.merged, p.open = p.head, false
	p.state = NextUpdateState(p.state, Judged(UpdateMerged))
}

func TestNoSequenceOfEventsMergesAnUnprovenCommit(t *testing.T) {
	t.Parallel()
	base := goodSnapshot(t)
	evil := after()
	evil["nixpkgs"] = gh("evil", "nixpkgs", newRev, newDate)
	dirty := Known(LockPair{lockOf(t, before()), lockOf(t, evil)}, "x", noon)
	merges := 0
	rapid.Check(t, func(t *rapid.T) {
		p := &pullTruth{t: t, now: noon, base: base, dirty: dirty, commits: map[string]*commitTruth{}, open: true, state: UpdateObserved}
		p.push()
		t.Repeat(map[string]func(*rapid.T){
			"":      p.look,
			"merge": p.execute,
			"push": func(t *rapid.T) {
				if p.t = t; p.merged == "" {
					p.push()
				}
			},
			"check": func(t *rapid.T) {
				p.commits[p.head].check = rapid.SampledFrom([]string{"", "running", "success", "success", "failure"}).Draw(t, "check")
			},
			"green":   func(*rapid.T) { p.commits[p.head].check = "success" },
			"request": func(*rapid.T) { p.request = p.head },
			"close":   func(t *rapid.T) { p.open = p.merged == "" && rapid.Bool().Draw(t, "open") },
			"pass": func(t *rapid.T) {
				p.now = p.now.Add(rapid.SampledFrom([]time.Duration{time.Minute, 20 * time.Minute, 2 * time.Hour}).Draw(t, "time"))
			},
		})
		if p.merged != "" {
			merges++
			if p.state != UpdateMerged {
				t.Fatalf("merged, and yet %s", p.state)
			}
		}
	})
	if merges == 0 {
		t.Error("nothing was ever merged: the property proves nothing")
	}
}
