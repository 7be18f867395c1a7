package forge

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/nixfleet/nixfleet/fleet"
	"github.com/nixfleet/nixfleet/fleet/policyfile"
)

// PolicyPath is where a repository keeps its policy.
const PolicyPath = ".github/nixfleet.yml"

// policy reads the policy file at a commit of the base branch. Without a file the
// settings hold, or else the built-in policy; a broken file is an error that says
// where. That there is none must also show in the commit's tree: GitHub says 404 for
// much else, too, and an update must not merge by a milder policy than its own.
func (c *client) policy(ctx context.Context, repo fleet.Repo, sha string, settings *fleet.Reading[fleet.Policy]) (fleet.Policy, error) {
	key := policyKey(repo, sha)
	_, absent := c.noPolicy.get(key, c.now())
	if !absent {
		data, err := c.content(ctx, repo, PolicyPath, sha, maxPolicy)
		switch {
		case err == nil:
			return policyfile.Parse(data, PolicyPath)
		case codeOf(err) != http.StatusNotFound:
			return fleet.Policy{}, err
		}
		modes, treeErr := c.modes(ctx, repo, sha, []string{PolicyPath})
		if treeErr != nil {
			return fleet.Policy{}, treeErr
		}
		if len(modes) > 0 {
			return fleet.Policy{}, err
		}
		c.noPolicy.put(key, struct{}{}, time.Time{})
	}
	switch {
	case settings == nil:
		return fleet.DefaultPolicy(), nil
	case !settings.Known():
		return fleet.Policy{}, errors.New(settings.Err)
	}
	return settings.Value, nil
}

func (l *look) readPolicy(ctx context.Context) {
	var p fleet.Policy
	sha, err := l.base.Commit.SHA, l.base.err
	if err == nil {
		p, err = l.policy(ctx, l.repo, sha, l.kept.Settings)
	}
	l.s.Policy = reading(l, policySource(l.repo, sha), p, err)
}

func policyKey(repo fleet.Repo, sha string) string { return fmt.Sprintf("%d@%s", repo.ID, sha) }

func policySource(repo fleet.Repo, sha string) string {
	return fmt.Sprintf("GET /repos/%s/contents/%s?ref=%.7s", repo.FullName(), PolicyPath, sha)
}

// requiredPayload is how GitHub writes required status checks, in the protection
// of a branch and, in short, in the branch itself.
type requiredPayload struct {
	Contexts []string `json:"contexts"`
	Checks   []struct {
		Context string `json:"context"`
		AppID   *int64 `json:"app_id"` // null or -1: any source
	} `json:"checks"`
}

func (p requiredPayload) domain() []fleet.RequiredCheck {
	var list []fleet.RequiredCheck
	known := map[string]bool{}
	for _, check := range p.Checks {
		r := fleet.RequiredCheck{Name: check.Context, From: "branch protection"}
		if check.AppID != nil && *check.AppID > 0 {
			r.AppID = *check.AppID
		}
		known[r.Name] = true
		list = append(list, r)
	}
	for _, name := range p.Contexts { // the older form; also where there is no other
		if !known[name] {
			list = append(list, fleet.RequiredCheck{Name: name, From: "branch protection"})
		}
	}
	return list
}

// readRequired reads what the protection of the default branch requires.
func (l *look) readRequired(ctx context.Context) {
	name := l.repo.DefaultBranch
	if l.base.err == nil && !l.base.Protection.Enabled {
		l.s.Required = reading(l, "GET /repos/"+l.repo.FullName()+"/branches/"+name, []fleet.RequiredCheck(nil), nil)
		return
	}
	rest := "/branches/" + url.PathEscape(name) + "/protection/required_status_checks"
	source := "GET /repos/" + l.repo.FullName() + rest
	list, err := l.required(ctx, rest)
	if codeOf(err) == http.StatusForbidden && l.base.err == nil {
		// The App may not read protection (administration: read is optional). The
		// branch itself tells the names and sources, too.
		source = "GET /repos/" + l.repo.FullName() + "/branches/" + name
		list, err = l.base.required(), nil
	}
	l.s.Required = reading(l, source, list, err)
}

// required tells "nothing is required" from "could not be read". A free private
// repository has no protection at all, and GitHub answers 403.
func (l *look) required(ctx context.Context, rest string) ([]fleet.RequiredCheck, error) {
	where, err := repoPath(l.repo, rest)
	if err != nil {
		return nil, err
	}
	p, err := get[requiredPayload](ctx, l.client, "read branch protection of "+l.repo.FullName(), where)
	switch code := codeOf(err); {
	case code == http.StatusNotFound:
		return nil, nil
	case code == http.StatusForbidden && strings.Contains(err.Error(), "Upgrade to GitHub"):
		return nil, nil
	case err != nil:
		return nil, err
	}
	return p.domain(), nil
}

// actors resolves login names to accounts. Names that do not exist are left out.
func (c *client) actors(ctx context.Context, logins []string) (map[string]fleet.Actor, error) {
	found := make([]*userPayload, len(logins))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(readsAtOnce)
	for i, login := range logins {
		g.Go(func() error {
			if login == "" || strings.ContainsAny(login, "/.?#%") {
				return nil // no login has these, and a path would
			}
			u, err := get[userPayload](ctx, c, "read account "+login, "users/"+url.PathEscape(login))
			if codeOf(err) == http.StatusNotFound {
				return nil
			}
			found[i] = &u
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	m := make(map[string]fleet.Actor, len(logins))
	for i, u := range found {
		if u != nil && u.ID > 0 {
			m[logins[i]] = u.domain()
		}
	}
	return m, nil
}
