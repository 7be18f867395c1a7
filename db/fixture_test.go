package db_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nixfleet/nixfleet/db"
	"github.com/nixfleet/nixfleet/db/dbtest"
	"github.com/nixfleet/nixfleet/fleet"
)

// t0 is when tests begin. Time moves only by hand.
var t0 = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

const lease = time.Minute

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func equal(t testing.TB, what string, got, want any, opts ...cmp.Option) {
	t.Helper()
	if diff := cmp.Diff(want, got, opts...); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// eventually waits until a condition holds.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	deadline := time.NewTimer(20 * time.Second)
	defer deadline.Stop()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-deadline.C:
			t.Fatalf("never came true: %s", what)
		case <-tick.C:
		}
	}
}

// fleetRepo is an installation that may read one repository.
func fleetRepo(id int64) fleet.InstallationChanged {
	return fleet.InstallationChanged{ID: 3, Account: "o", Added: []fleet.Repo{
		{ID: id, Installation: 3, Owner: "o", Name: fmt.Sprintf("r%d", id), DefaultBranch: "main"},
	}}
}

// world is a database with one repository, and shortcuts for what tests do often.
type world struct {
	t    testing.TB
	d    *db.DB
	repo fleet.Repo
	now  time.Time
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{t: t, d: dbtest.New(t), now: t0}
	f := fleetRepo(7)
	w.repo = f.Added[0]
	must(t, w.d.Record(t.Context(), w.now, f))
	return w
}

func (w *world) after(d time.Duration) time.Time {
	w.now = w.now.Add(d)
	return w.now
}

func (w *world) touch(number int) {
	w.t.Helper()
	must(w.t, w.d.Record(w.t.Context(), w.now, fleet.PullTouched{Repo: w.repo, Number: number}))
}

// claim touches a pull request and claims it.
func (w *world) claim(number int) db.UpdateClaim {
	w.t.Helper()
	w.touch(number)
	return w.claimDue()
}

func (w *world) claimDue() db.UpdateClaim {
	w.t.Helper()
	claims, err := w.d.ClaimUpdates(w.t.Context(), w.now, lease, 10)
	must(w.t, err)
	if len(claims) != 1 {
		w.t.Fatalf("%d updates are due, want 1", len(claims))
	}
	return claims[0]
}

// look stores a verdict of the given state for the claim.
func (w *world) look(c db.UpdateClaim, state fleet.UpdateState, sha string) {
	w.t.Helper()
	must(w.t, w.d.SaveVerdict(w.t.Context(), c, verdict(state, sha), w.now))
}

func verdict(state fleet.UpdateState, sha string) db.VerdictChange {
	v := fleet.Verdict{State: state, HeadSHA: sha, Headline: "It is " + string(state) + ".", At: t0}
	if state == fleet.UpdateMerging {
		v.Merge = &fleet.MergeOrder{HeadSHA: sha, Method: "squash", By: fleet.Actor{Login: "policy"}}
	}
	return db.VerdictChange{Verdict: v, Pull: fleet.Pull{Title: "Update flake.lock", URL: "https://github.com/o/r7/pull/1", HeadSHA: sha, State: "open"}}
}

func (w *world) update(id int64) fleet.Update {
	w.t.Helper()
	u, err := w.d.Update(w.t.Context(), id)
	must(w.t, err)
	return u
}

// effects are the keys of the effects that are due, which it claims and finishes.
func (w *world) effects() []string {
	w.t.Helper()
	claimed, err := w.d.ClaimEffects(w.t.Context(), w.now, lease, 1000)
	must(w.t, err)
	keys := map[string]bool{}
	for _, e := range claimed {
		keys[e.Key] = true
		must(w.t, w.d.FinishEffect(w.t.Context(), e))
	}
	return sorted(keys)
}

