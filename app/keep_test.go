package app

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"
)

func TestAPartThatDidWellIsStartedAgainSoon(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		var paused []time.Duration
		ended, broken := time.Time{}, 0
		a := &App{log: zerolog.Nop()}
		a.keep(ctx, "answers", func(ctx context.Context) error {
			if !ended.IsZero() {
				paused = append(paused, time.Since(ended))
			}
			if broken++; broken == 9 {
				<-time.After(24 * time.Hour) // of the bubble: it works until the connection breaks
			}
			if broken == 11 {
				cancel()
			}
			ended = time.Now()
			return errors.New("broken")
		})
		if last, soon := paused[7], paused[8]; last < 2*time.Minute || soon != time.Second {
			t.Errorf("pauses %v: want them to grow, and to begin anew after a day", paused)
		}
	})
}
