package app

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nixfleet/nixfleet/dashboard"
	"github.com/nixfleet/nixfleet/db"
	"github.com/nixfleet/nixfleet/fleet"
)

// actions are the buttons of the dashboard. Each stores a wish, judged as those of
// the check run's buttons are; the loops decide what follows. That the person may
// is the session's word.
type actions struct{ a *App }

// Merge asks to merge the head SHA that was seen, and to deploy the merge commit
// or not.
func (x actions) Merge(ctx context.Context, by fleet.Actor, seen dashboard.Seen, deploy bool) error {
	u, err := x.stillAs(ctx, seen)
	if err != nil {
		return err
	}
	if r := u.Request; r != nil && r.HeadSHA == u.HeadSHA && r.Deploy == deploy && !ended(u.State) {
		return nil // it is asked for already
	}
	if u.State == fleet.UpdateMerging {
		return dashboard.Refused(fmt.Sprintf("Pull request #%d is being merged already.", u.Number))
	}
	c := x.wish(by, u, "merge")
	end := allow(c, u)
	if end.Merge != nil {
		end.Merge.Deploy = deploy
	}
	if end.Merge != nil && !deploy {
		end.Why = fmt.Sprintf("Merge of head %.7s without a deploy is asked for.", u.HeadSHA)
	}
	return x.grant(ctx, c, end)
}

// Hold keeps an update from merging by itself until the given time, or until the
// hold is released. It does not ask for the head SHA that was seen: to pass a hold
// over because the head has just moved would merge what somebody wanted stopped.
func (x actions) Hold(ctx context.Context, by fleet.Actor, seen dashboard.Seen, until time.Time) error {
	u, err := x.a.db.Update(ctx, seen.Update)
	if err != nil {
		return noUpdate(err)
	}
	if h := u.Hold; h.Active(x.a.cfg.Now()) && !h.At.Equal(seen.HeldAt) && h.By.Login == by.Login && h.Until.Sub(until).Abs() < time.Minute {
		return nil // the same press once more, of a page that does not show the first one yet
	}
	c := x.wish(by, u, "hold")
	end := allow(c, u)
	if end.Hold != nil && !until.IsZero() {
		end.Hold.Until, end.Why = until, "It is held until "+until.UTC().Format("2006-01-02 15:04 UTC")+"."
	}
	return x.grant(ctx, c, end)
}

// Release ends the hold that was seen.
func (x actions) Release(ctx context.Context, by fleet.Actor, seen dashboard.Seen) error {
	u, err := x.a.db.Update(ctx, seen.Update)
	if err != nil {
		return noUpdate(err)
	}
	if u.Hold == nil && !ended(u.State) {
		return nil // it is released already
	}
	if u, err = x.stillAs(ctx, seen); err != nil {
		return err
	}
	c := x.wish(by, u, "unhold")
	return x.grant(ctx, c, allow(c, u))
}

// stillAs reads an update and checks that it is what the person looked at. What
// has ended says so itself, in better words than that it changed.
func (x actions) stillAs(ctx context.Context, seen dashboard.Seen) (fleet.Update, error) {
	u, err := x.a.db.Update(ctx, seen.Update)
	switch {
	case err != nil:
		return u, noUpdate(err)
	case ended(u.State):
		return u, nil
	case u.HeadSHA != seen.HeadSHA:
		return u, dashboard.ErrHeadMoved
	case u.Hold.Active(x.a.cfg.Now()) && !u.Hold.At.Equal(seen.HeldAt):
		return u, dashboard.Refused(u.Hold.By.Login + " has put a hold on it since you looked, so nothing was done. Look again.")
	}
	return u, nil
}

// noUpdate says in words for people that there is no such update.
func noUpdate(err error) error {
	if errors.Is(err, db.ErrNotFound) {
		return dashboard.Refused("There is no such update.")
	}
	return err
}

func (x actions) wish(by fleet.Actor, u fleet.Update, action string) db.RequestClaim {
	return db.RequestClaim{UpdateID: u.ID, Repo: u.Repo, Number: u.Number, Action: action, SHA: u.HeadSHA, By: by, At: x.a.cfg.Now()}
}

// grant stores what comes of a wish, or says why nothing does.
func (x actions) grant(ctx context.Context, c db.RequestClaim, end db.RequestEnd) error {
	if end.Result != db.RequestAllowed {
		return dashboard.Refused(end.Why)
	}
	err := x.a.db.GrantRequest(ctx, c, end, c.At)
	if errors.Is(err, db.ErrConflict) {
		return dashboard.ErrHeadMoved // it moved between the two reads
	}
	if err != nil {
		return err
	}
	x.a.log.Info().Ctx(ctx).Str("repo", c.Repo.FullName()).Int("update", c.Number).Str("head", c.SHA).Str("by", c.By.Login).Str("action", c.Action).Msg(end.Why)
	return nil
}

var errNoRepo = errors.New("no repository")

// repoNamed finds a watched repository by owner/name; an empty name means the
// only one there is.
func (a *App) repoNamed(ctx context.Context, name string) (fleet.Repo, error) {
	repos, err := a.db.Repos(ctx)
	if err != nil {
		return fleet.Repo{}, err
	}
	if name == "" && len(repos) == 1 {
		return repos[0], nil
	}
	for _, r := range repos {
		if r.FullName() == name {
			return r, nil
		}
	}
	return fleet.Repo{}, errNoRepo
}
