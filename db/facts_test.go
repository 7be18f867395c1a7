package db_test

import (
	"math"
	"testing"
	"time"

	"github.com/nixfleet/nixfleet/db"
	"github.com/nixfleet/nixfleet/fleet"
)

// dueNumbers are the pull requests that are due, which it leaves alone.
func (w *world) dueNumbers() map[int]bool {
	w.t.Helper()
	rows, err := w.d.Pool().Query(w.t.Context(), `select number from updates where due_at <= $1`, w.now)
	must(w.t, err)
	defer rows.Close()
	due := map[int]bool{}
	for rows.Next() {
		var n int
		must(w.t, rows.Scan(&n))
		due[n] = true
	}
	must(w.t, rows.Err())
	return due
}

// settled is a world in which updates 1 (head aaa), 2 (head bbb) and 3 (merged)
// were looked at, 4 is ignored, and none is due.
func settled(t *testing.T) *world {
	w := newWorld(t)
	for n, v := range map[int]db.VerdictChange{
		1: verdict(fleet.UpdateChecks, "aaa"),
		2: verdict(fleet.UpdateHolding, "bbb"),
		3: verdict(fleet.UpdateMerged, "ccc"),
		4: {Ignored: true, Pull: fleet.Pull{HeadSHA: "aaa"}},
	} {
		must(t, w.d.SaveVerdict(t.Context(), w.claim(n), v, w.now))
	}
	equal(t, "due at first", w.dueNumbers(), map[int]bool{})
	return w
}

func TestFactsWakeWhatTheyTouch(t *testing.T) {
	t.Parallel()
	other := fleet.Repo{ID: 8, Owner: "o", Name: "r8"}
	for name, c := range map[string]struct {
		fact func(r fleet.Repo) fleet.Fact
		want []int
	}{
		"pull request":             {func(r fleet.Repo) fleet.Fact { return fleet.PullTouched{Repo: r, Number: 1} }, []int{1}},
		"new pull request":         {func(r fleet.Repo) fleet.Fact { return fleet.PullTouched{Repo: r, Number: 9} }, []int{9}},
		"merged pull request":      {func(r fleet.Repo) fleet.Fact { return fleet.PullTouched{Repo: r, Number: 3} }, []int{3}},
		"commit of one head":       {func(r fleet.Repo) fleet.Fact { return fleet.CommitTouched{Repo: r, SHA: "aaa"} }, []int{1}},
		"commit of no head":        {func(r fleet.Repo) fleet.Fact { return fleet.CommitTouched{Repo: r, SHA: "zzz"} }, nil},
		"default branch":           {func(r fleet.Repo) fleet.Fact { return fleet.BranchMoved{Repo: r, Branch: "main", SHA: "x"} }, []int{1, 2}},
		"other branch":             {func(r fleet.Repo) fleet.Fact { return fleet.BranchMoved{Repo: r, Branch: "dev", SHA: "x"} }, nil},
		"same commit elsewhere":    {func(fleet.Repo) fleet.Fact { return fleet.CommitTouched{Repo: other, SHA: "aaa"} }, nil},
		"button":                   {func(r fleet.Repo) fleet.Fact { return fleet.Pressed{Repo: r, Numbers: []int{2}, SHA: "aaa"} }, []int{1, 2}},
		"comment":                  {func(r fleet.Repo) fleet.Fact { return fleet.Commented{Repo: r, Number: 2, Comment: 5} }, []int{2}},
		"a number beyond all":      {func(r fleet.Repo) fleet.Fact { return fleet.PullTouched{Repo: r, Number: math.MaxInt64} }, nil},
		"a comment on no number":   {func(r fleet.Repo) fleet.Fact { return fleet.Commented{Repo: r, Number: -1} }, nil},
		"a repository of no id":    {func(fleet.Repo) fleet.Fact { return fleet.PullTouched{Number: 1} }, nil},
		"a branch of no id":        {func(fleet.Repo) fleet.Fact { return fleet.BranchMoved{Branch: "main"} }, nil},
		"an installation of no id": {func(fleet.Repo) fleet.Fact { return fleet.InstallationChanged{Account: "x"} }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := settled(t)
			for range 2 { // recording twice changes nothing
				must(t, w.d.Record(t.Context(), w.now, c.fact(w.repo)))
			}
			want := map[int]bool{}
			for _, n := range c.want {
				want[n] = true
			}
			equal(t, "due", w.dueNumbers(), want)
		})
	}
}

