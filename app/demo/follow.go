package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/nixfleet/nixfleet/fleet"
)

// narrator tells people what happens, a line each.
type narrator struct {
	out   io.Writer
	now   func() time.Time
	quiet bool

	mu   sync.Mutex
	last map[string]string
}

func (n *narrator) plain(format string, args ...any) {
	if n.quiet {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	_, _ = fmt.Fprintf(n.out, format+"\n", args...)
}

func (n *narrator) say(format string, args ...any) {
	n.plain("  %s  %s", n.now().Format(time.TimeOnly), fmt.Sprintf(format, args...))
}

// once says a line about a subject only when it differs from the one before.
func (n *narrator) once(subject, line string) {
	n.mu.Lock()
	if n.last == nil {
		n.last = map[string]string{}
	}
	same := n.last[subject] == line
	n.last[subject] = line
	n.mu.Unlock()
	if !same && line != "" {
		n.say("%s: %s", subject, line)
	}
}

// follow says what has changed since the last look.
func (n *narrator) follow(o fleet.Overview) {
	for i := len(o.Updates) - 1; i >= 0; i-- {
		u := o.Updates[i]
		n.once(fmt.Sprintf("pull request #%d", u.Number), u.Verdict.Headline)
	}
	for i := len(o.Rollouts) - 1; i >= 0; i-- {
		r := o.Rollouts[i]
		n.once(fmt.Sprintf("rollout of %.7s", r.Commit), r.Headline)
	}
}

// summary is what --json prints (SPEC 10).
type summary struct {
	Update  updateSummary  `json:"update"`
	Rollout rolloutSummary `json:"rollout"`
}

type updateSummary struct {
	Number        int    `json:"number"`
	State         string `json:"state"`
	MergeSHA      string `json:"merge_sha"`
	InputsChanged int    `json:"inputs_changed"`
}

type rolloutSummary struct {
	ID      string `json:"id"`
	State   string `json:"state"`
	Hosts   int    `json:"hosts"`
	Healthy int    `json:"healthy"`
	Failed  int    `json:"failed"`
}

func summarise(u fleet.Update, r fleet.Rollout) summary {
	s := summary{
		Update:  updateSummary{Number: u.Number, State: string(u.State), MergeSHA: u.MergeSHA, InputsChanged: len(u.Verdict.Inputs)},
		Rollout: rolloutSummary{ID: r.ID, State: string(r.State), Hosts: len(r.Hosts)},
	}
	for _, h := range r.Hosts {
		switch h.State {
		case fleet.HostHealthy:
			s.Rollout.Healthy++
		case fleet.HostFailed, fleet.HostReverted:
			s.Rollout.Failed++
		}
	}
	return s
}

// untilDeployed opens one update and waits until its rollout has ended and what
// runs on each host is the merge commit.
func (d *demo) untilDeployed(ctx context.Context) error {
	number, err := d.world.openUpdate(ctx, "update")
	if err != nil {
		return err
	}
	var got summary
	var refusal error
	err = d.app.Await(ctx, "the update to run on all hosts", func(o fleet.Overview) bool {
		d.talk.follow(o)
		for _, u := range o.Updates {
			if u.Number != number {
				continue
			}
			got = summarise(u, fleet.Rollout{})
			if u.State == fleet.UpdateBlocked || u.State == fleet.UpdateFailing || u.State == fleet.UpdateConflict {
				refusal = fmt.Errorf("pull request #%d is %s: %s", number, u.State, u.Verdict.Headline)
				return true
			}
			for _, r := range o.Rollouts {
				if u.MergeSHA == "" || r.Commit != u.MergeSHA {
					continue
				}
				got = summarise(u, r)
				if r.State == fleet.RolloutHalted || r.State == fleet.RolloutFailed {
					refusal = fmt.Errorf("the rollout of %.7s is %s: %s", r.Commit, r.State, r.Headline)
					return true
				}
				return r.State == fleet.RolloutSucceeded && running(o, u.MergeSHA) == len(d.world.machines)
			}
		}
		return false
	})
	return errors.Join(err, refusal, d.print(got))
}

func (d *demo) print(s summary) error {
	if d.o.JSON {
		return json.NewEncoder(d.o.Out).Encode(s)
	}
	d.talk.plain("")
	d.talk.plain("  Pull request #%d is %s as %.7s; %d of %d hosts run it, %d failed.",
		s.Update.Number, s.Update.State, s.Update.MergeSHA, s.Rollout.Healthy, s.Rollout.Hosts, s.Rollout.Failed)
	return nil
}

// untilStopped opens the first update and then tells what happens until the
// person at the terminal has seen enough.
func (d *demo) untilStopped(ctx context.Context) error {
	number, err := d.world.openUpdate(ctx, "update")
	if err != nil {
		return err
	}
	d.talk.say("pull request #%d is open: %s", number, d.world.hub.URL()+fmt.Sprintf("/%s/pull/%d", fleetRepo, number))
	err = d.app.Await(ctx, "", func(o fleet.Overview) bool { d.talk.follow(o); return false })
	if errors.Is(err, context.Canceled) {
		d.talk.plain("")
		d.talk.plain("  Stopping. Thank you for looking.")
		return nil
	}
	return err
}
