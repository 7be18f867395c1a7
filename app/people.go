package app

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/nixfleet/nixfleet/db"
	"github.com/nixfleet/nixfleet/fleet"
	"github.com/nixfleet/nixfleet/forge"
)

// askPersonAgain is how soon a role is asked for again that GitHub did not tell.
const askPersonAgain = time.Minute

// workPeople asks GitHub again for the role of one person of whom a session or a token
// lasts. Another role ends their sessions; their tokens can do no more than they.
func (a *App) workPeople(ctx context.Context) (int, error) {
	now := a.cfg.Now()
	p, err := a.db.ClaimPerson(ctx, now, now.Add(lease))
	if errors.Is(err, db.ErrNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	who, err := a.account(ctx, p.ID)
	if errors.Is(err, forge.ErrNoAccount) {
		return 1, a.checked(ctx, p, fleet.RoleNone, "no account on GitHub any more", now)
	}
	var role, because string
	if err == nil {
		p.Login = cmp.Or(who.Login, p.Login)
		role, because, err = a.roleOf(ctx, who)
	}
	if ctx.Err() != nil {
		return 0, ctx.Err() // the lease runs out, and it is due again
	}
	if err != nil {
		a.log.Warn().Ctx(ctx).Err(err).Str("person", p.Login).Msg("GitHub does not tell a role")
		return 1, a.db.UncheckedPerson(ctx, p.ID, err.Error(), now.Add(askPersonAgain))
	}
	if role != p.Role {
		a.log.Info().Ctx(ctx).Str("person", p.Login).Str("from", p.Role).Str("to", role).Msg("another role: you have " + because)
	}
	return 1, a.checked(ctx, p, role, because, now)
}

func (a *App) checked(ctx context.Context, p db.Person, role, because string, now time.Time) error {
	p.Role, p.Because, p.CheckedAt = role, because, now
	return a.db.CheckedPerson(ctx, p, now.Add(fleet.RoleAgain), a.cfg.Now())
}

// account reads how an account is named now, through whichever installation answers.
func (a *App) account(ctx context.Context, id int64) (who fleet.Actor, err error) {
	repos, err := a.db.Repos(ctx)
	if err != nil || len(repos) == 0 {
		return fleet.Actor{ID: id, Type: "User"}, err // without a repository nobody has a role, whatever the name
	}
	for _, repo := range repos {
		if who, err = a.forge.Account(ctx, repo, id); err == nil || errors.Is(err, forge.ErrNoAccount) {
			return who, err
		}
	}
	return who, err
}
