package db_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/nixfleet/nixfleet/db"
	"github.com/nixfleet/nixfleet/fleet"
)

func TestOverviewShowsWhatMatters(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.hosts("web2", "web1", "gone")
	err := w.d.RevokeHost(t.Context(), "gone", "ada", w.now)
	must(t, err)
	w.look(w.claim(1), fleet.UpdateClosed, "aaa")
	w.after(25 * time.Hour)
	w.look(w.claim(2), fleet.UpdateMerged, "bbb")
	w.after(time.Second)
	w.look(w.claim(3), fleet.UpdateHolding, "ccc")
	w.touch(4) // not looked at yet
	w.running("R1", "c1", "web1")
	must(t, w.d.EndRollout(t.Context(), w.woken("R1"), fleet.RolloutSucceeded, "done", w.now))
	w.running("R2", "c2", "web2")
	must(t, w.d.EndRollout(t.Context(), w.woken("R2"), fleet.RolloutFailed, "failed", w.now))
	w.running("R3", "c3", "web1", "web2")

	v, err := w.d.Overview(t.Context(), w.now)
	must(t, err)
	var hosts, rollouts []string
	var updates []int
	for _, h := range v.Hosts {
		hosts = append(hosts, h.Host.Name)
	}
	for _, u := range v.Updates {
		updates = append(updates, u.Number)
	}
	for _, r := range v.Rollouts {
		rollouts = append(rollouts, fmt.Sprint(r.ID, " ", r.State, " ", len(r.Hosts)))
	}
	equal(t, "hosts", hosts, []string{"web1", "web2"})
	equal(t, "updates", updates, []int{3, 2})
	equal(t, "rollouts", rollouts, []string{"R3 running 2", "R2 failed 1"})
	if len(v.Repos) != 1 || v.Repos[0].HeadSHA != "c3" || v.Repos[0].Repo != w.repo {
		t.Errorf("repositories = %+v", v.Repos)
	}
}

// woken makes a rollout due and claims it.
func (w *world) woken(id string) db.RolloutClaim {
	w.t.Helper()
	_, err := w.d.Pool().Exec(w.t.Context(), `update rollouts set due_at = $1 where id = $2`, w.now, id)
	must(w.t, err)
	return w.claimRollout(id)
}

func TestRepositoryShowsItsPolicy(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	policy := fleet.DefaultPolicy()
	for _, change := range []db.RepoChange{
		{Policy: &policy, DefaultBranch: "trunk", HeadSHA: "aaa"},
		{PolicyError: "line 3: unknown key"}, // keeps the last one that was well
	} {
		must(t, w.d.Record(t.Context(), w.now, fleet.RepositoryChanged{Repo: fleet.Repo{ID: 7}}))
		claims, err := w.d.ClaimRepos(t.Context(), w.after(lease), lease, 1)
		must(t, err)
		must(t, w.d.SaveRepo(t.Context(), claims[0], change, w.now))
	}
	v, err := w.d.Overview(t.Context(), w.now)
	must(t, err)
	repo := w.repo
	repo.DefaultBranch = "trunk"
	equal(t, "repositories", v.Repos, []fleet.RepoView{{
		Repo: repo, HeadSHA: "aaa", HeadAt: t0.Add(lease), PolicyError: "line 3: unknown key", Policy: &policy,
	}})
}

// A list wakes what is new in it, what it shows changed, and what is missing from
// it; the rest sleeps on.
func TestListedPullRequestsAreLookedAt(t *testing.T) {
	t.Parallel()
	w := settled(t) // 1 and 2 are open, 3 is merged, 4 is none
	list := func(step, head string, want map[int]bool, open ...fleet.OpenPull) {
		t.Helper()
		_, err := w.d.Pool().Exec(t.Context(), `update updates set due_at = 'infinity'`)
		must(t, err)
		must(t, w.d.Record(t.Context(), w.after(time.Hour), fleet.RepositoryChanged{Repo: w.repo}))
		claims, err := w.d.ClaimRepos(t.Context(), w.now, lease, 1)
		must(t, err)
		must(t, w.d.SaveRepo(t.Context(), claims[0], db.RepoChange{OpenPulls: open, HeadSHA: head}, w.now))
		equal(t, step, w.dueNumbers(), want)
	}
	at := func(n int, version string) fleet.OpenPull { return fleet.OpenPull{Number: n, Version: version} }
	list("at first", "main1", map[int]bool{1: true, 2: true, 9: true}, at(1, "a"), at(9, "c"), at(2, "b"), at(9, "c"), at(-1, "x"))
	list("the same", "main1", map[int]bool{}, at(1, "a"), at(2, "b"), at(9, "c"))
	list("one changed", "main1", map[int]bool{2: true}, at(1, "a"), at(2, "b2"), at(9, "c"))
	list("one missing", "main1", map[int]bool{1: true}, at(2, "b2"), at(9, "c"))
	list("none listed", "main1", map[int]bool{1: true, 2: true, 9: true}, []fleet.OpenPull{}...)
	list("back", "main1", map[int]bool{}, at(1, "a"), at(2, "b2"), at(9, "c"))
	list("default branch moved", "main2", map[int]bool{1: true, 2: true, 9: true}, at(1, "a"), at(2, "b2"), at(9, "c"))
	list("not an update", "main2", map[int]bool{4: true}, at(1, "a"), at(2, "b2"), at(9, "c"), at(4, "e"))
	list("not an update still", "main2", map[int]bool{}, at(1, "a"), at(2, "b2"), at(9, "c"), at(4, "e"))
	list("another policy", "main3", map[int]bool{1: true, 2: true, 9: true}, at(1, "a"), at(2, "b2"), at(9, "c"), at(4, "e"))
	list("which may take it for one", "main3", map[int]bool{4: true}, at(1, "a"), at(2, "b2"), at(9, "c"), at(4, "e"))
	list("reopened", "main3", map[int]bool{3: true}, at(1, "a"), at(2, "b2"), at(9, "c"), at(4, "e"), at(3, "d"))
}

func TestStatsSayWhatWaits(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s, err := w.d.Stats(t.Context(), w.now)
	must(t, err)
	equal(t, "at first", s, db.Stats{})
	w.hosts("web1")
	w.look(w.claim(1), fleet.UpdateChecks, "aaa")
	w.touch(1)
	_, err = w.d.StoreDelivery(t.Context(), delivery("a"))
	must(t, err)
	s, err = w.d.Stats(t.Context(), w.after(time.Minute))
	must(t, err)
	equal(t, "then", s, db.Stats{
		InboxWaiting: 1, InboxLag: time.Minute, LastDelivery: t0, EffectsWaiting: 2, EffectsLag: time.Minute, UpdatesDue: 1, Hosts: 1,
	})
	v, err := w.d.Overview(t.Context(), w.after(time.Hour))
	must(t, err)
	equal(t, "hearing", v.GitHub, fleet.Hearing{LastDelivery: t0, Waiting: 1, Oldest: t0, StaleRepos: 1})
}
