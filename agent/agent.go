package agent

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/nixfleet/nixfleet/agentbus"
)

// Agent carries out the orders for one host.
type Agent struct {
	cfg    Config
	ledger *ledger
	notes  *notebook
	logs   *logbook
	bootID string
	beat   chan struct{} // asks for a heartbeat now
	// process tells this agent from those before and after it on the same host.
	process string

	evaluations evaluations // of the order under way
	revisions   revisions
	units       unitLook

	last struct { // the newest observation, for answers written under the ledger's lock
		mu  sync.Mutex
		obs agentbus.Observation
	}
}

// New prepares an agent. It touches nothing before [Agent.Run].
func New(cfg Config) (*Agent, error) {
	if err := cfg.fill(); err != nil {
		return nil, err
	}
	return &Agent{cfg: cfg, bootID: cfg.BootID(), process: rand.Text(), beat: make(chan struct{}, 1)}, nil
}

// Run works until ctx ends, which is not an error, or until the agent can no
// longer keep its journal. An order under way is left as it is: the next Run on
// the same state directory takes it up. A switch under way goes on meanwhile.
func (a *Agent) Run(ctx context.Context) error {
	for _, dir := range []string{"", "logs", "switch", "roots"} {
		if err := os.MkdirAll(statePath(a.cfg.StateDir, dir), 0o700); err != nil {
			return fmt.Errorf("run agent: %w", err)
		}
	}
	lock, err := lockSoon(ctx, statePath(a.cfg.StateDir, "agent.lock"))
	if err != nil {
		return fmt.Errorf("run agent: another one works in this state directory: %w", err)
	}
	defer lock.Close()
	if err := a.open(ctx); err != nil {
		return fmt.Errorf("run agent: %w", err)
	}
	defer a.ledger.journal.close()

	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return a.receive(ctx) })
	g.Go(func() error { return a.workOff(ctx) })
	g.Go(func() error { return a.sendAnswers(ctx) })
	g.Go(func() error { return a.sendLogs(ctx) })
	g.Go(func() error { return a.sendHeartbeats(ctx) })
	if err := g.Wait(); err != nil && !errors.Is(err, context.Canceled) {
		return fmt.Errorf("run agent: %w", err)
	}
	return nil
}

// open reads back what an earlier process left.
func (a *Agent) open(ctx context.Context) error {
	j, err := openJournal(statePath(a.cfg.StateDir, "journal.jsonl"), a.cfg.Log)
	if err != nil {
		return err
	}
	a.ledger = newLedger(j, a.cfg.checkOrder, a.stamp, a.lastSeen)
	if a.notes, err = openNotebook(statePath(a.cfg.StateDir, "facts.json")); err != nil {
		// What it held can be learned again.
		a.cfg.Log("facts are unreadable and forgotten: " + err.Error())
	}
	if a.logs, err = openLogbook(statePath(a.cfg.StateDir, "logs")); err != nil {
		return err
	}
	a.see(ctx, 0)
	return nil
}

// receive takes orders from the bus into the journal.
func (a *Agent) receive(ctx context.Context) error {
	for ctx.Err() == nil {
		order, err := a.cfg.Link.Next(ctx, max(a.ledger.snapshot().Gen, a.cfg.LastGen))
		var refused *agentbus.Refusal
		switch {
		case err == nil:
			a.cfg.Log(fmt.Sprintf("order %s: %s %s (generation %d)", order.ID, order.Kind, order.Commit, order.Gen))
			err = a.ledger.accept(order)
		case errors.As(err, &refused):
			a.cfg.Log(refused.Error())
			err = a.ledger.refuse(refused.Order, refused.Code, refused.Reason)
		case ctx.Err() == nil:
			a.cfg.Log("receive order: " + err.Error())
			pause(ctx, time.Second)
			continue
		}
		if err != nil {
			return err
		}
	}
	return ctx.Err()
}

// workOff carries out one order after the other.
func (a *Agent) workOff(ctx context.Context) error {
	ctx = context.WithValue(ctx, markKey{}, a.mark())
	a.sweep(ctx)
	if err := os.RemoveAll(statePath(a.cfg.StateDir, throwAwayDir)); err != nil {
		return err
	}
	for ctx.Err() == nil {
		a.renewProgram(ctx)
		wctx, w, ok, err := a.ledger.next(ctx)
		if err != nil {
			return err
		}
		if !ok {
			select {
			case <-a.ledger.work:
			case <-ctx.Done():
			}
			continue
		}
		wake(a.beat)
		if err := a.workOn(wctx, w); err != nil {
			return err
		}
		wake(a.beat)
	}
	return ctx.Err()
}

// sendHeartbeats says regularly what the host is and does.
func (a *Agent) sendHeartbeats(ctx context.Context) error {
	for ctx.Err() == nil {
		obs := a.see(ctx, unitsPause)
		if a.successor() != "" {
			wake(a.ledger.work)
		}
		rec := a.ledger.snapshot()
		beat := agentbus.Heartbeat{V: agentbus.ProtocolVersion, At: a.cfg.Now().UnixMilli(), Gen: rec.Gen, Observed: obs}
		w, busy := rec.current()
		wait := a.cfg.IdleBeat
		if busy {
			wait = a.cfg.BusyBeat
		}
		beat.Order, beat.Seq, beat.Step = w.Order.ID, w.Seq, w.Step
		if !a.cfg.Link.Connected() || a.cfg.Link.Heartbeat(beat) != nil {
			wait = min(wait, time.Second) // be seen soon after the bus is back
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-a.beat:
		case <-ctx.Done():
		}
		timer.Stop()
	}
	return ctx.Err()
}

// see observes the host and keeps what it saw for the next answer.
func (a *Agent) see(ctx context.Context, age time.Duration) agentbus.Observation {
	obs := a.observe(ctx, age)
	if a.cfg.OrderKeys != nil {
		obs.OrderKeys = a.cfg.OrderKeys()
	}
	a.last.mu.Lock()
	defer a.last.mu.Unlock()
	a.last.obs = obs
	return obs
}

func (a *Agent) lastSeen() *agentbus.Observation {
	a.last.mu.Lock()
	defer a.last.mu.Unlock()
	obs := a.last.obs
	return &obs
}

func (a *Agent) stamp() agentbus.Answer {
	return agentbus.Answer{V: agentbus.ProtocolVersion, At: a.cfg.Now().UnixMilli(), BootID: a.bootID}
}

// pause waits for d or the end of ctx.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
