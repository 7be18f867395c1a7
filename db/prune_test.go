package db_test

import (
	"testing"
	"time"

	"github.com/nixfleet/nixfleet/db"
	"github.com/nixfleet/nixfleet/fleet"
)

const year = 365 * 24 * time.Hour

// What is old goes; what a host, a rollout or an update goes by stays, however old.
func TestOldOrdersAndAnswersGoUnlessSomethingGoesByThem(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.hosts("web1")
	said := 0
	says := func(order string, steps ...string) {
		for i, step := range steps {
			said++
			a := answerTo(order, "web1", uint32(i+1), step)
			a.StreamSeq, a.Gen = uint64(said), uint64(order[1]-'0')
			_, err := w.d.RecordAnswers(t.Context(), []db.AnswerRow{a}, w.now)
			must(t, err)
		}
	}
	for _, r := range []string{"R1", "R2", "R3"} {
		w.running(r, "c"+r, "web1")
		says(r+"-web1", "received", "healthy")
	}
	_, err := w.d.Pool().Exec(t.Context(), `update rollouts set state = 'succeeded', ended_at = $1, due_at = null where id <> 'R2'`, w.now)
	must(t, err)
	w.running("R4", "cR4", "web1") // is under way
	left := func() (int, int) {
		return w.count(`select count(*) from orders`), w.count(`select count(*) from answers`)
	}
	prune := func(before time.Time) {
		_, err := w.d.PruneAnswers(t.Context(), before, 100)
		must(t, err)
		_, err = w.d.PruneOrders(t.Context(), before, 100)
		must(t, err)
	}
	prune(w.now.Add(-time.Hour))
	if orders, answers := left(); orders != 4 || answers != 6 {
		t.Errorf("of what is new %d orders and %d answers are left, want 4 and 6", orders, answers)
	}
	prune(w.now.Add(year))
	var ids []string
	rows, err := w.d.Pool().Query(t.Context(), `select id from orders order by id`)
	must(t, err)
	for rows.Next() {
		var id string
		must(t, rows.Scan(&id))
		ids = append(ids, id)
	}
	// R2's rollout has not ended; R3 is the newest that the host took up; R4 is open.
	equal(t, "orders that are left", ids, []string{"R2-web1", "R3-web1", "R4-web1"})
	if _, answers := left(); answers != 0 {
		t.Errorf("%d answers are left, want none: all their orders have ended", answers)
	}
	says("R4-web1", "received")
	prune(w.now.Add(year))
	if _, answers := left(); answers != 1 {
		t.Error("an answer of an open order is gone")
	}
}

func TestOldRequestsGoOnceTheyAreHandled(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.look(w.claim(1), fleet.UpdateHolding, "aaa")
	press := func(action string) {
		must(t, w.d.Record(t.Context(), w.now, fleet.Pressed{Repo: w.repo, Numbers: []int{1}, Action: action, SHA: "aaa", By: fleet.Actor{ID: 9, Login: "alice", Type: "User"}}))
	}
	press("hold")
	claims, err := w.d.ClaimRequests(t.Context(), w.now, lease, 10)
	must(t, err)
	must(t, w.d.FinishRequest(t.Context(), claims[0], db.RequestEnd{Result: db.RequestVoid, Why: "x"}, w.now))
	press("merge") // waits
	if n, err := w.d.PruneRequests(t.Context(), w.now, 10); err != nil || n != 0 {
		t.Errorf("it forgot %d of now: %v", n, err)
	}
	if n, err := w.d.PruneRequests(t.Context(), w.now.Add(year), 10); err != nil || n != 1 {
		t.Errorf("it forgot %d, want the one that was handled: %v", n, err)
	}
	if n := w.count(`select count(*) from requests where action = 'merge'`); n != 1 {
		t.Error("what waits is gone")
	}
}

func TestOldSightingsGoUnlessAnUpdateIsOpenSince(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, err := w.d.SeeInputs(t.Context(), []string{"github:o/a@1"}, w.now)
	must(t, err)
	w.after(time.Hour)
	w.look(w.claim(1), fleet.UpdateHolding, "aaa")
	_, err = w.d.SeeInputs(t.Context(), []string{"github:o/a@2"}, w.after(time.Hour))
	must(t, err)
	prune := func() (inputs, heads int) {
		_, err := w.d.PruneSightings(t.Context(), w.now.Add(year), 10)
		must(t, err)
		return w.count(`select count(*) from input_sightings`), w.count(`select count(*) from head_sightings`)
	}
	if inputs, heads := prune(); inputs != 1 || heads != 1 {
		t.Errorf("%d revisions and %d heads are left while an update is open, want 1 and 1", inputs, heads)
	}
	w.look(w.claim(1), fleet.UpdateClosed, "aaa")
	if inputs, heads := prune(); inputs != 0 || heads != 0 {
		t.Errorf("%d revisions and %d heads are left, want none", inputs, heads)
	}
}

func TestEffectsThatFailForEverGoWithWhatTheyAreAbout(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.hosts("web1")
	w.effects()
	w.look(w.claim(1), fleet.UpdateHolding, "aaa")
	w.look(w.claim(2), fleet.UpdateClosed, "bbb")
	claims, err := w.d.ClaimEffects(t.Context(), w.now, lease, 100)
	must(t, err)
	for _, e := range claims {
		must(t, w.d.RetryEffect(t.Context(), e, w.now, "GitHub says no"))
	}
	must(t, w.d.Record(t.Context(), w.now, fleet.RepositoryChanged{Repo: w.repo}))
	if n, err := w.d.PruneEffects(t.Context(), w.now, 100); err != nil || n != 0 {
		t.Errorf("it forgot %d of now: %v", n, err)
	}
	if _, err := w.d.PruneEffects(t.Context(), w.now.Add(year), 100); err != nil {
		t.Fatal(err)
	}
	equal(t, "effects that are left", w.effects(), []string{"check:1", "comment:1"})
}
