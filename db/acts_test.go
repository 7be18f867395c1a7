package db_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/nixfleet/nixfleet/db"
	"github.com/nixfleet/nixfleet/fleet"
)

func (w *world) wish(id, commit, request string) db.NewRollout {
	return db.NewRollout{
		ID: id, RepoID: w.repo.ID, Commit: commit, Deploy: fleet.DefaultPolicy().Deploy, ByPerson: true, Request: request, Actor: "ada", Reason: "now",
	}
}

func TestAPersonsWishBeginsOneRollout(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.hosts("web1")
	w.rollout("R1", "ccc") // of its own accord
	start := func(n db.NewRollout, want string) {
		t.Helper()
		if id, err := w.d.StartRollout(t.Context(), n, w.now); id != want || err != nil {
			t.Errorf("%s: got %q, %v, want %s", n.ID, id, err, want)
		}
	}
	start(w.wish("P1", "ccc", "ada wants ccc"), "P1") // the same commit again is a person's to ask for
	start(w.wish("P2", "ccc", "ada wants ccc"), "P1") // a double click
	start(w.wish("P3", "ccc", "eve wants ccc"), "P3")
	_, err := w.d.Pool().Exec(t.Context(), `update rollouts set state = 'succeeded', ended_at = now()`)
	must(t, err)
	start(w.wish("P4", "ccc", "ada wants ccc"), "P4")
	keyed := func(id, sum string) db.NewRollout {
		n := w.wish(id, "ccc", "")
		n.Key = db.OrderKey{Key: "K1", Sum: sum}
		return n
	}
	start(keyed("K1", "all of ccc"), "K1")
	_, err = w.d.Pool().Exec(t.Context(), `update rollouts set state = 'succeeded', ended_at = now()`)
	must(t, err)
	start(keyed("K2", "all of ccc"), "K1") // the same request, repeated because its answer was lost
	start(w.wish("P7", "ccc", "ada wants ccc"), "P7")
	other := w.wish("P8", "ccc", "ada wants ccc")
	other.Key = db.OrderKey{Key: "K9", Sum: "ada wants ccc"}
	start(other, "P7") // another press for what goes on
	_, err = w.d.Pool().Exec(t.Context(), `update rollouts set state = 'succeeded', ended_at = now()`)
	must(t, err)
	start(other, "P7")
	if _, err := w.d.StartRollout(t.Context(), keyed("K3", "web1 of ccc"), w.now); !errors.Is(err, db.ErrOtherRequest) {
		t.Errorf("the key for another wish: %v, want ErrOtherRequest", err)
	}
	only := w.wish("P6", "ccc", "")
	only.Only = []string{"web1"}
	start(only, "P6")
	if c := w.claimRollout("P6"); !c.ByPerson || len(c.Only) != 1 || c.Only[0] != "web1" {
		t.Errorf("claimed as %+v", c)
	}
}

