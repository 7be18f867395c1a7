package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/nixfleet/nixfleet/db"
	"golang.org/x/sync/errgroup"
)

// Orders go out in batches of at most ordersAtOnce, about a second's work of the bus;
// of what waits on GitHub, githubAtOnce are claimed and under way together, so that
// none outlives its lease in a queue of our own.
const (
	ordersAtOnce = 4096
	githubAtOnce = 16
)

// errLater is returned by an effect that is not done yet for a reason that is not
// an error of ours; it is not logged as one.
var errLater = errors.New("not yet")

// workEffects and workOrders are the only places that act on the outside world.
// An effect may be carried out more than once, so each is idempotent, and one that
// was asked for again meanwhile stays due. Orders have a loop of their own: a slow
// GitHub must not keep hosts waiting.
func (a *App) workEffects(ctx context.Context) (int, error) {
	effects, err := a.db.ClaimEffects(ctx, a.cfg.Now(), lease, githubAtOnce, "merge", "comment", "check", "branch", "react", "deployment", "revert", "lock", "propose")
	if err != nil {
		return 0, err
	}
	var g errgroup.Group
	for _, e := range effects {
		g.Go(func() error {
			return a.traced(ctx, e, func(ctx context.Context) error { return a.settle(ctx, e, a.effect(ctx, e)) })
		})
	}
	return len(effects), g.Wait()
}

func (a *App) workOrders(ctx context.Context) (int, error) {
	sends, err := a.db.ClaimEffects(ctx, a.cfg.Now(), lease, ordersAtOnce, "send")
	if err != nil {
		return 0, err
	}
	return len(sends), a.sendBatch(ctx, sends)
}

// workOverdue ends the orders whose time is up.
func (a *App) workOverdue(ctx context.Context) (int, error) {
	return a.db.EndOverdueOrders(ctx, a.cfg.Now(), 1000)
}

// sendBatch puts the orders of many hosts on the bus with one write.
func (a *App) sendBatch(ctx context.Context, sends []db.Effect) error {
	if len(sends) == 0 {
		return nil
	}
	hosts, attempt := make([]string, 0, len(sends)), 0
	for _, e := range sends {
		about, err := subject(e)
		if err != nil {
			return a.settle(ctx, e, err)
		}
		hosts, attempt = append(hosts, about.Host), max(attempt, e.Attempt)
	}
	err := a.send(ctx, hosts...)
	switch {
	case ctx.Err() != nil:
		return nil // the lease runs out and another worker takes them up
	case err == nil:
		return a.db.FinishEffects(ctx, sends)
	}
	again := a.cfg.Now().Add(backoff(attempt))
	a.log.Warn().Ctx(ctx).Err(err).Int("hosts", len(hosts)).Int("attempt", attempt).Time("again", again).Msg("orders not sent; it is tried again")
	return a.db.RetryEffects(ctx, sends, again, err.Error())
}

// settle ends an effect that was carried out and puts off one that was not.
func (a *App) settle(ctx context.Context, e db.Effect, err error) error {
	if ctx.Err() != nil {
		return nil // the lease runs out and another worker takes it up
	}
	a.meters.effects.WithLabelValues(e.Kind, map[bool]string{true: "done", false: "again"}[err == nil]).Inc()
	if err == nil {
		return taken(a.db.FinishEffect(ctx, e))
	}
	var limited *laterError
	if errors.As(err, &limited) && limited.planned {
		// Nothing went wrong, however often it was woken meanwhile.
		return taken(a.db.PostponeEffect(ctx, e, limited.until, err.Error()))
	}
	again := a.cfg.Now().Add(backoff(e.Attempt))
	if limited != nil && limited.until.After(again) {
		again = limited.until
	}
	if !errors.Is(err, errLater) {
		a.log.Warn().Ctx(ctx).Err(err).Str("effect", e.Key).Int("attempt", e.Attempt).Time("again", again).Msg("not done; it is tried again")
	}
	return taken(a.db.RetryEffect(ctx, e, again, err.Error()))
}

// taken forgives that the lease ran out and another worker has the effect now: it
// will find the work done.
func taken(err error) error {
	if errors.Is(err, db.ErrConflict) {
		return nil
	}
	return err
}

// about is what an effect concerns.
type about struct {
	UpdateID int64  `json:"update_id"`
	HeadSHA  string `json:"head_sha"`
	Comment  int64  `json:"comment"`
	Content  string `json:"content"`
	Host     string `json:"host"`
	Rollout  string `json:"rollout"`
	Proposal string `json:"proposal"`
	Order    string `json:"order"`
	Receiver int64  `json:"receiver"`
}

func subject(e db.Effect) (about, error) {
	var s about
	if err := json.Unmarshal(e.Payload, &s); err != nil {
		return s, fmt.Errorf("effect %s: %w", e.Key, err)
	}
	return s, nil
}

func (a *App) effect(ctx context.Context, e db.Effect) error {
	about, err := subject(e)
	if err != nil {
		return err
	}
	switch e.Kind {
	case "merge":
		return a.merge(ctx, about.UpdateID, about.HeadSHA)
	case "comment":
		return a.comment(ctx, about.UpdateID)
	case "check":
		return a.check(ctx, about.UpdateID)
	case "react":
		return a.react(ctx, about)
	case "deployment":
		return a.deployment(ctx, about.Rollout)
	case "revert":
		return a.revert(ctx, about.Rollout)
	case "lock":
		return a.commitLock(ctx, about.Proposal)
	case "propose":
		return a.proposeSent(ctx, about.Order)
	case "notify":
		return a.message(ctx, about.Receiver)
	case "branch":
		return a.deleteBranch(ctx, about.UpdateID)
	default:
		return fmt.Errorf("effect %s: no way to carry out the kind %q", e.Key, e.Kind)
	}
}
