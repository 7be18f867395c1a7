package db_test

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/nixfleet/nixfleet/db"
	"github.com/nixfleet/nixfleet/fleet"
)

// followed is a world whose repository has a policy and a head, with hosts that
// follow it and have said what they run.
func followed(t *testing.T, names ...string) *world {
	t.Helper()
	w := newWorld(t)
	w.hosts(names...)
	mode := "automatic"
	var beats []db.Beat
	for _, n := range names {
		_, err := w.d.ChangeHost(t.Context(), n, db.HostChange{Mode: &mode}, "ada", w.now)
		must(t, err)
		beats = append(beats, db.Beat{Host: n, At: w.now, Facts: fleet.HostFacts{At: w.now, RunningCommit: "old"}})
	}
	must(t, w.d.SaveBeats(t.Context(), beats))
	w.headIs("head")
	return w
}

func (w *world) headIs(sha string) {
	w.t.Helper()
	must(w.t, w.d.Record(w.t.Context(), w.now, fleet.RepositoryChanged{Repo: w.repo}))
	repos, err := w.d.ClaimRepos(w.t.Context(), w.now, lease, 10)
	must(w.t, err)
	policy := fleet.DefaultPolicy()
	must(w.t, w.d.SaveRepo(w.t.Context(), repos[0], db.RepoChange{HeadSHA: sha, Policy: &policy, Again: w.now.Add(time.Hour)}, w.now))
}

// followFacts is what is decided from.
func (w *world) followFacts() fleet.FollowFacts {
	w.t.Helper()
	var facts fleet.FollowFacts
	_, err := w.d.FollowHead(w.t.Context(), w.repo.ID, w.now, func(f fleet.FollowFacts) ([]fleet.Order, error) {
		facts = f
		return nil, nil
	})
	must(w.t, err)
	return facts
}

func TestWhatFollowingGoesBy(t *testing.T) {
	t.Parallel()
	w := followed(t, "a", "b", "c", "d")
	w.hosts("fleet1")
	head := func(id, host string) fleet.Order {
		o := w.of("deploy", id, host)
		o.Commit, o.Actor = "head", fleet.PolicyActor
		return o
	}
	w.issue(head("A", "a"))
	failed := w.issue(head("B", "b"))[0]
	w.hears(failed, 1, "failed")
	cancelled := w.issue(head("C", "c"))[0]
	cancel := w.of("cancel", "CC", "c")
	cancel.Detail.Cancels = "C"
	w.hears(w.issue(cancel)[0], 1, "healthy")
	w.hears(w.issue(head("D", "d"))[0], 1, "healthy")
	w.hears(w.issue(w.of("rollback", "DD", "d"))[0], 1, "healthy")

	f := w.followFacts()
	if f.Head != "head" || f.Quarantine != "" || f.Deploy.MaxParallel != fleet.DefaultPolicy().Deploy.MaxParallel {
		t.Errorf("facts %+v", f)
	}
	type seen struct {
		Host    string
		Open    bool
		State   fleet.HostState
		Stopped bool
	}
	var got []seen
	for _, h := range f.Hosts {
		got = append(got, seen{h.Host.Name, h.Open, h.Tried.State, h.Stopped})
	}
	equal(t, "hosts", got, []seen{
		{"a", true, fleet.HostOrdered, false}, {"b", false, fleet.HostFailed, false},
		{"c", false, fleet.HostCancelled, true}, {"d", false, fleet.HostHealthy, true},
	})
	if o, err := w.d.Order(t.Context(), cancelled.ID); err != nil || o.State != fleet.HostCancelled {
		t.Errorf("the cancelled order: %+v, %v", o, err)
	}
	w.headIs("newer") // all of that was about another commit
	for _, h := range w.followFacts().Hosts {
		if h.Tried.ID != "" || h.Stopped {
			t.Errorf("%s: %+v", h.Host.Name, h)
		}
	}
}

func TestReposToFollow(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	due := func(what string, want bool) {
		t.Helper()
		ids, err := w.d.ReposToFollow(t.Context())
		must(t, err)
		if (len(ids) == 1) != want {
			t.Errorf("%s: %v", what, ids)
		}
	}
	w.hosts("a")
	w.headIs("head")
	due("nobody follows", false)
	mode := "automatic"
	_, err := w.d.ChangeHost(t.Context(), "a", db.HostChange{Mode: &mode}, "ada", w.now)
	must(t, err)
	due("one follows", true)
	must(t, w.d.SaveBeats(t.Context(), []db.Beat{{Host: "a", At: w.now, Facts: fleet.HostFacts{At: w.now, RunningCommit: "head"}}}))
	due("it runs the head", false)
	err = w.d.RevokeHost(t.Context(), "a", "ada", w.now)
	must(t, err)
	w.headIs("newer")
	due("it is revoked", false)
}

// Two servers that look at the same moment give no host two orders.
func TestFollowersGetOneOrder(t *testing.T) {
	t.Parallel()
	w := followed(t, "a", "b")
	var mu sync.Mutex
	n := 0
	var running sync.WaitGroup
	for range 6 {
		running.Go(func() {
			issued, err := w.d.FollowHead(t.Context(), w.repo.ID, w.now, func(f fleet.FollowFacts) ([]fleet.Order, error) {
				f.Deploy.MaxParallel = 9
				got, err := fleet.Follow(f, w.now)
				mu.Lock()
				defer mu.Unlock()
				var orders []fleet.Order
				for _, h := range got.Hosts {
					n++
					o := w.of("deploy", string(rune('A'+n)), h)
					o.Commit = f.Head
					orders = append(orders, o)
				}
				return orders, err
			})
			if err != nil {
				t.Error(err)
			}
			_ = issued
		})
	}
	running.Wait()
	if got := w.count(`select count(*) from orders`); got != 2 {
		t.Errorf("%d orders for two hosts", got)
	}
	wrong := errors.New("no policy")
	if _, err := w.d.FollowHead(t.Context(), w.repo.ID, w.now, func(fleet.FollowFacts) ([]fleet.Order, error) { return nil, wrong }); !errors.Is(err, wrong) {
		t.Errorf("a decision that can't be made: %v", err)
	}
}
