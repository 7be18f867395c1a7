package db_test

import (
	"testing"
	"time"

	"github.com/nixfleet/nixfleet/db"
	"github.com/nixfleet/nixfleet/fleet"
)

// An order is measured once, by the batch that ended it, however often the host says
// so.
func TestEndedOrdersAreThoseOfOneBatch(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.hosts("web1", "web2")
	a := w.issue(w.of("deploy", "A", "web1"))[0]
	w.issue(w.of("deploy", "B", "web2"))
	w.hears(a, 1, "received")
	at := w.after(time.Minute)
	batch := []db.AnswerRow{answerTo("A", "web1", 2, "healthy"), answerTo("B", "web2", 1, "received")}
	_, err := w.d.RecordAnswers(t.Context(), batch, at)
	must(t, err)
	got, err := w.d.EndedOrders(t.Context(), []string{"A", "B", "none"}, at, true)
	must(t, err)
	if len(got) != 1 || got[0].ID != "A" || got[0].State != fleet.HostHealthy || got[0].Host != "web1" || got[0].Kind != "deploy" || !got[0].EndedAt.Equal(at) {
		t.Fatalf("ended %+v", got)
	}
	if len(got[0].Steps) != 2 || got[0].Steps[1].Step != "healthy" {
		t.Errorf("steps %+v", got[0].Steps)
	}
	_, err = w.d.RecordAnswers(t.Context(), batch, w.after(time.Minute))
	must(t, err)
	if got, err = w.d.EndedOrders(t.Context(), []string{"A", "B"}, w.now, false); err != nil || len(got) != 0 {
		t.Errorf("a repetition ended %+v again (%v)", got, err)
	}
}
