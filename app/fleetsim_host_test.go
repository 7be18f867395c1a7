package app

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/nixfleet/nixfleet/agent"
	"github.com/nixfleet/nixfleet/agentbus"
)

// simHost is one host: its machine, its agent, which may die and is started anew,
// and its way to the bus.
type simHost struct {
	s    *simFleet
	name string
	dir  string
	id   agent.Identity

	mu     sync.Mutex
	faults map[agentbus.Step]string // what happens when that step is about to be answered; once
	cut    bool                     // no way to the bus
	ever   bool                     // it was cut off at some time
	kill   context.CancelFunc       // of the agent that runs
	over   bool
	done   chan struct{}
}

func newSimHost(s *simFleet, name string) *simHost {
	h := &simHost{s: s, name: name, dir: filepath.Join(s.dir, "hosts", name), faults: map[agentbus.Step]string{}, done: make(chan struct{})}
	must(s.t, os.MkdirAll(h.path("profiles"), 0o755))
	var err error
	h.id, err = agent.Enroll(s.ctx, agent.Enrolment{
		Server: s.app.URL(), Token: s.token(name), Host: name, StateDir: h.path("state"), Now: s.clock.now,
	})
	must(s.t, err)
	go h.live()
	return h
}

func (h *simHost) path(elem ...string) string {
	return filepath.Join(append([]string{h.dir}, elem...)...)
}

// live runs one agent after the other.
func (h *simHost) live() {
	defer close(h.done)
	for {
		ctx, cancel := context.WithCancel(h.s.ctx)
		h.mu.Lock()
		h.kill = cancel
		over := h.over
		h.mu.Unlock()
		if over || h.s.ctx.Err() != nil {
			cancel()
			return
		}
		if err := h.run(ctx); err != nil && ctx.Err() == nil {
			h.s.breaks("agent of %s ended: %v", h.name, err)
		}
		cancel()
	}
}

func (h *simHost) run(ctx context.Context) error {
	conf := h.id.Bus()
	conf.Now, conf.Log = h.s.clock.now, func(string) {}
	link, err := agentbus.ConnectHost(ctx, conf)
	if err != nil {
		return err
	}
	defer link.Close()
	a, err := agent.New(agent.Config{
		StateDir: h.path("state"), Link: &flaky{Link: link, h: h},
		Paths: agent.Paths{Profile: h.path("profiles", "system"), Current: h.path("current"), Booted: h.path("booted"), Store: h.s.dir},
		Nix:   agent.Nix{Dir: filepath.Join(h.s.dir, "bin")}, Git: agent.Git{Protocols: []string{"http"}},
		Supervisor: []string{os.Args[0], "supervise"},
		FreshRoundTrip: func(ctx context.Context) error {
			if h.isCut() {
				return agentbus.ErrAway
			}
			return agentbus.FreshRoundTrip(ctx, conf)
		},
		LastGen: h.id.LastGen, IdleBeat: 200 * time.Millisecond, BusyBeat: 100 * time.Millisecond, Now: h.s.clock.now,
	})
	if err != nil {
		return err
	}
	return a.Run(ctx)
}

// crash ends the agent as a power cut would, but for the journal, which is durable at
// every line anyway; the supervisor lives on. Another agent takes its place.
func (h *simHost) crash() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.kill != nil {
		h.kill()
	}
}

func (h *simHost) stop() {
	h.mu.Lock()
	h.over = true
	h.mu.Unlock()
	h.crash()
	<-h.done
}

func (h *simHost) setCut(cut bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.cut, h.ever = cut, h.ever || cut
}

func (h *simHost) wasCut() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.ever
}

func (h *simHost) isCut() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.cut
}

// plan says what happens at a step.
func (h *simHost) plan(step agentbus.Step, fault string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.faults[step] = fault
}

// heal ends all faults.
func (h *simHost) heal() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.cut = false
	clear(h.faults)
}

func (h *simHost) fault(step agentbus.Step) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	f := h.faults[step]
	delete(h.faults, step)
	return f
}

// runs is the commit of the system that runs, "" before the first.
func (h *simHost) runs() string {
	target, err := filepath.EvalSymlinks(h.path("current"))
	if err != nil {
		return ""
	}
	hash, _, _ := strings.Cut(filepath.Base(target), "-")
	h.s.mu.Lock()
	defer h.s.mu.Unlock()
	return h.s.systems[hash]
}

// flaky is a host's link as its history wants it.
type flaky struct {
	agent.Link
	h *simHost
}

var errCrashed = errors.New("the agent is dead")

// Answer sends an answer, or does what is planned for its step.
func (f *flaky) Answer(ctx context.Context, a agentbus.Answer) error {
	switch f.h.fault(a.Step) {
	case "crash before":
		f.h.crash()
		return errCrashed
	case "crash after":
		err := f.Link.Answer(ctx, a)
		f.h.crash()
		return err
	case "lose":
		return nil // the bus took it, and lost it
	case "twice":
		if err := f.Link.Answer(ctx, a); err != nil {
			return err
		}
	case "cut":
		f.h.setCut(true)
	}
	if f.h.isCut() {
		return agentbus.ErrAway
	}
	return f.Link.Answer(ctx, a)
}

// Next waits for an order that gets through.
func (f *flaky) Next(ctx context.Context, lastGen uint64) (agentbus.Order, error) {
	o, err := f.Link.Next(ctx, lastGen)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for err == nil && f.h.isCut() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return o, ctx.Err()
		}
	}
	return o, err
}

// Heartbeat sends one if there is a way.
func (f *flaky) Heartbeat(b agentbus.Heartbeat) error {
	if f.h.isCut() {
		return agentbus.ErrAway
	}
	return f.Link.Heartbeat(b)
}

// Connected says whether there is a way.
func (f *flaky) Connected() bool { return !f.h.isCut() && f.Link.Connected() }
