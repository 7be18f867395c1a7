package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"time"

	"github.com/nixfleet/nixfleet"
	"github.com/nixfleet/nixfleet/dashboard"
	"github.com/nixfleet/nixfleet/db"
	"github.com/nixfleet/nixfleet/fleet"
	"github.com/nixfleet/nixfleet/fleet/policyfile"
	"github.com/nixfleet/nixfleet/forge"
)

const (
	// visitTTL is how long GitHub's page may take: its codes are good for an hour.
	visitTTL = time.Hour

	// lookEvery bounds how often an open set-up page makes us look for repositories.
	lookEvery = 3 * time.Second

	// beginWithin is how long the person waits for the product to begin.
	beginWithin = 10 * time.Second

	// shownRepos bounds how many repositories the set-up shows, each with its policy.
	shownRepos = 5

	policyBranch = "nixfleet/policy"
)

// wizard is the set-up, as the pages and the API see it.
type wizard struct{ a *App }

// settingUp reports whether this replica waits for an App.
func (a *App) settingUp() bool { return a.setup.began != nil && a.setup.app.Load() == nil }

// Setup says how far it has come.
func (w wizard) Setup(ctx context.Context) (dashboard.SetupState, error) {
	a := w.a
	s := dashboard.SetupState{PublicURL: a.cfg.URL, Local: a.unreachable()}
	c := a.setup.app.Load()
	if c == nil {
		if problem := a.setup.sealed.Load(); problem != nil {
			s.Problem = *problem
		}
		return s, nil
	}
	s.App = &dashboard.SetupApp{Slug: c.slug, Page: c.page, Settings: c.settings}
	if c.page == "" {
		if about, err := a.forge.About(ctx); err != nil {
			s.Problem = err.Error()
		} else {
			s.App.Slug, s.App.Page = about.Slug, about.HTMLURL
		}
	}
	repos, err := a.db.Repos(ctx)
	if err != nil {
		return s, err
	}
	if len(repos) == 0 && a.lookForRepos(ctx) {
		if repos, err = a.db.Repos(ctx); err != nil {
			return s, err
		}
	}
	stats, err := a.db.Stats(ctx, a.cfg.Now())
	if err != nil {
		return s, err
	}
	s.LastHook, s.Hosts = stats.LastDelivery, stats.Hosts
	for _, repo := range repos[:min(len(repos), shownRepos)] {
		s.Repos = append(s.Repos, w.repo(ctx, repo))
	}
	return s, nil
}

// repo says what a repository has for a policy.
func (w wizard) repo(ctx context.Context, repo fleet.Repo) dashboard.SetupRepo {
	a := w.a
	r := dashboard.SetupRepo{ID: repo.ID, Name: repo.FullName(), Policy: dashboard.PolicyUnknown}
	state, err := a.branch(ctx, repo)
	if err != nil {
		a.log.Warn().Ctx(ctx).Err(err).Str("repo", repo.FullName()).Msg("the set-up could not read a repository")
		return r
	}
	if state.PolicyFile {
		r.Policy, r.URL = dashboard.PolicyFile, service(w).policyFile(state.Repo)
		return r
	}
	proposal, err := a.forge.Proposed(ctx, state.Repo, policyBranch)
	switch {
	case err != nil:
		a.log.Warn().Ctx(ctx).Err(err).Str("repo", repo.FullName()).Msg("the set-up could not read the pull request with the policy")
	case proposal == nil:
		r.Policy = dashboard.PolicyNone
	case proposal.State == "open":
		r.Policy, r.URL = dashboard.PolicyProposed, proposal.URL
	default: // merged, and the file removed since, is a no as well
		r.Policy, r.URL = dashboard.PolicyDeclined, proposal.URL
	}
	return r
}

// lookForRepos asks GitHub where the App is installed, because the webhook that tells
// may not reach us. It reports whether it looked.
func (a *App) lookForRepos(ctx context.Context) bool {
	a.setup.lookMu.Lock()
	defer a.setup.lookMu.Unlock()
	if now := a.cfg.Now(); now.Sub(a.setup.looked) < lookEvery {
		return false
	}
	if err := a.learnRepos(ctx); err != nil {
		a.log.Warn().Ctx(ctx).Err(err).Msg("the set-up could not look for repositories")
	}
	a.setup.looked = a.cfg.Now()
	return true
}

// Visit prepares a visit to GitHub's page for new Apps. Only the hash of its state is
// kept.
func (w wizard) Visit(ctx context.Context, actor fleet.Actor) (manifest, state string, err error) {
	m, err := nixfleet.AppManifest()
	if err != nil {
		return "", "", err
	}
	text, err := json.Marshal(m.At(w.a.cfg.URL))
	if err != nil {
		return "", "", err
	}
	state = newToken()
	return string(text), state, w.a.db.CreateSetupVisit(ctx, hash(state), actor.Login, w.a.cfg.Now().Add(visitTTL))
}

