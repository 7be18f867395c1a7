package app

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nixfleet/nixfleet"
	"github.com/nixfleet/nixfleet/dashboard"
	"github.com/nixfleet/nixfleet/db"
	"github.com/nixfleet/nixfleet/fleet"
	"github.com/nixfleet/nixfleet/forge"
)

// signInTTL is how long a visit to GitHub's page may take: its codes last as long.
const signInTTL = 10 * time.Minute

// openSignIn prepares signing in with GitHub, where the App's client is known: by the
// settings, which win, or by the set-up.
func (a *App) openSignIn(c *credentials) error {
	if a.cfg.GitHubClientID != "" {
		c.clientID, c.clientSecret = a.cfg.GitHubClientID, a.clientSecret
	}
	if c.clientID == "" || c.clientSecret == "" {
		return nil
	}
	in, err := forge.NewSignIn(forge.SignInConfig{
		Config: forge.Config{APIURL: a.cfg.GitHubAPIURL, UserAgent: userAgent, Now: a.cfg.Now, Log: a.log},
		WebURL: a.cfg.GitHubWebURL, ClientID: c.clientID, ClientSecret: c.clientSecret, Callback: a.cfg.URL + nixfleet.SignInPath,
	})
	if err != nil {
		return fmt.Errorf("github: %w", err)
	}
	a.signIn.Store(in)
	return nil
}

// Offer says whether people can sign in with GitHub, and whose permissions decide.
func (s sessions) Offer(ctx context.Context) (dashboard.Offer, error) {
	if s.a.signIn.Load() == nil {
		return dashboard.Offer{}, nil
	}
	o := dashboard.Offer{GitHub: true}
	repos, err := s.a.db.Repos(ctx)
	for _, r := range repos {
		o.Repos = append(o.Repos, r.FullName())
	}
	return o, err
}

// SignIn sends a browser to GitHub. What the browser keeps is the verifier of PKCE, so
// that a code is of no use to whoever has not begun; we keep hashes of it and of the
// state.
func (s sessions) SignIn(ctx context.Context, next string, from dashboard.From) (address, secret string, err error) {
	in, visits := s.a.signIn.Load(), s.a.limited().visits
	if in == nil {
		return "", "", dashboard.Refused("Signing in with GitHub is not set up on this server.")
	}
	at := limitOf(from.Address)
	if wait := visits.wait(at); wait > 0 {
		return "", "", dashboard.TooSoon(wait)
	}
	visits.count(at)
	state, verifier := newToken(), forge.Verifier()
	if err := s.a.db.BeginSignIn(ctx, hash(state), hash(verifier), next, s.a.cfg.Now().Add(signInTTL)); err != nil {
		return "", "", err
	}
	return in.Address(state, verifier), verifier, nil
}

// Return lets somebody in whom GitHub sent back.
func (s sessions) Return(ctx context.Context, secret, state, code string, from dashboard.From) (cookie, next string, err error) {
	in, now := s.a.signIn.Load(), s.a.cfg.Now()
	if in == nil {
		return "", "", dashboard.ErrLost
	}
	if next, err = s.a.db.UseSignIn(ctx, hash(state), hash(secret), now); errors.Is(err, db.ErrNotFound) {
		return "", "", dashboard.ErrLost
	} else if err != nil {
		return "", "", err
	}
	who, err := in.Person(ctx, code, secret)
	if errors.Is(err, forge.ErrSignInCode) {
		return "", "", dashboard.ErrLost
	}
	var role, because string
	if err == nil {
		role, because, err = s.a.roleOf(ctx, who)
	}
	if err != nil {
		s.a.log.Warn().Ctx(ctx).Err(err).Msg("somebody could not sign in")
		return "", "", fmt.Errorf("%w: %w", dashboard.ErrAway, err)
	}
	if role == fleet.RoleNone {
		return "", "", s.turnAway(ctx, who, because, from, now)
	}
	cookie, err = s.begin(ctx, db.NewSession{
		Owner: db.Owner{Person: who.ID, Actor: who.Login}, Role: role, Because: because, Asked: now, Again: now.Add(fleet.RoleAgain),
		Reason: "with GitHub: " + because,
	}, from)
	return cookie, next, err
}

// turnAway refuses somebody without access, and ends what they had while they had some.
func (s sessions) turnAway(ctx context.Context, who fleet.Actor, because string, from dashboard.From, now time.Time) error {
	err := s.a.db.CheckedPerson(ctx, db.Person{ID: who.ID, Login: who.Login, Role: fleet.RoleNone, Because: because, CheckedAt: now},
		now.Add(fleet.RoleAgain), now)
	if err != nil && !errors.Is(err, db.ErrNotFound) {
		return err
	}
	s.refused(ctx, who.Login, fmt.Sprintf("person/%d", who.ID), from, who.Login+" has "+because+".")
	return dashboard.Refused(fmt.Sprintf("%s has %s. Whoever owns it on GitHub can add you as a collaborator; to look, reading is enough.", who.Login, because))
}

// roleOf asks GitHub for the role of somebody, and why. An error means that it is not
// known: one repository that can't be read is enough, unless another one says no.
func (a *App) roleOf(ctx context.Context, who fleet.Actor) (role, because string, err error) {
	if who.Type != "User" {
		return fleet.RoleNone, "no role, since it is no person's account", nil
	}
	repos, err := a.db.Repos(ctx)
	if err != nil {
		return "", "", err
	}
	var grants []fleet.Grant
	var unknown error
	for _, repo := range repos {
		permission, err := a.forge.Access(ctx, repo, who)
		if err != nil {
			unknown = errors.Join(unknown, err)
			continue
		}
		grants = append(grants, fleet.Grant{Repo: repo.FullName(), Permission: permission})
	}
	role, because = fleet.RoleBy(grants)
	if unknown != nil && (role != fleet.RoleNone || len(grants) == 0) {
		return "", "", unknown
	}
	return role, because, nil
}