// hosts enrols hosts by name.
func (w *world) hosts(names ...string) {
	w.t.Helper()
	for _, n := range names {
		h := fleet.Host{RepoID: w.repo.ID, Name: n, Attr: "nixosConfigurations." + n, Tags: []string{"web"}}
		must(w.t, w.d.CreateHost(w.t.Context(), db.NewHost{Host: h, TokenHash: []byte("token of " + n), Expires: w.now.Add(time.Hour)}, w.now))
		_, err := w.d.EnrollHost(w.t.Context(), []byte("token of "+n), n, "U"+n, w.now)
		must(w.t, err)
	}
}

// rollout plans a rollout by a push and claims it.
func (w *world) rollout(id, commit string) db.RolloutClaim {
	w.t.Helper()
	repos, err := w.d.ClaimRepos(w.t.Context(), w.after(time.Second), lease, 10)
	must(w.t, err)
	if len(repos) == 0 {
		must(w.t, w.d.Record(w.t.Context(), w.now, fleet.RepositoryChanged{Repo: w.repo}))
		repos, err = w.d.ClaimRepos(w.t.Context(), w.now, lease, 10)
		must(w.t, err)
	}
	must(w.t, w.d.SaveRepo(w.t.Context(), repos[0], db.RepoChange{HeadSHA: commit, Rollout: &db.NewRollout{
		ID: id, RepoID: w.repo.ID, Commit: commit, Deploy: fleet.DefaultPolicy().Deploy, Reason: "test", Actor: "push",
	}}, w.now))
	return w.claimRollout(id)
}

func (w *world) claimRollout(id string) db.RolloutClaim {
	w.t.Helper()
	claims, err := w.d.ClaimRollouts(w.t.Context(), w.now, lease, 1000)
	must(w.t, err)
	for _, c := range claims {
		if c.Rollout.ID == id {
			return c
		}
		must(w.t, w.d.PostponeRollout(w.t.Context(), c, time.Time{}))
	}
	w.t.Fatalf("rollout %s is not due", id)
	return db.RolloutClaim{}
}

// running starts a rollout in which every named host has its order, called by
// rollout and host.
func (w *world) running(id, commit string, names ...string) {
	w.t.Helper()
	// One of a repository runs at a time, so what ran before has ended.
	_, err := w.d.Pool().Exec(w.t.Context(), `update rollouts set state = 'aborted', due_at = null where state = 'running'`)
	must(w.t, err)
	c := w.rollout(id, commit)
	plan := fleet.Plan{Waves: []fleet.Wave{{Name: "all", Hosts: names}}, MaxParallel: len(names), MaxFailures: 1}
	m := fleet.Move{State: fleet.RolloutRunning, Headline: "Deploying", Orders: names}
	var orders []fleet.Order
	for _, n := range names {
		m.Hosts = append(m.Hosts, fleet.HostProgress{Host: n, State: fleet.HostOrdered, Since: w.now, StartedAt: w.now})
		orders = append(orders, w.order(id+"-"+n, n, id, commit))
	}
	must(w.t, w.d.SaveRollout(w.t.Context(), c, m, &plan, orders, w.now))
}

func (w *world) order(id, host, rollout, commit string) fleet.Order {
	return fleet.Order{
		ID: id, Host: host, Kind: "deploy", Rollout: rollout, RepoID: w.repo.ID, Commit: commit, Actor: "push",
		IssuedAt: w.now, ExpiresAt: w.now.Add(time.Hour),
	}
}

// count runs a query for one number.
func (w *world) count(sql string, a ...any) int {
	w.t.Helper()
	var n int
	must(w.t, w.d.Pool().QueryRow(w.t.Context(), sql, a...).Scan(&n))
	return n
}

func sorted(set map[string]bool) []string {
	list := make([]string, 0, len(set))
	for k := range set {
		list = append(list, k)
	}
	slices.Sort(list)
	return list
}

// asksMerge is a person's Merge & Deploy on the dashboard.
func (w *world) asksMerge(updateID int64, m fleet.MergeRequest) error {
	w.t.Helper()
	return w.d.GrantRequest(w.t.Context(), db.RequestClaim{UpdateID: updateID, Action: "merge", SHA: m.HeadSHA, By: m.By, At: m.At},
		db.RequestEnd{Result: db.RequestAllowed, Why: "asked for", Merge: &m}, w.now)
}
