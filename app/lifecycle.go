package app

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/rs/zerolog"
)

// stopWithin bounds the whole way down; a supervisor's SIGKILL usually comes
// after ten seconds.
const stopWithin = 8 * time.Second

// closers are the steps of the way down. They run in reverse order of adding,
// each named in the log, and all of them together within stopWithin.
type closers struct {
	steps []closer
	log   zerolog.Logger
}

type closer struct {
	name string
	stop func(context.Context) error
}

func (c *closers) add(name string, stop func(context.Context) error) {
	c.steps = append(c.steps, closer{name, stop})
}

// close runs every step, even when an earlier one failed, and joins the errors.
// It may be called more than once.
func (c *closers) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), stopWithin)
	defer cancel()
	var errs []error
	for i := len(c.steps) - 1; i >= 0; i-- {
		began := time.Now()
		if err := c.steps[i].stop(ctx); err != nil {
			errs = append(errs, fmt.Errorf("stop %s: %w", c.steps[i].name, err))
		}
		c.log.Debug().Str("part", c.steps[i].name).Dur("took", time.Since(began)).Msg("stopped")
	}
	c.steps = nil
	return errors.Join(errs...)
}
