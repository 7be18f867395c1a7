package app

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"
)

func TestALoopWorksUntilNothingIsDueAndThenWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var due, rounds atomic.Int64
		due.Store(5)
		l := newLoop("test", zerolog.Nop(), func(context.Context) (int, error) {
			rounds.Add(1)
			n := min(due.Load(), 2)
			due.Add(-n)
			return int(n), nil
		})
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go l.run(ctx)
		synctest.Wait()
		if due.Load() != 0 || rounds.Load() != 4 {
			t.Errorf("%d left after %d rounds, want all done in 4: 2+2+1 and an empty one", due.Load(), rounds.Load())
		}

		due.Store(1)
		l.poke()
		l.poke()
		synctest.Wait()
		if due.Load() != 0 {
			t.Error("a wake-up was lost")
		}

		due.Store(1)
		time.Sleep(pollEvery) // the bubble's clock, not the wall's
		synctest.Wait()
		if due.Load() != 0 {
			t.Error("without a wake-up the clock must find what is due")
		}
	})
}

func TestALoopThatRestsIsNotWokenMeanwhile(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var rounds atomic.Int64
		l := newLoop("test", zerolog.Nop(), func(context.Context) (int, error) { rounds.Add(1); return 0, nil }).resting(10 * time.Second)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go l.run(ctx)
		for range 95 {
			time.Sleep(100 * time.Millisecond)
			l.poke()
		}
		synctest.Wait()
		if rounds.Load() != 1 {
			t.Errorf("%d rounds in its rest, want the one before it", rounds.Load())
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if rounds.Load() != 2 {
			t.Errorf("%d rounds after its rest, want another: it was woken", rounds.Load())
		}
	})
}

func TestALoopOutlivesErrors(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		rounds := 0
		l := newLoop("test", zerolog.Nop(), func(context.Context) (int, error) {
			rounds++
			return 1, errors.New("the database is away")
		})
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go l.run(ctx)
		time.Sleep(10*pollEvery + pollEvery/2)
		synctest.Wait()
		if rounds != 11 {
			t.Errorf("%d rounds in ten and a half intervals, want one at once and one an interval", rounds)
		}
	})
}

func TestBackoffGrowsAndIsBounded(t *testing.T) {
	t.Parallel()
	for attempt, want := range map[int]time.Duration{
		0: time.Second, 1: time.Second, 2: 2 * time.Second, 5: 16 * time.Second, 9: 256 * time.Second, 10: 5 * time.Minute, 1000: 5 * time.Minute,
	} {
		if got := backoff(attempt); got != want {
			t.Errorf("after %d attempts: %s, want %s", attempt, got, want)
		}
	}
}