// Return ends a visit: the code becomes the App, its credentials are sealed and
// stored, and the product begins.
func (w wizard) Return(ctx context.Context, actor fleet.Actor, code, state string) error {
	a := w.a
	if !a.settingUp() {
		return dashboard.Refused("NixFleet has its GitHub App already. If another one was created just now, delete it on GitHub.")
	}
	who, err := a.db.UseSetupVisit(ctx, hash(state), a.cfg.Now())
	if errors.Is(err, db.ErrNotFound) || err == nil && who != actor.Login {
		return dashboard.Refused("GitHub sent back a visit that is not known here: it came back before, began more than an hour ago, or somebody else began it. Start again with the button.")
	}
	if err != nil {
		return err
	}
	made, err := w.redeem(ctx, code)
	if err != nil {
		return err
	}
	err = a.saveApp(ctx, made, a.setup.replaces.Load(), actor.Login)
	if err != nil {
		a.log.Error().Ctx(ctx).Err(err).Stringer("app", made).Msg("the new App could not be stored")
		why := "the database did not answer"
		if errors.Is(err, db.ErrConflict) {
			why = "another one was stored meanwhile"
		}
		return dashboard.Refused(fmt.Sprintf("GitHub created the App %s, but its keys could not be stored: %s. Delete it on GitHub (%s), then start again.", made.Slug, why, made.HTMLURL))
	}
	select {
	case a.setup.saved <- struct{}{}:
	default:
	}
	select {
	case <-a.setup.began:
	case <-time.After(beginWithin):
	case <-ctx.Done():
	}
	return nil
}

// redeem exchanges the code, and makes sure of what came.
func (w wizard) redeem(ctx context.Context, code string) (made forge.NewApp, err error) {
	cfg := forge.Config{APIURL: w.a.cfg.GitHubAPIURL, UserAgent: userAgent, Now: w.a.cfg.Now, Log: w.a.log}
	err = insist(ctx, func() (err error) { made, err = forge.Redeem(ctx, cfg, code); return err },
		func(err error) bool { return errors.Is(err, forge.ErrManifestCode) })
	if err == nil {
		cfg.AppID, cfg.PrivateKey = made.ID, made.PrivateKey
		_, err = forge.New(cfg)
	}
	if err != nil {
		return made, dashboard.Refused(fmt.Sprintf("GitHub did not hand out the App (%v). If it is among your Apps on GitHub, delete it there, then start again.", err))
	}
	return made, nil
}

// ProposePolicy opens the pull request with the policy file, once.
func (w wizard) ProposePolicy(ctx context.Context, actor fleet.Actor, repoID int64) error {
	a := w.a
	repos, err := a.db.Repos(ctx)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(repos, func(r fleet.Repo) bool { return r.ID == repoID })
	if i < 0 || a.setup.app.Load() == nil {
		return dashboard.Refused("NixFleet does not watch that repository (any more).")
	}
	if state, err := a.branch(ctx, repos[i]); err != nil {
		return refusedByGitHub(err)
	} else if state.PolicyFile {
		return nil
	}
	content, what := policyfile.Starter(), "Every value is the default"
	settings, err := a.db.PolicySettings(ctx, repoID)
	if err != nil {
		return err
	}
	if settings != nil && settings.Policy != "" { // a file outranks them
		content, what = []byte(settings.Policy), "It holds the settings that were made in NixFleet"
	}
	p, err := a.forge.Propose(ctx, repos[i], forge.NewFile{
		Branch: policyBranch, Path: forge.PolicyPath, Content: content,
		Title: "Add the policy of NixFleet",
		Body: "This file says which updates of `flake.lock` NixFleet merges, when, and how they reach the hosts. " + what + ": merging it unchanged changes nothing.\n\n" +
			"Asked for by " + actor.Login + " in NixFleet's set-up. Close this pull request to go on without a file; NixFleet does not open it again.",
	})
	if err != nil {
		return refusedByGitHub(err)
	}
	a.log.Info().Ctx(ctx).Str("repo", repos[i].FullName()).Int("pull", p.Number).Str("by", actor.Login).Msg("policy file proposed")
	return a.db.Remember(ctx, db.Event{
		At: a.cfg.Now(), Actor: actor.Login, Kind: "policy.proposed", Subject: fmt.Sprintf("repo:%d", repoID),
		Detail: map[string]any{"number": p.Number}, Reason: what + ".",
	})
}

// refusedByGitHub shows a person what GitHub said.
func refusedByGitHub(err error) error {
	_, answered := errors.AsType[*forge.Error](err)
	_, limited := errors.AsType[*forge.RateLimited](err)
	if answered || limited || errors.Is(err, forge.ErrInstallationGone) {
		return dashboard.Refused(fmt.Sprintf("GitHub did not do it: %v.", err))
	}
	return err
}

// unreachable reports whether GitHub certainly can't reach us: our address is one of
// this machine or of a private network, and its own is not.
func (a *App) unreachable() bool { return private(a.cfg.URL) && !private(a.cfg.GitHubWebURL) }

func private(address string) bool {
	u, err := url.Parse(address)
	if err != nil {
		return false
	}
	if u.Hostname() == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(u.Hostname())
	return err == nil && (ip.IsLoopback() || ip.IsPrivate() || ip.IsLinkLocalUnicast() || ip.IsUnspecified())
}
