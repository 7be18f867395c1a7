package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	"github.com/nixfleet/nixfleet/api"
)

const (
	// lookAnyway is how often a watch looks while the server tells of every change, and
	// lookOften while it does not.
	lookAnyway = 20 * time.Second
	lookOften  = 2 * time.Second

	// redrawEvery keeps the durations on a terminal right.
	redrawEvery = time.Second
)

// watch looks now and whenever something changed that it is about, until look says that
// it is done. The server tells of changes; where it can't, it is asked again and again.
// redraw is called in between, on a terminal.
func (f serverFlags) watch(e *env, about []string, look func() (done bool, err error), redraw func() error) error {
	ctx, cancel := context.WithCancel(e.ctx)
	defer cancel()
	woken := make(chan struct{}, 1)
	var told atomic.Bool
	go f.listen(ctx, about, &told, woken)
	ticker := time.NewTicker(redrawEvery)
	defer ticker.Stop()
	for {
		if done, err := look(); done || err != nil && !passing(err) {
			return err
		}
		every := lookOften
		if told.Load() {
			every = lookAnyway
		}
		again := time.After(every)
	wait:
		for {
			select {
			case <-ctx.Done():
				return context.Cause(ctx)
			case <-woken:
				break wait
			case <-again:
				break wait
			case <-ticker.C:
				if terminal(e.out) {
					if err := redraw(); err != nil {
						return err
					}
				}
			}
		}
	}
}

// passing holds for what may be well again without anybody's doing: the server restarts,
// or the network fails.
func passing(err error) bool {
	_, lost := errors.AsType[*api.UnreachableError](err)
	p, answered := errors.AsType[*api.Problem](err)
	return lost || answered && p.Code >= http.StatusInternalServerError
}

// listen wakes for each event of a kind. It connects again as long as that may help.
func (f serverFlags) listen(ctx context.Context, about []string, told *atomic.Bool, woken chan<- struct{}) {
	for ctx.Err() == nil {
		err := f.client().Events(ctx, "", func(kind string, _ *api.Event) error {
			if kind == "hello" {
				told.Store(true)
			}
			if kind == "hello" || slices.Contains(about, kind) {
				select {
				case woken <- struct{}{}:
				default:
				}
			}
			return nil
		})
		told.Store(false)
		if p, ok := errors.AsType[*api.Problem](err); ok && p.Code < http.StatusInternalServerError && p.Code != http.StatusTooManyRequests {
			return // it has no events for us
		}
		select {
		case <-ctx.Done():
		case <-time.After(lookOften):
		}
	}
}

// watchList shows a list until interrupted: redrawn on a terminal; elsewhere the rows
// that changed, or as JSON the whole list on one line each time it changed.
func (f serverFlags) watchList(e *env, about []string, read func() (any, string, error)) error {
	s := newScreen(e)
	text, said := "", ""
	draw := func() error { return s.show(text) }
	err := f.watch(e, about, func() (bool, error) {
		list, now, err := read()
		if err != nil {
			return false, err
		}
		if f.JSON {
			line, err := json.Marshal(list)
			if err != nil || string(line) == said {
				return false, err
			}
			said = string(line)
			_, err = fmt.Fprintln(e.out, said)
			return false, err
		}
		text = now
		return false, draw()
	}, func() error { return nil })
	return err
}
