package db_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/nixfleet/nixfleet/db"
	"github.com/nixfleet/nixfleet/fleet"
	"pgregory.net/rapid"
)

// Eight workers claim and finish side by side, and some die with what they
// claimed: everything is done, and nothing is finished twice.
func TestManyClaimersLoseNothingAndFinishNothingTwice(t *testing.T) {
	t.Parallel()
	const deliveries, workers = 200, 8
	w := newWorld(t)
	for i := range deliveries {
		_, err := w.d.StoreDelivery(t.Context(), delivery(fmt.Sprint(i)))
		must(t, err)
	}
	var mu sync.Mutex
	finished := map[string]int{}
	var running sync.WaitGroup
	for worker := range workers {
		running.Go(func() {
			now, empty := w.now, 0
			for round := 0; empty < 2; round++ {
				claimed, err := w.d.ClaimDeliveries(t.Context(), now, lease, 5)
				if err != nil {
					t.Error(err)
					return
				}
				if len(claimed) == 0 {
					empty, now = empty+1, now.Add(lease) // what the dead held is free by then
					continue
				}
				empty = 0
				if (round+worker)%4 == 0 {
					continue // dies
				}
				for _, c := range claimed {
					err := w.d.FinishDelivery(t.Context(), c, nil, now)
					if err != nil && !errors.Is(err, db.ErrConflict) {
						t.Error(err)
					}
					if err == nil {
						mu.Lock()
						finished[c.GUID]++
						mu.Unlock()
					}
				}
			}
		})
	}
	running.Wait()
	for round := 1; ; round++ { // whoever died last
		claimed, err := w.d.ClaimDeliveries(t.Context(), w.now.Add(time.Duration(round)*time.Hour), lease, deliveries)
		must(t, err)
		if len(claimed) == 0 {
			break
		}
		for _, c := range claimed {
			must(t, w.d.FinishDelivery(t.Context(), c, nil, w.now))
			finished[c.GUID]++
		}
	}
	for guid, n := range finished {
		if n != 1 {
			t.Errorf("delivery %s was finished %d times", guid, n)
		}
	}
	if len(finished) != deliveries {
		t.Errorf("%d of %d deliveries were finished", len(finished), deliveries)
	}
}

// queue is one table of work, seen through its functions. A claim is whatever
// finish and postpone need.
type queue struct {
	wake  func(ctx context.Context, now time.Time) error
	claim func(ctx context.Context, now time.Time) (finish, postpone func(again time.Time) error, err error)
}

