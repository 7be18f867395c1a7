package app

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/nixfleet/nixfleet/agentbus"
	"github.com/nixfleet/nixfleet/db"
	"github.com/nixfleet/nixfleet/fleet"
)

// How often one host may ask for a token. It keeps the one it has for most of an
// hour, but an agent may be restarted.
const (
	askAtOnce = 5
	askEvery  = 30 * time.Second
)

const maxTokenBody = 4 << 10

// repoToken gives a host without access of its own a token with which its
// repository can be fetched and nothing else be done. It is sealed to the host, so
// neither a proxy nor a log on the way holds it.
func (a *App) repoToken(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	var req agentbus.RepoTokenRequest
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxTokenBody)).Decode(&req); err != nil {
		problem(w, http.StatusBadRequest, "The body is not a request for a token: "+err.Error())
		return
	}
	if err := req.Verify(a.cfg.Now()); err != nil {
		problem(w, http.StatusForbidden, "The request is not signed by the key that it carries, or the clocks differ: "+err.Error())
		return
	}
	host, curve, err := a.reader(r.Context(), req)
	if errors.Is(err, db.ErrNotFound) {
		problem(w, http.StatusForbidden, "No host named "+req.Host+" is enrolled with this key.")
		return
	}
	if err != nil {
		a.tokenFailed(w, req.Host, err)
		return
	}
	if curve == "" {
		problem(w, http.StatusConflict, "The server does not know what to seal the token to. Restart the agent: it says so when it renews its certificate.")
		return
	}
	if wait := a.askers.wait(host.Name); wait > 0 {
		slowDown(w, wait, "This host asks for tokens too often.")
		return
	}
	a.askers.count(host.Name)
	sealed, err := a.sealToken(r.Context(), host, curve)
	if err != nil {
		a.tokenFailed(w, req.Host, err)
		return
	}
	a.log.Info().Ctx(r.Context()).Str("host", host.Name).Msg("host got a token to fetch with")
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(sealed)
}

func (a *App) tokenFailed(w http.ResponseWriter, host string, err error) {
	a.log.Error().Err(err).Str("host", host).Msg("no token for a host")
	problem(w, http.StatusBadGateway, "The server could not get a token for the repository. Its log says why.")
}

// reader is the host that asks, and the key that only it can open.
func (a *App) reader(ctx context.Context, req agentbus.RepoTokenRequest) (fleet.Host, string, error) {
	host, err := a.db.HostByKey(ctx, req.PublicKey)
	if err != nil {
		return host, "", err
	}
	if host.Name != req.Host || !host.RevokedAt.IsZero() {
		return host, "", db.ErrNotFound
	}
	curve, err := a.db.CurveKey(ctx, host.ID)
	return host, curve, err
}

func (a *App) sealToken(ctx context.Context, host fleet.Host, curve string) (agentbus.Sealed, error) {
	repo, err := a.repoOf(ctx, host)
	if err != nil {
		return agentbus.Sealed{}, err
	}
	token, expires, err := a.forge.PullToken(ctx, repo)
	if err != nil {
		return agentbus.Sealed{}, err
	}
	return agentbus.Seal(curve, agentbus.RepoToken{Repo: a.cloneURL(repo), Token: token, Expires: expires.UnixMilli()})
}

// repoOf is the repository that a host's flake lies in.
func (a *App) repoOf(ctx context.Context, host fleet.Host) (fleet.Repo, error) {
	repos, err := a.db.Repos(ctx)
	if err != nil {
		return fleet.Repo{}, err
	}
	for _, repo := range repos {
		if repo.ID == host.RepoID {
			return repo, nil
		}
	}
	return fleet.Repo{}, errors.New("its repository is not watched any more")
}
