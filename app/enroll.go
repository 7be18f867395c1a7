package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/nixfleet/nixfleet/agentbus"
	"github.com/nixfleet/nixfleet/api"
	"github.com/nixfleet/nixfleet/db"
	"github.com/nixfleet/nixfleet/fleet"
)

const (
	enrolTokenTTL = time.Hour           // SPEC of research: a token is for the machine at hand
	hostJWTTTL    = 30 * 24 * time.Hour // renewed by the agent at half life
	maxEnrolBody  = 16 << 10
)

// service is the product as the API sees it.
type service struct{ a *App }

// Overview is what the dashboard shows.
func (s service) Overview(ctx context.Context) (fleet.Overview, error) {
	return overview(s).Overview(ctx)
}

// NewHost records a host and makes its one-time token.
func (s service) NewHost(ctx context.Context, by fleet.Actor, h api.NewHost) (string, time.Time, error) {
	return s.a.NewHost(ctx, by, h)
}

// NewHost records a host that is about to be enrolled and returns its one-time
// token. Only the token's hash is kept.
func (a *App) NewHost(ctx context.Context, by fleet.Actor, h api.NewHost) (string, time.Time, error) {
	if h.Again {
		return a.readmit(ctx, by, h.Name)
	}
	repo, err := a.repoNamed(ctx, h.Repo)
	if errors.Is(err, errNoRepo) {
		return "", time.Time{}, fmt.Errorf("%w: no watched repository is named %q; install the App on it first, or name one of those it watches", api.ErrInvalid, h.Repo)
	}
	if err != nil {
		return "", time.Time{}, err
	}
	if h.Attr == "" {
		return "", time.Time{}, fmt.Errorf("%w: name the flake attribute that builds the host, e.g. nixosConfigurations.%s", api.ErrInvalid, h.Name)
	}
	token, now := newToken(), a.cfg.Now()
	expires := now.Add(enrolTokenTTL)
	host := fleet.Host{RepoID: repo.ID, Name: h.Name, Attr: h.Attr, Tags: h.Tags, Mode: h.Mode}
	err = a.db.CreateHost(ctx, db.NewHost{Host: host, TokenHash: hash(token), Expires: expires, By: by.Login}, now)
	if errors.Is(err, db.ErrConflict) {
		return "", time.Time{}, api.ErrExists
	}
	if err != nil {
		return "", time.Time{}, err
	}
	a.log.Info().Ctx(ctx).Str("host", h.Name).Str("by", by.Login).Msg("host may enrol")
	return token, expires, nil
}

// readmit makes a token for the machine of a known host that was set up anew, and
// revokes the key that it had. Everything else about the host stays.
func (a *App) readmit(ctx context.Context, by fleet.Actor, name string) (string, time.Time, error) {
	token, now := newToken(), a.cfg.Now()
	expires := now.Add(enrolTokenTTL)
	err := a.db.ReadmitHost(ctx, name, hash(token), expires, by.Login, now)
	if errors.Is(err, db.ErrNotFound) {
		return "", time.Time{}, api.ErrUnknown
	}
	if err != nil {
		return "", time.Time{}, err
	}
	a.log.Info().Ctx(ctx).Str("host", name).Str("by", by.Login).Msg("host may enrol again; its key is revoked")
	return token, expires, a.cutOff(ctx)
}

// RevokeHost takes a host's credential away: the row first, so that nothing is
// issued to it any more, then the bus, which cuts its connection.
func (s service) RevokeHost(ctx context.Context, by fleet.Actor, name string) error {
	err := s.a.db.RevokeHost(ctx, name, by.Login, s.a.cfg.Now())
	if errors.Is(err, db.ErrNotFound) || errors.Is(err, db.ErrConflict) {
		return api.ErrUnknown
	}
	if err != nil {
		return err
	}
	s.a.log.Info().Ctx(ctx).Str("host", name).Str("by", by.Login).Msg("host revoked")
	return s.a.cutOff(ctx)
}

// cutOff has the bus refuse every key that was revoked while a certificate of it
// may be valid. It says all that the bus should know, so one that was away, or was
// replaced, catches up with the next call.
func (a *App) cutOff(ctx context.Context) error {
	since := a.cfg.Now().Add(-hostJWTTTL)
	keys, err := a.db.RevokedKeys(ctx, since)
	if err != nil {
		return err
	}
	return a.bus.Revoke(ctx, keys, since)
}

