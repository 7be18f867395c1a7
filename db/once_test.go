package db_test

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nixfleet/nixfleet/db"
	"github.com/nixfleet/nixfleet/fleet"
)

const day = 24 * time.Hour

func TestOneOfManyTakesTheTurn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var turns, waits atomic.Int32
	var running sync.WaitGroup
	for i := range 8 {
		running.Go(func() {
			kept, err := w.d.BeginOnce(t.Context(), db.OnceTurn{Actor: "ada", Key: "k", Token: fmt.Sprint(i)}, []byte("s"), w.now.Add(-day), w.now)
			switch {
			case errors.Is(err, db.ErrUnderWay):
				waits.Add(1)
			case err == nil && kept == nil:
				turns.Add(1)
			default:
				t.Errorf("%v, %v", kept, err)
			}
		})
	}
	running.Wait()
	if turns.Load() != 1 || waits.Load() != 7 {
		t.Errorf("%d took the turn, %d wait", turns.Load(), waits.Load())
	}
}

func TestAnAnswerIsKeptForADay(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	begin := func(token, sum string) (*db.OnceAnswer, error) {
		return w.d.BeginOnce(t.Context(), db.OnceTurn{Actor: "ada", Key: "k", Token: token}, []byte(sum), w.now.Add(-day), w.now)
	}
	turn := func(token string) db.OnceTurn { return db.OnceTurn{Actor: "ada", Key: "k", Token: token} }
	if kept, err := begin("a", "s"); kept != nil || err != nil {
		t.Fatalf("the first: %v, %v", kept, err)
	}
	want := db.OnceAnswer{Status: 201, Type: "application/json", Body: []byte(`{}`)}
	must(t, w.d.EndOnce(t.Context(), turn("a"), want, w.now))
	w.after(23 * time.Hour)
	kept, err := begin("b", "s")
	must(t, err)
	equal(t, "the answer", kept, &want)
	if _, err := begin("c", "other"); !errors.Is(err, db.ErrOtherRequest) {
		t.Errorf("the key of another request: %v", err)
	}
	if n, err := w.d.PruneOnce(t.Context(), w.now.Add(-day), 10); n != 0 || err != nil {
		t.Errorf("pruned %d, %v", n, err)
	}
	w.after(2 * time.Hour)
	if kept, err := begin("d", "other"); kept != nil || err != nil {
		t.Errorf("a day later: %v, %v", kept, err)
	}
	w.after(2 * day)
	if n, err := w.d.PruneOnce(t.Context(), w.now.Add(-day), 10); n != 1 || err != nil {
		t.Errorf("pruned %d, %v", n, err)
	}
}

// A server that died leaves its turn to the next, and must not answer for it if it was
// only slow.
func TestATurnIsTakenFromTheDead(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	begin := func(token, sum string) error {
		_, err := w.d.BeginOnce(t.Context(), db.OnceTurn{Actor: "ada", Key: "k", Token: token}, []byte(sum), w.now.Add(-day), w.now)
		return err
	}
	dead, next := db.OnceTurn{Actor: "ada", Key: "k", Token: "dead"}, db.OnceTurn{Actor: "ada", Key: "k", Token: "next"}
	must(t, begin("dead", "s"))
	w.after(time.Minute)
	if err := begin("next", "s"); !errors.Is(err, db.ErrUnderWay) {
		t.Errorf("too early: %v", err)
	}
	w.after(2 * time.Minute)
	if err := begin("next", "other"); !errors.Is(err, db.ErrOtherRequest) {
		t.Errorf("another request: %v", err)
	}
	must(t, begin("next", "s"))
	must(t, w.d.EndOnce(t.Context(), dead, db.OnceAnswer{Status: 200}, w.now))
	must(t, w.d.DropOnce(t.Context(), dead))
	if err := begin("third", "s"); !errors.Is(err, db.ErrUnderWay) {
		t.Errorf("the dead one spoke: %v", err)
	}
	must(t, w.d.DropOnce(t.Context(), next))
	must(t, begin("third", "s"))
}

func TestUpdatesAreListedPageByPage(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, n := range []int{1, 2, 3} {
		w.touch(n)
	}
	_, err := w.d.Pool().Exec(t.Context(), `update updates set head_sha = 'aaa', state = case when number = 2 then 'closed' else 'ready' end`)
	must(t, err)
	numbers := func(p db.UpdatePage) (numbers []int) {
		t.Helper()
		if p.Limit == 0 {
			p.Limit = 10
		}
		list, err := w.d.Updates(t.Context(), p)
		must(t, err)
		for _, u := range list {
			numbers = append(numbers, u.Number)
		}
		return numbers
	}
	first, err := w.d.UpdateByNumber(t.Context(), w.repo.ID, 3)
	must(t, err)
	equal(t, "all", numbers(db.UpdatePage{}), []int{3, 2, 1})
	equal(t, "two", numbers(db.UpdatePage{Limit: 2}), []int{3, 2})
	equal(t, "the rest", numbers(db.UpdatePage{Before: first.ID}), []int{2, 1})
	equal(t, "in a state", numbers(db.UpdatePage{States: []fleet.UpdateState{fleet.UpdateReady}}), []int{3, 1})
	equal(t, "of the repository", numbers(db.UpdatePage{RepoID: w.repo.ID}), []int{3, 2, 1})
	equal(t, "of another", numbers(db.UpdatePage{RepoID: 999}), []int(nil))
	states, err := w.d.OpenOrderStates(t.Context())
	must(t, err)
	equal(t, "orders", len(states), 0)
}
