package db_test

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/nixfleet/nixfleet/db"
	"github.com/nixfleet/nixfleet/fleet"
)

func TestAnOrderIsReadWithItsWay(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.hosts("web1")
	a := w.issue(w.of("deploy", "A", "web1"))[0]
	w.hears(a, 1, "received")
	row := answerTo("A", "web1", 2, "failed")
	row.Note, row.Failure = "half way", &fleet.HostError{Step: "building", Code: "build_failed", Message: "no", ExitCode: 1, LogTail: "error: …"}
	_, err := w.d.RecordAnswers(t.Context(), []db.AnswerRow{row}, w.after(time.Minute))
	must(t, err)
	got, err := w.d.OrderRecord(t.Context(), "A")
	must(t, err)
	equal(t, "failure", got.Order.Failure, row.Failure)
	equal(t, "steps", got.Steps, []fleet.OrderStep{
		{Step: "received", At: t0, Recorded: w.now.Add(-time.Minute)}, {Step: "failed", At: t0, Recorded: w.now},
	})
	if got.Order.Note != "half way" || got.Order.State != fleet.HostFailed || !got.Order.EndedAt.Equal(w.now) || got.Change != nil {
		t.Errorf("order %+v, change %v", got.Order, got.Change)
	}
	if _, err := w.d.OrderRecord(t.Context(), "none \x00"); !errors.Is(err, db.ErrNotFound) {
		t.Errorf("an unknown order: %v", err)
	}
}

func TestOrdersAreListed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.hosts("web1", "web2")
	for i, id := range []string{"A", "B", "C"} {
		w.after(time.Second)
		o := w.of("refresh", id, []string{"web1", "web2", "web1"}[i])
		w.issue(o)
	}
	ids := func(list []fleet.Order, err error) (got []string) {
		t.Helper()
		must(t, err)
		for _, o := range list {
			got = append(got, o.ID)
		}
		return got
	}
	equal(t, "all", ids(w.d.OrdersOf(t.Context(), "", "", 10)), []string{"C", "B", "A"})
	equal(t, "the newest two", ids(w.d.OrdersOf(t.Context(), "", "", 2)), []string{"C", "B"})
	equal(t, "of one host", ids(w.d.OrdersOf(t.Context(), "web1", "", 10)), []string{"C", "A"})
	equal(t, "before one", ids(w.d.OrdersOf(t.Context(), "", "C", 1)), []string{"B"})
	equal(t, "of one host before one", ids(w.d.OrdersOf(t.Context(), "web1", "C", 10)), []string{"A"})
	equal(t, "open", ids(w.d.OpenOrders(t.Context(), []string{"web1", "web2"})), []string{"C", "B"}) // C replaced A
}

func TestAHostIsChanged(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.hosts("web1")
	a := w.issue(w.of("deploy", "A", "web1"))[0]
	w.hears(a, 1, "received")
	mode, tags, attr := "manual", []string{}, "nixosConfigurations.other"
	got, err := w.d.ChangeHost(t.Context(), "web1", db.HostChange{Mode: &mode}, "ada", w.now)
	must(t, err)
	if got.Mode != "manual" || len(got.Tags) != 1 || got.Attr != "nixosConfigurations.web1" {
		t.Errorf("changed to %+v", got)
	}
	w.orderIs("A", fleet.HostReceived, "") // a host that is left to people keeps its order
	got, err = w.d.ChangeHost(t.Context(), "web1", db.HostChange{Tags: &tags, Attr: &attr}, "ada", w.now)
	must(t, err)
	if got.Mode != "manual" || len(got.Tags) != 0 || got.Attr != attr {
		t.Errorf("changed to %+v", got)
	}
	if _, err := w.d.ChangeHost(t.Context(), "none", db.HostChange{Mode: &mode}, "ada", w.now); !errors.Is(err, db.ErrNotFound) {
		t.Errorf("an unknown host: %v", err)
	}
	events, err := w.d.History(t.Context(), 1)
	must(t, err)
	equal(t, "history", events[0], db.Event{
		At: w.now, Actor: "ada", Kind: "host.changed", Subject: "host/web1",
		Detail: map[string]any{"tags": []any{}, "mode": "manual", "attr": attr},
	})
}

func TestTheSameKeyIsTheSameRequest(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.hosts("web1", "web2")
	key := db.OrderKey{Key: "k", Sum: "s"}
	var mu sync.Mutex
	seen := map[string]int{}
	var running sync.WaitGroup
	for _, id := range []string{"A", "B", "C", "D"} { // a person's finger is faster than the server
		running.Go(func() {
			issued, err := w.d.IssueOrdersOnce(t.Context(), "ada", key, []fleet.Order{w.of("pull", id, "web1")}, w.now)
			if err != nil || len(issued) != 1 {
				t.Errorf("issued %v, %v", issued, err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			seen[issued[0].ID]++
		})
	}
	running.Wait()
	if len(seen) != 1 || w.count(`select count(*) from orders`) != 1 {
		t.Errorf("one request became %v", seen)
	}
	if _, err := w.d.IssueOrdersOnce(t.Context(), "ada", db.OrderKey{Key: "k", Sum: "other"}, nil, w.now); !errors.Is(err, db.ErrOtherRequest) {
		t.Errorf("the key of another request: %v", err)
	}
	if _, err := w.d.OrdersOfKey(t.Context(), "bob", key); !errors.Is(err, db.ErrNotFound) {
		t.Errorf("another person's key: %v", err)
	}
	// A request that failed leaves nothing behind its key.
	bad := db.OrderKey{Key: "bad", Sum: "s"}
	_, err := w.d.IssueOrdersOnce(t.Context(), "ada", bad, []fleet.Order{w.of("pull", "X", "unknown")}, w.now)
	if !errors.Is(err, db.ErrConflict) {
		t.Errorf("to an unknown host: %v", err)
	}
	if _, err := w.d.OrdersOfKey(t.Context(), "ada", bad); !errors.Is(err, db.ErrNotFound) {
		t.Errorf("a request that failed: %v", err)
	}
	must(t, w.d.PruneOrderKeys(t.Context(), w.now.Add(time.Second)))
	if _, err := w.d.OrdersOfKey(t.Context(), "ada", key); !errors.Is(err, db.ErrNotFound) {
		t.Errorf("a day later: %v", err)
	}
}

func TestGenerationsOfAHost(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.hosts("web1")
	if got, err := w.d.HostGenerations(t.Context(), "web1"); err != nil || len(got) != 0 {
		t.Errorf("before it said anything: %v, %v", got, err)
	}
	_, err := w.d.Pool().Exec(t.Context(), `update hosts set generations = '[{"number": 7, "path": "/nix/store/a", "running": true}]'`)
	must(t, err)
	got, err := w.d.HostGenerations(t.Context(), "web1")
	must(t, err)
	equal(t, "generations", got, []fleet.Generation{{Number: 7, System: fleet.System{Path: "/nix/store/a"}, Running: true}})
	if _, err := w.d.HostGenerations(t.Context(), "none"); !errors.Is(err, db.ErrNotFound) {
		t.Errorf("of an unknown host: %v", err)
	}
}
