package db_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nixfleet/nixfleet/db"
	"github.com/nixfleet/nixfleet/fleet"
)

// states are the hosts of a rollout and where they are.
func (w *world) states(id string) map[string]fleet.HostState {
	w.t.Helper()
	r, err := w.d.Rollout(w.t.Context(), id)
	must(w.t, err)
	states := map[string]fleet.HostState{}
	for _, h := range r.Hosts {
		states[h.Host] = h.State
	}
	return states
}

func TestRolloutClaimCarriesWhatDecides(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.hosts("web1", "web2")
	c := w.rollout("R1", "ccc")
	equal(t, "deploy policy", c.Deploy, fleet.DefaultPolicy().Deploy)
	if c.Rollout.State != fleet.RolloutPlanned || c.Rollout.Commit != "ccc" || len(c.Hosts) != 2 || c.Newer || c.OtherRunning {
		t.Errorf("claim = %+v", c)
	}
	must(t, w.d.PostponeRollout(t.Context(), c, w.now))
	newer := w.rollout("R2", "ddd")
	if newer.Newer || newer.OtherRunning {
		t.Errorf("the newest has a newer one: %+v", newer)
	}
	must(t, w.d.SaveRollout(t.Context(), newer, fleet.Move{State: fleet.RolloutRunning}, &fleet.Plan{}, nil, w.now))
	if old := w.claimRollout("R1"); !old.Newer || !old.OtherRunning {
		t.Errorf("the old one was not woken to find the new: %+v", old)
	}
}

// Two replicas hold two claims of one repository, both taken when nothing ran.
func TestOnlyOneRolloutOfARepositoryStarts(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.hosts("web1")
	first, second := w.rollout("R1", "ccc"), w.rollout("R2", "ddd")
	must(t, w.d.SaveRollout(t.Context(), first, fleet.Move{State: fleet.RolloutRunning}, &fleet.Plan{}, nil, w.now))
	err := w.d.SaveRollout(t.Context(), second, fleet.Move{State: fleet.RolloutRunning}, &fleet.Plan{}, nil, w.now)
	if !errors.Is(err, db.ErrConflict) {
		t.Errorf("the second one: %v, want ErrConflict", err)
	}
	if n := w.count(`select count(*) from rollouts where state = 'running'`); n != 1 {
		t.Errorf("%d rollouts run", n)
	}
}

func TestRolloutStartsOncePerCommit(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.claim(1)
	w.look(c, fleet.UpdateMerging, "aaa")
	must(t, w.d.PostponeRollout(t.Context(), w.rollout("R1", "mmm"), w.now)) // the push was faster than our record
	must(t, w.d.RecordMerge(t.Context(), c.Update.ID, db.MergeRecord{HeadSHA: "aaa", MergeSHA: "mmm", At: w.now,
		Rollout: &db.NewRollout{ID: "R2", RepoID: 7, Commit: "mmm"}}))
	r, err := w.d.RolloutOf(t.Context(), 7, "mmm")
	must(t, err)
	if r.ID != "R1" || r.UpdateID != c.Update.ID {
		t.Errorf("rollout %s of update %d, want R1 of %d", r.ID, r.UpdateID, c.Update.ID)
	}
	if none, err := w.d.RolloutOf(t.Context(), 7, "nnn"); none != nil || err != nil {
		t.Errorf("of a commit without rollout: %v, %v", none, err)
	}
	if _, err := w.d.Rollout(t.Context(), "none"); !errors.Is(err, db.ErrNotFound) {
		t.Errorf("an unknown rollout: %v, want ErrNotFound", err)
	}
}