func TestQuarantineKeepsACommitBackUntilItIsLifted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.hosts("web1")
	w.running("R1", "ccc", "web1")
	w.answer("R1-web1", "web1", 1, "failed")
	say := func(rollout, why string) {
		t.Helper()
		c := w.claimRollout(rollout)
		must(t, w.d.SaveRollout(t.Context(), c, fleet.Move{State: c.Rollout.State, Hosts: c.Rollout.Hosts, Quarantine: why, RevertPR: true}, nil, nil, w.now))
		must(t, w.d.SetRolloutState(t.Context(), rollout, db.StateChange{From: []fleet.RolloutState{c.Rollout.State}, To: c.Rollout.State}, w.now))
	}
	say("R1", "1 host failed")
	say("R1", "1 host failed") // as long as it is so
	if why, err := w.d.Quarantined(t.Context(), w.repo.ID, "ccc"); why != "1 host failed" || err != nil {
		t.Errorf("it is in quarantine: %q, %v", why, err)
	}
	if why, err := w.d.Quarantined(t.Context(), w.repo.ID, "ddd"); why != "" || err != nil {
		t.Errorf("a newer commit: %q, %v", why, err)
	}
	if c := w.claimRollout("R1"); c.Quarantine != "1 host failed" {
		t.Errorf("the claim says %q", c.Quarantine)
	}
	_, err := w.d.StartRollout(t.Context(), w.wish("P1", "ccc", ""), w.now)
	if !errors.Is(err, db.ErrQuarantined) || !strings.Contains(err.Error(), "1 host failed") {
		t.Errorf("a person's deploy: %v, want ErrQuarantined with the reason", err)
	}
	forced := w.wish("P2", "ccc", "")
	forced.Force = true
	if _, err := w.d.StartRollout(t.Context(), forced, w.now); err != nil {
		t.Errorf("with force: %v", err)
	}
	must(t, w.d.LiftQuarantine(t.Context(), w.repo.ID, "ccc", "ada", "the disk was full", w.now))
	if err := w.d.LiftQuarantine(t.Context(), w.repo.ID, "ccc", "ada", "again", w.now); !errors.Is(err, db.ErrNotFound) {
		t.Errorf("lifted twice: %v, want ErrNotFound", err)
	}
	must(t, w.d.SetRolloutState(t.Context(), "R1", db.StateChange{From: []fleet.RolloutState{fleet.RolloutRunning}, To: fleet.RolloutRunning}, w.now))
	say("R1", "1 host failed") // what a person lifted stays lifted
	if list, err := w.d.Quarantines(t.Context()); err != nil || len(list) != 0 {
		t.Errorf("still in quarantine: %+v, %v", list, err)
	}
	say("P2", "it failed again") // but another rollout may find it bad once more
	if list, err := w.d.Quarantines(t.Context()); err != nil || len(list) != 1 || list[0].Rollout != "P2" || list[0].LiftedBy != "" {
		t.Errorf("in quarantine: %+v, %v", list, err)
	}
	if n := w.count(`select count(*) from history where kind like 'quarantine.%'`); n != 3 {
		t.Errorf("%d lines of history, want 3", n)
	}
	if n := w.count(`select count(*) from outbox where kind = 'revert'`); n != 2 {
		t.Errorf("%d reverts are asked for, want one for each rollout", n)
	}
}

func TestAHostIsExcluded(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.hosts("web1", "web2")
	w.running("R1", "ccc", "web1", "web2")
	w.answer("R1-web2", "web2", 1, "healthy")
	held := w.lookAtRollout("R1")
	noop := w.order("N1", "web1", "", "")
	noop.Kind = "noop"
	x := db.Exclusion{Rollout: "R1", Host: "web1", Actor: "ada", Reason: "its disk is full", Instead: noop}
	must(t, w.d.ExcludeHost(t.Context(), x, w.now))
	x.Instead.ID = "N2"
	must(t, w.d.ExcludeHost(t.Context(), x, w.now)) // a double click
	equal(t, "states", w.states("R1"), map[string]fleet.HostState{"web1": fleet.HostExcluded, "web2": fleet.HostHealthy})
	if n := w.count(`select count(*) from orders where kind = 'noop'`); n != 1 {
		t.Errorf("%d orders take the place of its own", n)
	}
	if err := w.d.SaveRollout(t.Context(), held, fleet.Move{State: fleet.RolloutRunning}, nil, nil, w.now); !errors.Is(err, db.ErrConflict) {
		t.Errorf("a look from before: %v, want ErrConflict", err)
	}
	x.Host = "web2"
	if err := w.d.ExcludeHost(t.Context(), x, w.now); !errors.Is(err, db.ErrConflict) {
		t.Errorf("one that is done: %v, want ErrConflict", err)
	}
	x.Host = "web9"
	if err := w.d.ExcludeHost(t.Context(), x, w.now); !errors.Is(err, db.ErrNotFound) {
		t.Errorf("one that takes no part: %v, want ErrNotFound", err)
	}
}

// lookAtRollout makes a rollout due and claims it.
func (w *world) lookAtRollout(id string) db.RolloutClaim {
	w.t.Helper()
	_, err := w.d.Pool().Exec(w.t.Context(), `update rollouts set due_at = $2, lease_until = null where id = $1`, id, w.now)
	must(w.t, err)
	return w.claimRollout(id)
}

func TestHostsOfANewerRolloutAreLeftToIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.hosts("web1", "web2", "web3")
	w.running("R1", "ccc", "web1", "web2", "web3")
	w.after(time.Second)
	w.running("R2", "ddd", "web1", "web3")
	_, err := w.d.Pool().Exec(t.Context(), `update rollout_hosts set state = 'offline' where rollout_id = 'R1' and host <> 'web3'`)
	must(t, err)
	c := w.lookAtRollout("R1")
	equal(t, "hosts that are away and in a newer one", c.NewerHosts, map[string]bool{"web1": true})
}

