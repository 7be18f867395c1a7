package app

import (
	"context"

	"github.com/nixfleet/nixfleet/db"
	"github.com/nixfleet/nixfleet/fleet"
	"github.com/nixfleet/nixfleet/handlers"
)

// inbox lets the hook store what it received.
type inbox struct {
	db     *db.DB
	meters *meters
}

// StoreDelivery reports whether the delivery is new, once it is committed.
func (i inbox) StoreDelivery(ctx context.Context, d handlers.Delivery) (bool, error) {
	fresh, err := i.db.StoreDelivery(ctx, db.Delivery{
		HookID: d.HookID, GUID: d.GUID, Event: d.Event, Action: d.Action,
		Headers: d.Headers, Payload: d.Payload, ReceivedAt: d.ReceivedAt,
	})
	if err == nil {
		i.meters.webhooks.WithLabelValues(d.Event, map[bool]string{true: "stored", false: "repeated"}[fresh]).Inc()
	}
	return fresh, err
}

// workInbox turns stored deliveries into due rows. A payload that cannot be read
// is not tried again: it will not get better, and the reconciliation does not
// need it.
func (a *App) workInbox(ctx context.Context) (int, error) {
	now := a.cfg.Now()
	batch, err := a.db.ClaimDeliveries(ctx, now, lease, 20)
	if err != nil {
		return 0, err
	}
	// Our own App's check runs give no facts: looking again because we edited one
	// would go on for ever.
	interpreter := handlers.Interpreter{AppID: a.cfg.GitHubAppID}
	for _, d := range batch {
		facts, err := interpreter.Interpret(d.Event, d.Payload)
		if err != nil {
			a.log.Warn().Ctx(ctx).Err(err).Str("event", d.Event).Str("delivery", d.GUID).Msg("payload not understood")
		}
		if err := a.finish(ctx, d, facts); err != nil {
			return len(batch), err
		}
	}
	return len(batch), nil
}

// finish stores what a delivery said. One that cannot be stored is put off alone:
// it must not keep the others waiting behind it.
func (a *App) finish(ctx context.Context, d db.Delivery, facts []fleet.Fact) error {
	now := a.cfg.Now()
	err := taken(a.db.FinishDelivery(ctx, d, facts, now))
	if err == nil && a.traces.on {
		a.traces.delivery(d, facts, now)
	}
	if err == nil || ctx.Err() != nil {
		return err
	}
	a.log.Error().Ctx(ctx).Err(err).Str("event", d.Event).Str("delivery", d.GUID).Msg("delivery could not be worked on; it is tried again later")
	return taken(a.db.FailDelivery(ctx, d, err, now.Add(backoff(d.Attempt))))
}