func queues(w *world) map[string]queue {
	ctx := w.t.Context()
	return map[string]queue{
		"updates": {
			wake: func(ctx context.Context, now time.Time) error {
				return w.d.Record(ctx, now, fleet.PullTouched{Repo: w.repo, Number: 1})
			},
			claim: func(ctx context.Context, now time.Time) (finish, postpone func(time.Time) error, err error) {
				claims, err := w.d.ClaimUpdates(ctx, now, lease, 1)
				if err != nil || len(claims) == 0 {
					return nil, nil, err
				}
				return func(again time.Time) error {
					v := verdict(fleet.UpdateChecks, "aaa")
					v.Verdict.Again = again
					return w.d.SaveVerdict(ctx, claims[0], v, now)
				}, func(again time.Time) error { return w.d.PostponeUpdate(ctx, claims[0], again) }, nil
			},
		},
		"repositories": {
			wake: func(ctx context.Context, now time.Time) error {
				return w.d.Record(ctx, now, fleet.BranchMoved{Repo: w.repo, Branch: "main"})
			},
			claim: func(ctx context.Context, now time.Time) (finish, postpone func(time.Time) error, err error) {
				claims, err := w.d.ClaimRepos(ctx, now, lease, 1)
				if err != nil || len(claims) == 0 {
					return nil, nil, err
				}
				return func(again time.Time) error {
					return w.d.SaveRepo(ctx, claims[0], db.RepoChange{Again: again}, now)
				}, func(again time.Time) error { return w.d.PostponeRepo(ctx, claims[0], again) }, nil
			},
		},
		"requests": {
			wake: func(ctx context.Context, now time.Time) error {
				return w.d.Record(ctx, now, w.pressed("hold", "aaa", ada))
			},
			claim: func(ctx context.Context, now time.Time) (finish, postpone func(time.Time) error, err error) {
				claims, err := w.d.ClaimRequests(ctx, now, lease, 1)
				if err != nil || len(claims) == 0 {
					return nil, nil, err
				}
				return func(time.Time) error {
					return w.d.FinishRequest(ctx, claims[0], db.RequestEnd{Result: db.RequestDenied}, now)
				}, func(again time.Time) error { return w.d.PostponeRequest(ctx, claims[0], again) }, nil
			},
		},
		"rollouts": {
			wake: func(_ context.Context, now time.Time) error {
				_, err := w.d.RecordAnswers(ctx, []db.AnswerRow{{Host: "web1", Order: "R1-web1", Gen: 1, Seq: 1, Step: "received"}}, now)
				return err
			},
			claim: func(ctx context.Context, now time.Time) (finish, postpone func(time.Time) error, err error) {
				claims, err := w.d.ClaimRollouts(ctx, now, lease, 1)
				if err != nil || len(claims) == 0 {
					return nil, nil, err
				}
				c := claims[0]
				return func(again time.Time) error {
					m := fleet.Move{State: c.Rollout.State, Hosts: c.Rollout.Hosts, Again: again}
					return w.d.SaveRollout(ctx, c, m, nil, nil, now)
				}, func(again time.Time) error { return w.d.PostponeRollout(ctx, c, again) }, nil
			},
		},
	}
}

// Whatever the order of wake-ups, claims, results and deaths: after a wake-up the
// row is claimed at least once more, by someone who began after it.
func TestWakeUpsAreNeverLost(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"updates", "repositories", "rollouts", "requests"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.hosts("web1")
			w.running("R1", "ccc", "web1")
			q := queues(w)[name]
			must(t, q.wake(t.Context(), w.now))
			rapid.Check(t, func(rt *rapid.T) { checkWakeUps(rt, w, q) })
		})
	}
}

func checkWakeUps(t *rapid.T, w *world, q queue) {
	type holder struct {
		finish, postpone func(time.Time) error
		expires          time.Time
	}
	var held []holder
	unseen := false // a wake-up came that no claim has followed
	claim := func() bool {
		finish, postpone, err := q.claim(w.t.Context(), w.now)
		if err != nil {
			t.Fatal(err)
		}
		if finish != nil {
			held, unseen = append(held, holder{finish, postpone, w.now.Add(lease)}), false
		}
		return finish != nil
	}
	t.Repeat(map[string]func(*rapid.T){
		"wake": func(t *rapid.T) {
			if err := q.wake(w.t.Context(), w.now); err != nil {
				t.Fatal(err)
			}
			unseen = true
		},
		"claim": func(*rapid.T) { claim() },
		"result": func(t *rapid.T) {
			if len(held) == 0 {
				t.Skip("nobody works")
			}
			i := rapid.IntRange(0, len(held)-1).Draw(t, "worker")
			h := held[i]
			held = append(held[:i:i], held[i+1:]...)
			again := w.now.Add(24 * time.Hour)
			end := rapid.SampledFrom([]func(time.Time) error{h.finish, h.postpone}).Draw(t, "end")
			if err := end(again); err != nil && !errors.Is(err, db.ErrConflict) {
				t.Fatal(err)
			}
		},
		"death": func(*rapid.T) {
			if len(held) > 0 {
				held = held[1:]
			}
		},
		"time": func(*rapid.T) { w.after(20 * time.Second) },
	})
	w.after(lease + time.Second) // every lease has run out
	if unseen && !claim() {
		t.Fatal("a wake-up was lost")
	}
}