// A newer rollout begins between the claim of an older one and what that decides.
func TestAnOlderCommitDoesNotComeAfterANewerOne(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.hosts("web1", "web2")
	w.running("R1", "ccc", "web1", "web2")
	_, err := w.d.Pool().Exec(t.Context(), `update rollout_hosts set state = 'offline', order_id = '' where rollout_id = 'R1'`)
	must(t, err)
	must(t, w.d.SetRolloutState(t.Context(), "R1", db.StateChange{From: []fleet.RolloutState{fleet.RolloutRunning}, To: fleet.RolloutSucceeded}, w.now))
	gives := func(c db.RolloutClaim, i int) error {
		m := fleet.Move{State: fleet.RolloutSucceeded, Hosts: cloneHosts(c.Rollout.Hosts)}
		m.Hosts[i].State, m.Hosts[i].Since = fleet.HostOrdered, w.now
		m.Orders = []string{m.Hosts[i].Host}
		return w.d.SaveRollout(t.Context(), c, m, nil, []fleet.Order{w.order("O"+m.Orders[0], m.Orders[0], "R1", "ccc")}, w.now)
	}
	c := w.lookAtRollout("R1")
	w.after(time.Second)
	w.running("R2", "ddd", "web1")
	if err := gives(c, 0); !errors.Is(err, db.ErrConflict) {
		t.Errorf("web1 is the newer rollout's: %v, want ErrConflict", err)
	}
	if n := w.count(`select count(*) from orders where host = 'web1' and rollout_id = 'R1' and id <> 'R1-web1'`); n != 0 {
		t.Errorf("%d orders of the older rollout", n)
	}
	must(t, gives(w.lookAtRollout("R1"), 1)) // web2 is none of the newer one's
}

func TestRolloutsAreListedAPageAtATime(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.hosts("web1")
	for i, id := range []string{"R1", "R2", "R3"} {
		w.running(id, string(rune('a'+i)), "web1")
	}
	_, err := w.d.Pool().Exec(t.Context(), `update rollout_hosts set failure = '{"message": "a long story"}', note = 'and more'`)
	must(t, err)
	ids := func(p db.RolloutPage) (ids string) {
		t.Helper()
		list, err := w.d.Rollouts(t.Context(), p)
		must(t, err)
		for _, r := range list {
			ids += r.ID
			if len(r.Hosts) != 1 || r.Hosts[0].Order != r.ID+"-web1" || r.Hosts[0].Failure != nil {
				t.Errorf("%s comes with %+v", r.ID, r.Hosts)
			}
		}
		return ids
	}
	for want, p := range map[string]db.RolloutPage{
		"R3R2": {Limit: 2}, "R1": {Limit: 2, Before: "R2"}, "R3": {Limit: 9, State: fleet.RolloutRunning}, "": {Limit: 9, State: fleet.RolloutHalted},
	} {
		if got := ids(p); got != want {
			t.Errorf("%+v: got %s, want %s", p, got, want)
		}
	}
	if like, err := w.d.RolloutsLike(t.Context(), "R"); err != nil || len(like) != 2 {
		t.Errorf("more than one has that prefix: %v, %v", like, err)
	}
}

func TestARevertIsKeptBeforeItIsMadeAndEndsOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.hosts("web1")
	w.running("R1", "ccc", "web1")
	made := fleet.Revert{Commit: "abc", Base: "def"}
	must(t, w.d.NoteRevertCommit(t.Context(), "R1", fleet.Revert{}, made))
	if err := w.d.NoteRevertCommit(t.Context(), "R1", fleet.Revert{}, fleet.Revert{Commit: "xyz"}); !errors.Is(err, db.ErrConflict) {
		t.Errorf("another worker's: %v, want ErrConflict", err)
	}
	end := fleet.Revert{Commit: "abc", Base: "def", Number: 9, Found: "It is pull request #9."}
	must(t, w.d.EndRevert(t.Context(), "R1", end, w.now))
	must(t, w.d.EndRevert(t.Context(), "R1", fleet.Revert{Found: "late"}, w.now))
	r, err := w.d.Rollout(t.Context(), "R1")
	must(t, err)
	equal(t, "revert", r.Revert, end)
}
