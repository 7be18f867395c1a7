package app

import (
	"context"
	"errors"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/nixfleet/nixfleet/db"
	"github.com/nixfleet/nixfleet/fleet"
)

const (
	// spreadAtOnce bounds one transaction that looks at news.
	spreadAtOnce = 50

	// receiversAtOnce are told something at the same time.
	receiversAtOnce = 16

	// noticePatience is how long a notice is tried.
	noticePatience = 24 * time.Hour

	keepNotices = 30 * 24 * time.Hour

	watchEvery = time.Minute

	// hearFirst is how long after its start a server knows too little to say that a host
	// is away or that GitHub can't be read.
	hearFirst = 5 * time.Minute
)

// workNotices looks at what happened, and asks for a message to every receiver that
// something is due for.
func (a *App) workNotices(ctx context.Context) (int, error) {
	n, err := a.db.SpreadNotices(ctx, a.cfg.Now(), spreadAtOnce)
	return n, errors.Join(err, a.db.RaiseNotices(ctx, a.cfg.Now()))
}

// workMessages tells receivers. They have a loop of their own: one that does not
// answer must not keep GitHub or hosts waiting.
func (a *App) workMessages(ctx context.Context) (int, error) {
	effects, err := a.db.ClaimEffects(ctx, a.cfg.Now(), lease, receiversAtOnce, "notify")
	if err != nil {
		return 0, err
	}
	var g errgroup.Group
	for _, e := range effects {
		g.Go(func() error { return a.settle(ctx, e, a.effect(ctx, e)) })
	}
	return len(effects), g.Wait()
}

// message sends the next message of a receiver. What is left is asked for anew.
func (a *App) message(ctx context.Context, receiver int64) error {
	r, sealed, due, err := a.db.DueNotices(ctx, receiver, a.cfg.Now())
	if errors.Is(err, db.ErrNotFound) || (err == nil && len(due) == 0) {
		return nil
	}
	if err != nil {
		return err
	}
	m, ids := a.nextMessage(r, due)
	// A server that stops lets a message go out and notes it: the next one would send it again.
	ctx = context.WithoutCancel(ctx)
	address, err := a.address(r, sealed)
	if err == nil {
		err = a.sender.Send(ctx, address, m)
	}
	if err != nil {
		return errors.Join(err, a.db.NoticesFailed(ctx, r.ID, ids, err.Error(), noticePatience, a.cfg.Now()))
	}
	return a.db.NoticesSent(ctx, r.ID, ids, a.cfg.Now())
}

// nextMessage is the next message of what is due for a receiver, and which deliveries
// it is about.
func (a *App) nextMessage(r fleet.Receiver, due []db.NoticeDelivery) (fleet.Message, []int64) {
	collected := make([]bool, len(due))
	for i, d := range due {
		collected[i] = d.Collected
	}
	var told []fleet.Told
	var ids []int64
	for _, i := range fleet.NextMessage(collected) {
		told, ids = append(told, fleet.Told{Notice: due[i].Notice, Kind: due[i].Kind}), append(ids, due[i].ID)
	}
	if len(told) == 1 {
		return r.Message(told[0].Notice, told[0].Kind, a.cfg.URL), ids
	}
	return r.Digest(told, a.cfg.URL), ids
}

// watch looks for what is wrong and lasts, now and then.
func (a *App) watch(ctx context.Context) error {
	timer := time.NewTimer(watchEvery)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
		}
		if err := a.lookForTrouble(ctx); err != nil {
			return err
		}
		timer.Reset(watchEvery)
	}
}

func (a *App) lookForTrouble(ctx context.Context) error {
	now := a.cfg.Now()
	if now.Sub(a.hearing) < hearFirst {
		return nil
	}
	o, err := overview{a}.Overview(ctx)
	if err != nil {
		return err
	}
	return a.db.Watch(ctx, fleet.Troubles(o), now)
}
