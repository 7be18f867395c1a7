package app

import (
	"context"
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
)

// pollEvery bounds how long a row that became due by time alone, or whose wake-up
// was lost, waits for a loop. Wake-ups make everything else immediate.
const pollEvery = time.Second

// lease is how long a claimed row stays out of sight of other workers and of
// this one. It is longer than any one unit of work, whose calls are all bounded.
const lease = time.Minute

// loop claims due work and does it, until its context ends. work does one batch
// and reports how many rows it found; a full round is followed by the next at
// once, an empty one by a wait for a wake-up or the clock.
type loop struct {
	name string
	wake chan struct{}
	work func(ctx context.Context) (int, error)
	rest time.Duration
	log  zerolog.Logger

	// How its rounds are measured; nil where they are not.
	rounds   prometheus.Observer
	failures prometheus.Counter
}

func newLoop(name string, log zerolog.Logger, work func(context.Context) (int, error)) *loop {
	return &loop{name: name, wake: make(chan struct{}, 1), work: work, log: log.With().Str("loop", name).Logger()}
}

// resting makes the loop pause after each time that it was woken, for work that costs
// something also where there is nothing to do.
func (l *loop) resting(d time.Duration) *loop {
	l.rest = d
	return l
}

// poke wakes the loop; it never blocks and wake-ups coalesce.
func (l *loop) poke() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

func (l *loop) run(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-l.wake:
		case <-timer.C:
		}
		for ctx.Err() == nil {
			began := time.Now()
			n, err := l.work(ctx)
			if n > 0 && l.rounds != nil {
				l.rounds.Observe(time.Since(began).Seconds())
			}
			if err != nil && !errors.Is(err, context.Canceled) {
				if l.failures != nil {
					l.failures.Inc()
				}
				l.log.Error().Err(err).Msg("round failed; it is tried again")
				break
			}
			if n == 0 {
				break
			}
		}
		if l.rest > 0 {
			pause(ctx, l.rest)
		}
		timer.Reset(pollEvery)
	}
}

// pause waits for d or the end of ctx.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// backoff is the wait before attempt n+1 of something that failed n times: one
// second doubled each time, at most five minutes.
func backoff(attempt int) time.Duration {
	d := time.Second << min(max(attempt-1, 0), 9)
	return min(d, 5*time.Minute)
}