func TestMoveStoresHostsAndOrdersTogether(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.hosts("web1", "web2", "web3")
	c := w.rollout("R1", "ccc")
	plan := fleet.Plan{Waves: []fleet.Wave{{Name: "all", Hosts: []string{"web3", "web1", "web2"}, Soak: time.Minute}}, MaxParallel: 1}
	m := fleet.Move{State: fleet.RolloutRunning, Headline: "Deploying 0/3 hosts…", Orders: []string{"web1"}, Again: w.now.Add(time.Hour)}
	for _, h := range plan.Waves[0].Hosts {
		m.Hosts = append(m.Hosts, fleet.HostProgress{Host: h, State: fleet.HostWaiting})
	}
	m.Hosts[1].State, m.Hosts[1].Since, m.Hosts[1].StartedAt = fleet.HostOrdered, w.now, w.now
	must(t, w.d.SaveRollout(t.Context(), c, m, &plan, []fleet.Order{w.order("O1", "web1", "R1", "ccc")}, w.now))

	r, err := w.d.Rollout(t.Context(), "R1")
	must(t, err)
	m.Hosts[1].Order = "O1"
	equal(t, "rollout", r, fleet.Rollout{
		ID: "R1", Kind: fleet.RolloutDeploy, RepoID: 7, Commit: "ccc", State: fleet.RolloutRunning, Plan: plan, Reason: "test", Actor: "push",
		Headline: m.Headline, StartedAt: w.now, Hosts: m.Hosts,
	})
	equal(t, "effects", w.effects(), []string{"deployment:R1", "send:web1"})
	o, err := w.d.Order(t.Context(), "O1")
	must(t, err)
	if o.Gen != 1 || o.State != fleet.HostOrdered || o.Rollout != "R1" {
		t.Errorf("order = %+v", o)
	}
	if due := w.count(`select count(*) from rollouts where due_at = $1`, m.Again); due != 1 {
		t.Error("it is not due when the move said")
	}
}

func TestMoveOfAHostThatAnsweredMeanwhileIsAConflict(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.hosts("web1", "web2")
	w.running("R1", "ccc", "web1", "web2")
	must(t, w.d.SetRolloutState(t.Context(), "R1", db.StateChange{From: []fleet.RolloutState{fleet.RolloutRunning}, To: fleet.RolloutRunning}, w.now))
	c := w.claimRollout("R1")
	w.answer("R1-web1", "web1", 1, "received")
	m := fleet.Move{State: fleet.RolloutRunning, Hosts: cloneHosts(c.Rollout.Hosts)}
	m.Hosts[0] = m.Hosts[0].After(fleet.HostExpired, w.now)
	m.Hosts[1] = m.Hosts[1].After(fleet.HostExpired, w.now)
	err := w.d.SaveRollout(t.Context(), c, m, nil, nil, w.now)
	if !errors.Is(err, db.ErrConflict) {
		t.Fatalf("got %v, want ErrConflict", err)
	}
	equal(t, "states", w.states("R1"), map[string]fleet.HostState{"web1": fleet.HostReceived, "web2": fleet.HostOrdered})

	c = w.claimRollout("R1") // due at once, not after the lease
	m.Hosts = cloneHosts(c.Rollout.Hosts)
	m.Hosts[1] = m.Hosts[1].After(fleet.HostExpired, w.now)
	must(t, w.d.SaveRollout(t.Context(), c, m, nil, nil, w.now))
	equal(t, "states", w.states("R1"), map[string]fleet.HostState{"web1": fleet.HostReceived, "web2": fleet.HostFailed})
	if o, err := w.d.Order(t.Context(), "R1-web2"); err != nil || o.State != fleet.HostFailed || o.EndedAt.IsZero() {
		t.Errorf("the order of the host that expired: %+v, %v", o, err)
	}
}

func cloneHosts(hosts []fleet.HostProgress) []fleet.HostProgress {
	return append([]fleet.HostProgress(nil), hosts...)
}

func TestMoveTakesBackOnlyItsOwnOrders(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.hosts("web1", "web2")
	w.running("R1", "ccc", "web1", "web2")
	w.issue(w.order("O2", "web2", "", "ddd")) // a person's, since
	must(t, w.d.SetRolloutState(t.Context(), "R1", db.StateChange{From: []fleet.RolloutState{fleet.RolloutRunning}, To: fleet.RolloutRunning}, w.now))
	c := w.claimRollout("R1")
	m := fleet.Move{State: fleet.RolloutRunning, Hosts: c.Rollout.Hosts, Cancel: []string{"web1", "web2"}}
	var noops []fleet.Order
	for _, host := range m.Cancel {
		o := w.order("noop-"+host, host, "", "ccc")
		o.Kind = "noop"
		noops = append(noops, o)
	}
	must(t, w.d.SaveRollout(t.Context(), c, m, nil, noops, w.now))
	equal(t, "to deliver", w.deliverables(), map[string]uint64{"web1": 1, "web2": 2})
	newest := map[string]string{}
	for _, host := range m.Cancel {
		var id string
		must(t, w.d.Pool().QueryRow(t.Context(), `select id from orders where host = $1 order by gen desc limit 1`, host).Scan(&id))
		newest[host] = id
	}
	equal(t, "newest orders", newest, map[string]string{"web1": "noop-web1", "web2": "O2"})
}

