package db_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/nixfleet/nixfleet/db"
	"github.com/nixfleet/nixfleet/fleet"
)

func TestARolloutsPageTellsWhatIsAroundIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.hosts("web1", "web2")
	w.running("R1", "ccc", "web1", "web2")
	steer := func(id string, from, to fleet.RolloutState, why string) {
		t.Helper()
		must(t, w.d.SetRolloutState(t.Context(), id, db.StateChange{From: []fleet.RolloutState{from}, To: to, Actor: "ada", Reason: why}, w.after(time.Second)))
	}
	steer("R1", fleet.RolloutRunning, fleet.RolloutPaused, "lunch")
	w.rollout("R2", "ddd")
	r, err := w.d.RolloutDetail(t.Context(), "R1")
	if err != nil || r.State != fleet.RolloutPaused || len(r.Hosts) != 2 || r.Repo.FullName() != w.repo.FullName() || r.Overtook != "" {
		t.Fatalf("it tells %+v, %v", r, err)
	}
	if c := r.Happened[0]; c.What != "paused" || c.Actor != "ada" || c.Reason != "lunch" || c.At.IsZero() || r.Happened[len(r.Happened)-1].What != "planned" {
		t.Errorf("what happened: %+v", r.Happened)
	}
	if next, err := w.d.RolloutDetail(t.Context(), "R2"); err != nil || next.WaitsFor != "R1" || next.Update != nil {
		t.Errorf("what waits tells %+v, %v", next, err)
	}

	steer("R1", fleet.RolloutPaused, fleet.RolloutSuperseded, "a newer one")
	_, err = w.d.Pool().Exec(t.Context(), `update rollouts set state = 'running', started_at = now() where id = 'R2'`)
	must(t, err)
	back, err := w.d.StartRestore(t.Context(), "R1", db.NewRollout{ID: "B1", Actor: "ada", Reason: "all of it"}, w.after(time.Second))
	must(t, err)
	r, err = w.d.RolloutDetail(t.Context(), "R1")
	must(t, err)
	if r.Overtook != "R2" || r.SupersededBy != "R2" || r.RestoredBy == nil || r.RestoredBy.ID != back {
		t.Errorf("once another has come: %q, %q, %+v", r.Overtook, r.SupersededBy, r.RestoredBy)
	}
	if b, err := w.d.RolloutDetail(t.Context(), back); err != nil || b.Parent == nil || b.Parent.ID != "R1" || len(b.Parent.Hosts) != 2 || b.RestoredBy != nil {
		t.Errorf("what takes it back tells %+v, %v", b, err)
	}
	if _, err := w.d.RolloutDetail(t.Context(), "R\x00"); !errors.Is(err, db.ErrNotFound) {
		t.Errorf("an unknown one: %v, want ErrNotFound", err)
	}
}

func TestEndedRolloutsAreListedPageByPage(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.hosts("web1", "web2")
	for i := range 5 {
		id := fmt.Sprintf("R%d", i)
		w.running(id, fmt.Sprintf("ccc%d", i), "web1", "web2")
		to := fleet.RolloutAborted
		if i == 1 {
			to = fleet.RolloutSuperseded
		}
		if i < 4 {
			must(t, w.d.SetRolloutState(t.Context(), id, db.StateChange{From: []fleet.RolloutState{fleet.RolloutRunning}, To: to, Actor: "ada"}, w.after(time.Second)))
		}
	}
	for what, tt := range map[string]struct {
		q    fleet.RolloutQuery
		want string
	}{
		"the newest":         {fleet.RolloutQuery{Limit: 2}, "R3 R2 "},
		"the next page":      {fleet.RolloutQuery{Limit: 2, Before: "R2"}, "R1 R0 "},
		"after the last":     {fleet.RolloutQuery{Limit: 2, Before: "R0"}, ""},
		"of a state":         {fleet.RolloutQuery{Limit: 9, State: fleet.RolloutSuperseded}, "R1 "},
		"of a repository":    {fleet.RolloutQuery{Limit: 9, RepoID: w.repo.ID}, "R3 R2 R1 R0 "},
		"of another":         {fleet.RolloutQuery{Limit: 9, RepoID: w.repo.ID + 1}, ""},
		"what has not ended": {fleet.RolloutQuery{Limit: 9, State: fleet.RolloutRunning}, ""},
	} {
		list, err := w.d.EndedRollouts(t.Context(), tt.q)
		got := ""
		for _, r := range list {
			got += r.ID + " "
			if r.Count[fleet.HostCancelled] != 2 || len(r.Count) != 1 {
				t.Errorf("%s: %s counts %v", what, r.ID, r.Count)
			}
		}
		if got != tt.want || err != nil {
			t.Errorf("%s: %q, %v, want %q", what, got, err, tt.want)
		}
	}
}
