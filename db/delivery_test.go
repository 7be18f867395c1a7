package db_test

import (
	"testing"
	"time"

	"github.com/nixfleet/nixfleet/db"
	"github.com/nixfleet/nixfleet/fleet"
)

// of is an order of its own, of some kind.
func (w *world) of(kind, id, host string) fleet.Order {
	o := w.order(id, host, "", "c")
	o.Kind, o.Actor = kind, "ada"
	return o
}

// hears records one answer of a host, to an order of any generation.
func (w *world) hears(o fleet.Order, seq uint32, step string) {
	w.t.Helper()
	row := answerTo(o.ID, o.Host, seq, step)
	row.Gen = o.Gen
	_, err := w.d.RecordAnswers(w.t.Context(), []db.AnswerRow{row}, w.now)
	must(w.t, err)
}

// next is the id of the order that the bus must hold for a host.
func (w *world) next(host string) string {
	w.t.Helper()
	rows, err := w.d.OrdersToSend(w.t.Context(), []string{host}, w.now)
	must(w.t, err)
	if len(rows) == 0 {
		return ""
	}
	return rows[0].Order.ID
}

func (w *world) orderIs(id string, state fleet.HostState, note string) {
	w.t.Helper()
	o, err := w.d.Order(w.t.Context(), id)
	must(w.t, err)
	if o.State != state || o.Note != note || o.EndedAt.IsZero() == fleet.OrderEnded(state) {
		w.t.Errorf("order %s is %s with the note %q, ended %v, want %s and %q", id, o.State, o.Note, o.EndedAt, state, note)
	}
}

// A host reads one order at a time, so a later one waits until the earlier was taken up.
func TestOrdersReachAHostOneAfterTheOther(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.hosts("web1")
	w.issue(w.of("deploy", "A", "web1"))
	w.issue(w.of("restart_agent", "B", "web1"))
	w.issue(w.of("reboot", "C", "web1"))
	w.effects()
	for i, id := range []string{"A", "B", "C"} {
		if got := w.next("web1"); got != id {
			t.Fatalf("%s is to be sent, want %s", got, id)
		}
		o, err := w.d.Order(t.Context(), id)
		must(t, err)
		w.hears(o, 1, "received")
		w.hears(o, 1, "received")
		want := []string{"send:web1"}
		if i == 2 {
			want = []string{} // nothing waits behind the last
		}
		equal(t, "effects once "+id+" was taken up", w.effects(), want)
		if o, err = w.d.Order(t.Context(), id); err != nil || !o.ReceivedAt.Equal(w.now) {
			t.Errorf("order %s was taken up at %v, %v", id, o.ReceivedAt, err)
		}
	}
	if got := w.next("web1"); got != "C" {
		t.Errorf("%q is what an emptied bus is mended with, want the newest that was taken up", got)
	}
}

// What a host has not taken up is ended by what takes its place, and by nothing else.
func TestANewerOrderReplacesWhatWaits(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.hosts("web1")
	begun := w.issue(w.of("deploy", "A", "web1"))[0]
	w.hears(begun, 1, "received")
	w.issue(w.of("pull", "B", "web1"), w.of("refresh", "C", "web1"), w.of("reboot", "D", "web1"))
	w.issue(w.of("rollback", "E", "web1"))
	cancel := w.of("cancel", "F", "web1")
	cancel.Detail.Cancels = "D"
	w.issue(cancel)
	w.orderIs("A", fleet.HostReceived, "") // the host's to judge
	w.orderIs("B", fleet.HostCancelled, "a newer order (rollback, E) took its place before the host took it up")
	w.orderIs("C", fleet.HostOrdered, "")
	w.orderIs("D", fleet.HostCancelled, "cancelled before the host took it up")
	events, err := w.d.History(t.Context(), 2)
	must(t, err)
	equal(t, "history", events[1], db.Event{
		At: w.now, Actor: "ada", Kind: "order.cancelled", Subject: "order/D", Reason: "cancelled before the host took it up",
		Detail: map[string]any{"host": "web1", "rollout": ""},
	})
	if got := w.next("web1"); got != "C" {
		t.Errorf("%s is next, want C: what was ended is never sent", got)
	}
}

// A rollout does not wait for a host whose order a person replaced.
func TestAReplacedOrderMovesItsRollout(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.hosts("web1", "web2")
	w.running("R1", "ccc", "web1", "web2")
	w.issue(w.of("deploy", "P", "web1"), w.of("refresh", "Q", "web2"))
	equal(t, "states", w.states("R1"), map[string]fleet.HostState{"web1": fleet.HostCancelled, "web2": fleet.HostOrdered})
	w.claimRollout("R1") // it is due
	if got := w.next("web1"); got != "P" {
		t.Errorf("%s is next, want P", got)
	}
}