func TestCommitWakesAnUpdateThatIsBeingLookedAt(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.claim(1) // its look finds head aaa, whose checks it has just read as pending
	must(t, w.d.Record(t.Context(), w.now, fleet.CommitTouched{Repo: w.repo, SHA: "aaa"}))
	w.look(c, fleet.UpdateChecks, "aaa")
	if !w.dueNumbers()[1] {
		t.Error("the wake-up was lost")
	}
}

func TestRepositoryComesAndGoes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.touch(1)
	late := fleet.PullTouched{Repo: w.repo, Number: 1}
	watched := func(what string, want bool) {
		t.Helper()
		repos, err := w.d.Repos(t.Context())
		must(t, err)
		claims, err := w.d.ClaimUpdates(t.Context(), w.now, 0, 10)
		must(t, err)
		if (len(repos) == 1) != want || (len(claims) == 1) != want {
			t.Errorf("%s: %d repositories, %d updates to look at; watched should be %v", what, len(repos), len(claims), want)
		}
	}
	record := func(facts ...fleet.Fact) {
		t.Helper()
		must(t, w.d.Record(t.Context(), w.now, facts...))
	}
	watched("at first", true)
	record(fleet.InstallationChanged{ID: 3, Suspended: true})
	watched("suspended", false)
	record(fleet.InstallationChanged{ID: 3})
	watched("not suspended any more", true)
	record(fleet.InstallationChanged{ID: 3, Dropped: []fleet.Repo{w.repo}})
	watched("dropped", false)
	record(late)
	watched("after a late event", false)
	record(fleet.InstallationChanged{ID: 3, Added: []fleet.Repo{w.repo}})
	watched("added again", true)
	record(fleet.RepositoryChanged{Repo: w.repo, Removed: true})
	watched("deleted", false)
	record(fleet.InstallationChanged{ID: 3, Removed: true})
	record(fleet.InstallationChanged{ID: 4, Added: []fleet.Repo{w.repo}})
	watched("under a new installation", true)
}

func TestRepositoryKeepsWhatAnEventDoesNotSay(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	must(t, w.d.Record(t.Context(), w.now,
		fleet.RepositoryChanged{Repo: fleet.Repo{ID: 7, Owner: "o", Name: "renamed"}},
		fleet.PullTouched{Repo: fleet.Repo{ID: 7}, Number: 1}))
	repos, err := w.d.Repos(t.Context())
	must(t, err)
	want := w.repo
	want.Name = "renamed"
	equal(t, "repositories", repos, []fleet.Repo{want})
}

func TestRequestsOfPeopleAreKeptOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	by := fleet.Actor{ID: 5, Login: "nul \x00", Type: "User"}
	for range 2 {
		must(t, w.d.Record(t.Context(), w.now,
			fleet.Pressed{Repo: w.repo, Numbers: []int{1, 2}, SHA: "aaa", Action: "hold", By: by},
			fleet.Commented{Repo: w.repo, Number: 1, Comment: 77, By: by}))
	}
	if n := w.count(`select count(*) from requests`); n != 3 {
		t.Errorf("%d requests are kept, want 3", n)
	}
}

func TestWakingNeverPutsOff(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.touch(1)
	w.after(time.Hour)
	w.touch(1)
	if n := w.count(`select count(*) from updates where due_at = $1`, t0); n != 1 {
		t.Error("a second wake-up moved the first")
	}
}
