package db_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/nixfleet/nixfleet/db"
	"github.com/nixfleet/nixfleet/fleet"
)

// rollingBack is a rollout of web1 and web2 that rolls back; web1 had switched.
func (w *world) rollingBack() {
	w.t.Helper()
	w.hosts("web1", "web2")
	w.running("R1", "ccc", "web1", "web2")
	w.answer("R1-web1", "web1", 1, "switching")
	w.answer("R1-web1", "web1", 2, "failed")
	w.answer("R1-web2", "web2", 1, "failed")
	must(w.t, w.d.SetRolloutState(w.t.Context(), "R1", db.StateChange{
		From: []fleet.RolloutState{fleet.RolloutRunning}, To: fleet.RolloutRollingBack, Actor: "ada", Reason: "it breaks"}, w.now))
}

func (w *world) restore(of, id string) (string, error) {
	return w.d.StartRestore(w.t.Context(), of, db.NewRollout{ID: id, Reason: "rolling back", Actor: "policy"}, w.now)
}

// Both replicas find that the rollout needs a way back, at the same moment.
func TestARolloutThatRollsBackIsRestoredByOne(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.rollingBack()
	var racing sync.WaitGroup
	ids := make([]string, 8)
	for i := range ids {
		racing.Go(func() {
			var err error
			if ids[i], err = w.restore("R1", fmt.Sprintf("S%d", i)); err != nil {
				t.Error(err)
			}
		})
	}
	racing.Wait()
	if n := w.count(`select count(*) from rollouts where restores = 'R1'`); n != 1 {
		t.Fatalf("%d rollouts restore it", n)
	}
	for _, id := range ids {
		if id != ids[0] || id == "" {
			t.Errorf("the replicas go on with different ones: %v", ids)
		}
	}
	// Ended, it is still the one: nothing rolls back twice.
	must(t, w.d.SetRolloutState(t.Context(), ids[0], db.StateChange{From: []fleet.RolloutState{fleet.RolloutPlanned}, To: fleet.RolloutAborted}, w.now))
	if id, err := w.restore("R1", "S9"); id != ids[0] || err != nil {
		t.Errorf("once more: %s, %v", id, err)
	}
}

func TestRestoreAndParentSeeEachOther(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.rollingBack()
	_, err := w.restore("R1", "S1")
	must(t, err)
	w.after(time.Second)
	waiting := w.rollout("R3", "ddd") // pushed meanwhile
	if !waiting.OtherRunning || waiting.Newer {
		t.Errorf("a rollout that waits for both: %+v", waiting)
	}
	c := w.lookAtRollout("S1")
	switch {
	case c.Parent == nil || len(c.Parent.Hosts) != 2 || !c.Parent.Hosts[0].Switched || c.Parent.Hosts[1].Switched:
		t.Fatalf("what it restores: %+v", c.Parent)
	case c.OtherRunning || c.Newer:
		t.Errorf("its parent or a newer commit is in its way: %+v", c)
	case c.Rollout.Kind != fleet.RolloutRestore || c.Rollout.Restores != "R1" || c.Rollout.Commit != "ccc":
		t.Errorf("the restore is %+v", c.Rollout)
	}
	must(t, w.d.SaveRollout(t.Context(), c, fleet.Move{State: fleet.RolloutRunning, Hosts: []fleet.HostProgress{
		{Host: "web1", State: fleet.HostWaiting, Target: fleet.System{Path: "/nix/store/old", Commit: "bbb"}},
	}}, &fleet.Plan{}, nil, w.now))
	parent := w.claimRollout("R1") // woken by its start
	if parent.Restoring == nil || parent.Restoring.ID != "S1" || parent.Restoring.State != fleet.RolloutRunning ||
		len(parent.Restoring.Hosts) != 1 || parent.Restoring.Hosts[0].Target.Path != "/nix/store/old" {
		t.Errorf("what restores it: %+v", parent.Restoring)
	}
	must(t, w.d.PostponeRollout(t.Context(), parent, time.Time{}))
	if o, err := w.d.Overview(t.Context(), w.now); err != nil || len(o.Rollouts) != 3 {
		t.Errorf("shown are %d rollouts, %v", len(o.Rollouts), err)
	}
	if keys := w.effects(); fmt.Sprint(keys) != "[deployment:R1 deployment:R3 send:web1 send:web2]" {
		t.Errorf("effects: %v; GitHub has no deployment of a restore", keys)
	}
	if r, err := w.d.RolloutOf(t.Context(), 7, "ccc"); err != nil || r.ID != "R1" {
		t.Errorf("the rollout of the commit: %+v, %v", r, err)
	}
}