// enroll answers a host that presents its one-time token and its own new key, or
// renews the credential of one that is enrolled.
func (a *App) enroll(w http.ResponseWriter, r *http.Request) {
	var req agentbus.EnrollRequest
	body := http.MaxBytesReader(w, r.Body, maxEnrolBody)
	if err := json.NewDecoder(body).Decode(&req); err != nil {
		problem(w, http.StatusBadRequest, "The body is not an enrolment request: "+err.Error())
		return
	}
	now := a.cfg.Now()
	if err := req.Verify(now); err != nil {
		problem(w, http.StatusForbidden, "The request is not signed by the key that it carries, or the clocks differ: "+err.Error())
		return
	}
	// Only tokens can be guessed. Hosts that renew are known by their key, and may
	// share an address with who guesses.
	from, guess := address(r), req.Token != ""
	if wait := a.failures.wait(from); guess && wait > 0 {
		slowDown(w, wait, "Too many tokens from this address were refused. Wait, and look at what the last answer said.")
		return
	}
	if req.OldKey != "" {
		if wait := a.changes.wait(req.Host); wait > 0 {
			slowDown(w, wait, "This host changes its key too often.")
			return
		}
	}
	host, key, err := a.admit(r.Context(), req, now)
	if errors.Is(err, db.ErrNotFound) || errors.Is(err, db.ErrConflict) {
		if guess {
			a.failures.count(from)
		}
		problem(w, http.StatusForbidden, notAdmitted(req, err))
		return
	}
	if err != nil {
		a.log.Error().Ctx(r.Context()).Err(err).Str("host", req.Host).Msg("enrolment failed")
		problem(w, http.StatusServiceUnavailable, "The server can't enrol hosts right now. Try again in a minute.")
		return
	}
	reply, err := a.enrolReply(r.Context(), host, key)
	if err != nil {
		a.log.Error().Ctx(r.Context()).Err(err).Str("host", req.Host).Msg("enrolment failed")
		problem(w, http.StatusInternalServerError, "The server could not issue a credential. Its log says why.")
		return
	}
	if req.CurveKey != "" {
		if err := a.db.KeepCurveKey(r.Context(), host.ID, req.CurveKey); err != nil {
			a.log.Error().Ctx(r.Context()).Err(err).Str("host", host.Name).Msg("what to seal to is not kept")
		}
	}
	a.log.Info().Ctx(r.Context()).Str("host", host.Name).Bool("renewal", req.Token == "").Msg("host enrolled")
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(reply)
}

// admit consumes the token, recognises the key of a host that is enrolled, or lets
// it change its key: the new one is noted when both sign, and takes the old one's
// place when it is used by itself. It returns the key that is to be certified.
func (a *App) admit(ctx context.Context, req agentbus.EnrollRequest, now time.Time) (host fleet.Host, key string, err error) {
	switch {
	case req.Token != "":
		host, err = a.db.EnrollHost(ctx, hash(req.Token), req.Host, req.PublicKey, now)
		return host, req.PublicKey, err
	case req.OldKey != "":
		return a.db.OfferKey(ctx, req.Host, req.OldKey, req.PublicKey)
	}
	host, err = a.db.HostByKey(ctx, req.PublicKey)
	if errors.Is(err, db.ErrNotFound) {
		if host, err = a.db.TakeKey(ctx, req.Host, req.PublicKey, now); err == nil {
			a.changes.count(host.Name)
			err = a.cutOff(ctx)
		}
	}
	if err == nil && (host.Name != req.Host || !host.RevokedAt.IsZero()) {
		return fleet.Host{}, "", db.ErrNotFound
	}
	return host, req.PublicKey, err
}

// notAdmitted says why, and what to do on the host or at the server.
func notAdmitted(req agentbus.EnrollRequest, err error) string {
	anew := " Make a new token with `nixfleet hosts enroll " + req.Host + "` and enrol with it; add `--again` where the fleet knows the host already."
	switch {
	case errors.Is(err, db.ErrConflict):
		return "Another host has this key, so the agent's state was probably copied from it. Remove seed.nk from the agent's state directory on " + req.Host + " and enrol again with the same token."
	case req.Token == "":
		return "No host named " + req.Host + " is enrolled with this key: it was revoked, or it enrolled anew with another key." + anew
	default:
		return "The token is not valid for " + req.Host + ": it was used by another machine, it has expired, or it is for another host." + anew
	}
}

func (a *App) enrolReply(ctx context.Context, host fleet.Host, key string) (agentbus.EnrollReply, error) {
	jwt, err := a.bus.IssueHost(host.Name, key, hostJWTTTL)
	if err != nil {
		return agentbus.EnrollReply{}, fmt.Errorf("issue credential: %w", err)
	}
	lists, err := a.keys.KeyLists()
	if err != nil {
		return agentbus.EnrollReply{}, fmt.Errorf("sign the list of order keys: %w", err)
	}
	repos, err := a.db.Repos(ctx)
	if err != nil {
		return agentbus.EnrollReply{}, err
	}
	reply := agentbus.EnrollReply{
		Fleet: a.keys.FleetID(), Host: host.Name, JWT: jwt, URLs: a.door.urls, OrderKeys: a.keys.OrderKeys(), KeyLists: lists, CA: a.door.authorities(),
		LastGen: host.LastGen, Attr: host.Attr, Tags: host.Tags,
	}
	for _, repo := range repos {
		if repo.ID == host.RepoID {
			reply.Repo, reply.Branch = a.cloneURL(repo), repo.DefaultBranch
		}
	}
	return reply, nil
}

// problem answers as the API does.
func problem(w http.ResponseWriter, status int, detail string) { api.WriteProblem(w, status, detail) }