func TestPersonsDecisionBeatsAMoveUnderWay(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.hosts("web1", "web2")
	c := w.rollout("R1", "ccc")
	must(t, w.d.SaveRollout(t.Context(), c, fleet.Move{State: fleet.RolloutRunning}, &fleet.Plan{}, nil, w.now))
	must(t, w.d.Record(t.Context(), w.now))
	w.answerNothing()
	pause := db.StateChange{From: []fleet.RolloutState{fleet.RolloutRunning}, To: fleet.RolloutPaused, Actor: "ada", Reason: "lunch"}
	must(t, w.d.SetRolloutState(t.Context(), "R1", pause, w.now))
	moving := w.claimRollout("R1")
	resume := db.StateChange{From: []fleet.RolloutState{fleet.RolloutPaused}, To: fleet.RolloutRunning, Actor: "ada"}
	must(t, w.d.SetRolloutState(t.Context(), "R1", resume, w.now))
	err := w.d.SaveRollout(t.Context(), moving, fleet.Move{State: fleet.RolloutHalted}, nil, nil, w.now)
	if !errors.Is(err, db.ErrConflict) {
		t.Errorf("the move: %v, want ErrConflict", err)
	}
	if err := w.d.SetRolloutState(t.Context(), "R1", resume, w.now); !errors.Is(err, db.ErrConflict) {
		t.Errorf("resumed twice: %v, want ErrConflict", err)
	}
	if err := w.d.SetRolloutState(t.Context(), "none", resume, w.now); !errors.Is(err, db.ErrNotFound) {
		t.Errorf("an unknown rollout: %v, want ErrNotFound", err)
	}
	events, err := w.d.History(t.Context(), 2)
	must(t, err)
	equal(t, "history", events[1], db.Event{
		At: w.now, Actor: "ada", Kind: "rollout.paused", Subject: "rollout/R1", Reason: "lunch",
		Detail: map[string]any{"from": "running", "commit": "ccc", "repo_id": 7.0},
	}, cmp.AllowUnexported())
}

func TestEndRollout(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.look(w.claim(1), fleet.UpdateHolding, "aaa")
	c := w.rollout("R1", "ccc")
	must(t, w.d.EndRollout(t.Context(), c, fleet.RolloutFailed, "no plan", w.now))
	r, err := w.d.Rollout(t.Context(), "R1")
	must(t, err)
	if r.State != fleet.RolloutFailed || r.Headline != "no plan" || !r.EndedAt.Equal(w.now) {
		t.Errorf("rollout = %+v", r)
	}
	if !w.dueNumbers()[1] {
		t.Error("an update that waits for the rollout's end was not woken")
	}
}

func TestRolloutShowsOnItsUpdate(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.hosts("web1")
	id := w.claim(1).Update.ID
	w.after(lease)
	v := verdict(fleet.UpdateMerged, "aaa")
	v.MergeSHA, v.Rollout = "mmm", &db.NewRollout{ID: "R1", RepoID: 7, Commit: "mmm"}
	must(t, w.d.SaveVerdict(t.Context(), w.claimDue(), v, w.now))
	w.effects()
	c := w.claimRollout("R1")
	m := fleet.Move{State: fleet.RolloutRunning, Headline: "Deploying 0/1 hosts…", Hosts: []fleet.HostProgress{{Host: "web1", State: fleet.HostWaiting}}}
	must(t, w.d.SaveRollout(t.Context(), c, m, &fleet.Plan{}, nil, w.now))
	equal(t, "effects of a new headline", w.effects(), []string{"check:1", "comment:1", "deployment:R1"})
	must(t, w.d.SetRolloutState(t.Context(), "R1", db.StateChange{From: []fleet.RolloutState{fleet.RolloutRunning}, To: fleet.RolloutRunning}, w.now))
	w.effects()
	c = w.claimRollout("R1")
	must(t, w.d.SaveRollout(t.Context(), c, fleet.Move{State: fleet.RolloutRunning, Headline: m.Headline, Hosts: c.Rollout.Hosts}, nil, nil, w.now))
	equal(t, "effects of nothing new", w.effects(), []string{})
	if u := w.update(id); u.MergeSHA != "mmm" {
		t.Errorf("update = %+v", u)
	}
}