func TestAbortingWhatRollsBackAbortsItsRestore(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.rollingBack()
	_, err := w.restore("R1", "S1")
	must(t, err)
	must(t, w.d.SetRolloutState(t.Context(), "R1", db.StateChange{
		From: []fleet.RolloutState{fleet.RolloutRollingBack}, To: fleet.RolloutAborted, Actor: "ada"}, w.now))
	if n := w.count(`select count(*) from rollouts where state = 'aborted' and ended_at is not null`); n != 2 {
		t.Errorf("%d of 2 rollouts are aborted", n)
	}
}

// What has ended is undone at a person's word, as often as that is given.
func TestAnEndedRolloutIsRestoredAtAPersonsWord(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.hosts("web1")
	w.running("R1", "ccc", "web1")
	if _, err := w.restore("R1", "S1"); !errors.Is(err, db.ErrConflict) {
		t.Errorf("while it runs: %v, want ErrConflict", err)
	}
	_, err := w.d.Pool().Exec(t.Context(), `update rollouts set state = 'succeeded', ended_at = now()`)
	must(t, err)
	for _, id := range []string{"S1", "S2"} { // the second is a double click
		if got, err := w.restore("R1", id); got != "S1" || err != nil {
			t.Errorf("got %s, %v", got, err)
		}
	}
	_, err = w.d.Pool().Exec(t.Context(), `update rollouts set state = 'succeeded', ended_at = now() where id = 'S1'`)
	must(t, err)
	if d, err := w.d.Deployment(t.Context(), "R1"); err != nil || !d.Restored {
		t.Errorf("the deployment of what was undone: %+v, %v", d, err)
	}
	if got, err := w.restore("R1", "S3"); got != "S3" || err != nil {
		t.Errorf("asked for again once it has ended: %s, %v", got, err)
	}
	if _, err := w.restore("S3", "S4"); !errors.Is(err, db.ErrConflict) {
		t.Errorf("a restore of a restore: %v, want ErrConflict", err)
	}
}

// A person rolls a halted rollout back at the moment when the next one starts.
func TestRollingBackDoesNotBeginBesideAnotherRollout(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.hosts("web1")
	w.running("R1", "ccc", "web1")
	_, err := w.d.Pool().Exec(t.Context(), `update rollouts set state = 'halted'`)
	must(t, err)
	c := w.rollout("R2", "ddd")
	must(t, w.d.SaveRollout(t.Context(), c, fleet.Move{State: fleet.RolloutRunning}, &fleet.Plan{}, nil, w.now))
	err = w.d.SetRolloutState(t.Context(), "R1", db.StateChange{From: []fleet.RolloutState{fleet.RolloutHalted}, To: fleet.RolloutRollingBack}, w.now)
	if !errors.Is(err, db.ErrConflict) {
		t.Errorf("got %v, want ErrConflict", err)
	}
}

// What answers say of a host without moving it is not lost to a move that did not know.
func TestWhatAnswersTellSurvivesAMove(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.hosts("web1")
	w.running("R1", "ccc", "web1")
	w.answer("R1-web1", "web1", 1, "verifying")
	must(t, w.d.SetRolloutState(t.Context(), "R1", db.StateChange{From: []fleet.RolloutState{fleet.RolloutRunning}, To: fleet.RolloutRunning}, w.now))
	_, err := w.d.Pool().Exec(t.Context(), `update rollout_hosts set switched = false`) // as if the first answers were lost
	must(t, err)
	c := w.claimRollout("R1")
	w.answer("R1-web1", "web1", 2, "switching") // too late to move it
	m := fleet.Move{State: fleet.RolloutRunning, Hosts: cloneHosts(c.Rollout.Hosts)}
	m.Hosts[0].Before = fleet.System{Path: "/nix/store/old", Commit: "bbb"}
	must(t, w.d.SaveRollout(t.Context(), c, m, nil, nil, w.now))
	r, err := w.d.Rollout(t.Context(), "R1")
	must(t, err)
	if h := r.Hosts[0]; !h.Switched || h.Before.Path != "/nix/store/old" || h.State != fleet.HostVerifying {
		t.Errorf("the host is %+v", h)
	}
}

// What a host is to run in the end is known as soon as it has built it, and what it ran
// before also where nobody knew when it was ordered.
func TestAChangeTellsWhereAHostComesFromAndGoesTo(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.hosts("web1")
	w.running("R1", "ccc", "web1")
	row := answerTo("R1-web1", "web1", 1, "deferred")
	row.Note = "It waits for a restart."
	row.Change = &fleet.Change{From: fleet.System{Path: "/nix/store/old", Commit: "bbb"}, To: fleet.System{Path: "/nix/store/new", Commit: "ccc"}}
	_, err := w.d.RecordAnswers(t.Context(), []db.AnswerRow{row}, w.now)
	must(t, err)
	r, err := w.d.Rollout(t.Context(), "R1")
	must(t, err)
	if h := r.Hosts[0]; h.State != fleet.HostDeferred || h.Before != row.Change.From || h.Target != row.Change.To || h.Note != row.Note {
		t.Errorf("the host is %+v", h)
	}
}
