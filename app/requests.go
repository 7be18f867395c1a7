package app

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nixfleet/nixfleet/db"
	"github.com/nixfleet/nixfleet/fleet"
	"github.com/nixfleet/nixfleet/forge"
	"golang.org/x/sync/errgroup"
)

const (
	requestsAtOnce = 8

	// requestTTL is how long a press waits to be handled while GitHub can't say
	// whether the person may. After that it is no longer meant.
	requestTTL = fleet.OrderWaits
)

// workRequests handles what people press and write on GitHub.
func (a *App) workRequests(ctx context.Context) (int, error) {
	claims, err := a.db.ClaimRequests(ctx, a.cfg.Now(), lease, requestsAtOnce)
	if err != nil {
		return 0, err
	}
	var g errgroup.Group // each waits on GitHub; what befalls one must not cut short the others
	for _, c := range claims {
		g.Go(func() error { return taken(a.handleRequest(ctx, c)) })
	}
	return len(claims), g.Wait()
}

// handleRequest finds out what comes of a press and stores it. What can't be found
// out is not done, and tried again.
func (a *App) handleRequest(ctx context.Context, c db.RequestClaim) error {
	log := a.log.With().Str("repo", c.Repo.FullName()).Int("update", c.Number).Str("action", c.Action).
		Str("head", c.SHA).Str("by", c.By.Login).Logger()
	ctx = fleet.By(ctx, fleet.WayCheck)
	if c.Comment > 0 {
		ctx = fleet.By(ctx, fleet.WayComment)
	}
	end, err := a.judgeRequest(ctx, c)
	if ctx.Err() != nil {
		return ctx.Err() // the lease runs out and the request is due again
	}
	now := a.cfg.Now()
	if err == nil {
		err = a.db.FinishRequest(ctx, c, end, now)
	}
	switch {
	case err == nil:
		log.Info().Str("result", string(end.Result)).Msg(end.Why)
		return nil
	case errors.Is(err, db.ErrConflict):
		// Its update moved while it was judged, or it is somebody else's by now.
		return a.db.PostponeRequest(ctx, c, now.Add(backoff(c.Attempt)))
	case now.Sub(c.At) > requestTTL:
		log.Warn().Err(err).Msg("given up")
		return a.db.FinishRequest(ctx, c, void("It could not be found out for too long whether %s may: %v.", c.By.Login, err), now)
	}
	again := now.Add(backoff(c.Attempt))
	var limited *forge.RateLimited
	if errors.As(err, &limited) && limited.Until.After(again) {
		again = limited.Until
	}
	log.Warn().Err(err).Time("again", again).Msg("not handled; it is tried again")
	return a.db.PostponeRequest(ctx, c, again)
}

// judgeRequest decides what comes of a press. An error means that it is not known.
func (a *App) judgeRequest(ctx context.Context, c db.RequestClaim) (db.RequestEnd, error) {
	if c.By.Type != "User" || c.By.ID <= 0 {
		return db.RequestEnd{Result: db.RequestIgnored, Why: "Only people press buttons."}, nil
	}
	if c.Comment > 0 {
		return a.judgeComment(ctx, c)
	}
	switch c.Action {
	case "merge", "hold", "unhold":
	case "rerun":
		return db.RequestEnd{Result: db.RequestAllowed, Why: "It was looked at again.", Rewrite: true}, nil
	default:
		return db.RequestEnd{Result: db.RequestIgnored, Why: "There is no such button."}, nil
	}
	role, err := a.forge.Permission(ctx, c.Repo, c.By)
	if err != nil {
		return db.RequestEnd{}, err
	}
	if !forge.MayWrite(role) {
		return db.RequestEnd{Result: db.RequestDenied, Role: role, Why: fmt.Sprintf(
			"%s has the role %s on %s; this takes write, maintain or admin.", c.By.Login, role, c.Repo.FullName())}, nil
	}
	u, err := a.db.Update(ctx, c.UpdateID)
	if err != nil {
		return db.RequestEnd{}, err
	}
	end := allow(c, u)
	end.Role = role
	return end, nil
}

// allow is what the press of somebody who may does to the update as it is now. A
// merge or a release is meant for the head that the person saw. A hold is for the
// update: to pass one over because the head has just moved would merge what
// somebody wanted stopped.
func allow(c db.RequestClaim, u fleet.Update) db.RequestEnd {
	switch {
	case ended(u.State):
		return void("Pull request #%d is %s already.", u.Number, u.State)
	case c.Action == "hold":
		return db.RequestEnd{Result: db.RequestAllowed, Why: "It is held until the hold is released.", Hold: &fleet.Hold{By: c.By, At: c.At}}
	case u.HeadSHA != c.SHA:
		return void("The button was of head %.7s; the head is %.7s by now.", c.SHA, u.HeadSHA)
	case u.Hold != nil && u.Hold.At.After(c.At):
		return void("%s has put a hold on it since.", u.Hold.By.Login)
	case c.Action == "merge":
		return db.RequestEnd{Result: db.RequestAllowed, Why: fmt.Sprintf("Merge and deploy of head %.7s is asked for.", c.SHA),
			Merge: &fleet.MergeRequest{By: c.By, HeadSHA: c.SHA, At: c.At, Deploy: true}}
	case u.Hold == nil:
		return void("No person holds it.")
	}
	return db.RequestEnd{Result: db.RequestAllowed, Why: fmt.Sprintf("The hold of %s since %s is released.",
		u.Hold.By.Login, u.Hold.At.UTC().Format(time.DateTime+" UTC")), Release: true}
}

func void(format string, args ...any) db.RequestEnd {
	return db.RequestEnd{Result: db.RequestVoid, Why: fmt.Sprintf(format, args...)}
}