// A rollout that gives its host another order goes on with that one.
func TestARolloutReplacesItsOwnOrder(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.hosts("web1")
	w.running("R1", "ccc", "web1")
	w.after(time.Second)
	w.issue(w.order("again", "web1", "R1", "ccc"))
	equal(t, "states", w.states("R1"), map[string]fleet.HostState{"web1": fleet.HostOrdered})
	w.orderIs("R1-web1", fleet.HostCancelled, "a newer order (deploy, again) took its place before the host took it up")
}

// What a rollout took back must not keep back what waits behind it.
func TestWhatWaitsBehindAnEndedOrderIsSent(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.hosts("web1")
	w.running("R1", "ccc", "web1")
	must(t, w.d.SetRolloutState(t.Context(), "R1", db.StateChange{From: []fleet.RolloutState{fleet.RolloutRunning}, To: fleet.RolloutRunning}, w.now))
	c := w.claimRollout("R1")
	w.issue(w.of("refresh", "Q", "web1"))
	w.effects()
	m := fleet.Move{State: fleet.RolloutRunning, Hosts: cloneHosts(c.Rollout.Hosts)}
	m.Hosts[0] = m.Hosts[0].After(fleet.HostSaysCancelled, w.now)
	must(t, w.d.SaveRollout(t.Context(), c, m, nil, nil, w.now))
	if got := w.next("web1"); got != "Q" {
		t.Errorf("%s is next, want Q", got)
	}
	equal(t, "effects", w.effects(), []string{"send:web1"})
}

func TestOrdersEndWhenTheirTimeIsUp(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.hosts("web1", "web2", "web3")
	w.running("R1", "ccc", "web3")
	w.issue(w.of("deploy", "A", "web1"))
	silent := w.issue(w.of("deploy", "B", "web2"))[0]
	w.hears(silent, 1, "building")
	late := w.of("refresh", "C", "web1")
	late.ExpiresAt = w.now.Add(48 * time.Hour)
	w.issue(late)
	w.effects()
	if n, err := w.d.EndOverdueOrders(t.Context(), w.now, 10); n != 0 || err != nil {
		t.Errorf("%d ended at once, %v", n, err)
	}
	w.after(time.Hour)
	n, err := w.d.EndOverdueOrders(t.Context(), w.now, 10)
	must(t, err)
	if n != 2 {
		t.Errorf("%d ended, want A and the one of the rollout", n)
	}
	w.orderIs("A", fleet.HostFailed, "its time was up before the host took it up")
	w.orderIs("B", fleet.HostBuilding, "")
	w.orderIs("C", fleet.HostOrdered, "")
	equal(t, "states", w.states("R1"), map[string]fleet.HostState{"web3": fleet.HostFailed})
	equal(t, "effects", w.effects(), []string{"send:web1"})
	if o, err := w.d.Order(t.Context(), "A"); err != nil || o.Failure == nil || o.Failure.Code != "expired" {
		t.Errorf("failure %+v, %v", o.Failure, err)
	}

	w.after(10 * time.Hour)
	n, err = w.d.EndOverdueOrders(t.Context(), w.now, 10)
	must(t, err)
	if n != 1 {
		t.Errorf("%d ended, want the one that nothing was heard of", n)
	}
	w.orderIs("B", fleet.HostFailed, "the host took it up and did not say how it ended")
	w.hears(silent, 2, "healthy")
	w.orderIs("B", fleet.HostFailed, "the host took it up and did not say how it ended") // what has ended stays so
}

func TestARevokedHostsOrdersEnd(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.hosts("web1")
	w.running("R1", "ccc", "web1")
	begun := w.issue(w.of("deploy", "A", "web1"))[0]
	w.hears(begun, 1, "building")
	w.issue(w.of("reboot", "B", "web1"))
	err := w.d.RevokeHost(t.Context(), "web1", "eve", w.now)
	must(t, err)
	w.orderIs("A", fleet.HostCancelled, "the host was revoked")
	w.orderIs("B", fleet.HostCancelled, "the host was revoked")
	equal(t, "to deliver", w.deliverables(), map[string]uint64{})
}

// An order that was put off has ended, and late answers don't take it up again.
func TestADeferredOrderHasEnded(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.hosts("web1")
	o := w.issue(w.of("deploy", "A", "web1"))[0]
	w.hears(o, 5, "deferred")
	w.hears(o, 2, "fetching")
	w.orderIs("A", fleet.HostDeferred, "")
}

// A host reads no order that is older than one it has seen, so none is sent.
func TestAnOvertakenOrderIsNotSent(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.hosts("web1")
	w.issue(w.of("refresh", "A", "web1"))
	b := w.issue(w.of("reboot", "B", "web1"))[0]
	w.hears(b, 1, "received")
	if got := w.next("web1"); got != "B" {
		t.Errorf("%s is next, want B", got)
	}
}
