package db_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/nixfleet/nixfleet/db"
	"github.com/nixfleet/nixfleet/fleet"
)

// effect makes one effect due and claims it.
func (w *world) effect(number int) db.Effect {
	w.t.Helper()
	w.look(w.claim(number), fleet.UpdateChecks, "aaa")
	return w.claimEffect("comment:1")
}

func (w *world) claimEffect(key string) db.Effect {
	w.t.Helper()
	claimed, err := w.d.ClaimEffects(w.t.Context(), w.now, lease, 10)
	must(w.t, err)
	for _, e := range claimed {
		if e.Key == key {
			return e
		}
	}
	w.t.Fatalf("%s is not due, only %v", key, claimed)
	return db.Effect{}
}

func TestEffectThatIsAskedForAgainDuringItsWorkStays(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	e := w.effect(1)
	equal(t, "payload", string(e.Payload), `{"update_id": 1}`)
	w.look(w.claim(1), fleet.UpdateFailing, "aaa")
	must(t, w.d.FinishEffect(t.Context(), e))
	again := w.claimEffect("comment:1")
	if again.Attempt != 1 {
		t.Errorf("attempt %d of the new round, want 1", again.Attempt)
	}
	must(t, w.d.FinishEffect(t.Context(), again))
	if n := w.count(`select count(*) from outbox where key = 'comment:1'`); n != 0 {
		t.Error("it is still there")
	}
}

func TestAnEffectThatIsPutOffByPlanHasNotFailed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	e := w.effect(1)
	must(t, w.d.RetryEffect(t.Context(), e, w.now, "no answer"))
	if e = w.claimEffect("comment:1"); e.Attempt != 2 {
		t.Errorf("attempt %d after a failure, want 2", e.Attempt)
	}
	must(t, w.d.PostponeEffect(t.Context(), e, w.now, "in a moment"))
	if e = w.claimEffect("comment:1"); e.Attempt != 1 {
		t.Errorf("attempt %d after it was put off, want 1", e.Attempt)
	}
}

func TestEffectThatIsAskedForAgainWhileItEndsIsDueAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	e := w.effect(1)
	tx, err := w.d.Pool().Begin(t.Context())
	must(t, err)
	defer func() { _ = tx.Rollback(t.Context()) }()
	_, err = tx.Exec(t.Context(), `update outbox set wake = wake + 1, due_at = $1 where key = 'comment:1'`, w.now)
	must(t, err)
	finished := make(chan error, 1)
	go func() { finished <- w.d.FinishEffect(t.Context(), e) }()
	eventually(t, "the end waits for who asks again", func() bool {
		return w.count(`select count(*) from pg_locks l join pg_stat_activity a using (pid)
			where not l.granted and a.query like '%delete from outbox%' and a.datname = current_database()
				and $1 = any(pg_blocking_pids(a.pid))`, tx.Conn().PgConn().PID()) > 0
	})
	must(t, tx.Commit(t.Context()))
	must(t, <-finished)
	must(t, w.d.FinishEffect(t.Context(), w.claimEffect("comment:1")))
}

func TestEffectOfADeadWorkerIsCarriedOutByAnother(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	dead := w.effect(1)
	w.after(lease)
	e := w.claimEffect("comment:1")
	if e.Attempt != 2 {
		t.Errorf("attempt %d, want 2", e.Attempt)
	}
	for name, err := range map[string]error{
		"finish": w.d.FinishEffect(t.Context(), dead),
		"retry":  w.d.RetryEffect(t.Context(), dead, w.now, "x"),
	} {
		if !errors.Is(err, db.ErrConflict) {
			t.Errorf("%s by the dead worker: %v, want ErrConflict", name, err)
		}
	}
	must(t, w.d.FinishEffect(t.Context(), e))
}

func TestEffectThatFailedWaits(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	must(t, w.d.RetryEffect(t.Context(), w.effect(1), w.now.Add(time.Minute), "no \x00 answer"))
	w.after(59 * time.Second)
	if claimed, err := w.d.ClaimEffects(t.Context(), w.now, 0, 10); err != nil || len(claimed) != 0 {
		t.Errorf("claimed %v, %v before its time", claimed, err)
	}
	w.after(time.Second)
	if e := w.claimEffect("comment:1"); e.Attempt != 2 {
		t.Errorf("attempt %d, want 2", e.Attempt)
	}
}

func TestManyEffectsEndLikeOne(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.hosts("web1", "web2", "web3")
	issue := func(host, id string) {
		t.Helper()
		_, err := w.d.IssueOrders(t.Context(), []fleet.Order{w.order(id, host, "", "ccc")}, w.now)
		must(t, err)
	}
	for i, host := range []string{"web1", "web2", "web3"} {
		issue(host, fmt.Sprintf("O%d", i+1))
	}
	claim := func() map[string]db.Effect {
		t.Helper()
		claimed, err := w.d.ClaimEffects(t.Context(), w.now, lease, 10, "send")
		must(t, err)
		by := map[string]db.Effect{}
		for _, e := range claimed {
			by[e.Key] = e
		}
		return by
	}
	first := claim()
	issue("web2", "O4") // asked for again meanwhile
	w.after(lease)
	var another []db.Effect
	for _, e := range claim() {
		if e.Key == "send:web3" {
			another = append(another, e)
		}
	}
	must(t, w.d.FinishEffects(t.Context(), []db.Effect{first["send:web1"], first["send:web2"], first["send:web3"]}))
	equal(t, "nothing is another's to end", w.count(`select count(*) from outbox where kind = 'send'`), 3)

	w.after(lease)
	second := claim()
	issue("web2", "O5")
	must(t, w.d.FinishEffects(t.Context(), append(another, second["send:web1"], second["send:web2"])))
	equal(t, "what is left", w.count(`select count(*) from outbox where kind = 'send'`), 2)
	must(t, w.d.RetryEffects(t.Context(), []db.Effect{second["send:web3"], another[0]}, w.now.Add(time.Minute), "no bus"))
	if again := claim(); len(again) != 1 || again["send:web2"].Attempt != 1 {
		t.Errorf("due at once: %v, want web2 alone, anew", again)
	}
	w.after(time.Minute)
	if again := claim(); again["send:web3"].Attempt != 4 {
		t.Errorf("after its pause: %v, want web3's fourth attempt", again)
	}
}
