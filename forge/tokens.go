package forge

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/bradleyfalzon/ghinstallation/v2"
	"github.com/google/go-github/v60/github"

	"github.com/nixfleet/nixfleet/fleet"
)

// role is what a call may do at GitHub at the most. Each has tokens of its own,
// narrowed to one repository: what only reads can't be made to write, by whatever
// fault of ours.
type role string

const (
	lister  role = "lister"  // which repositories there are
	reader  role = "reader"  // everything that a proof rests on
	talker  role = "talker"  // comments, check runs, deployments
	merger  role = "merger"  // commits and branches
	starter role = "starter" // workflows
	puller  role = "puller"  // what hosts fetch; its tokens leave this process
)

// permissions are what a role asks for, as far as the installation has granted it:
// some are optional (see app.yml).
var permissions = map[role]map[string]string{
	lister: {"metadata": "read"},
	reader: {
		"metadata": "read", "contents": "read", "pull_requests": "read", "checks": "read", "statuses": "read",
		"issues": "read", "actions": "read", "administration": "read", "deployments": "read",
	},
	// Comments on pull requests, and reactions to them, go with pull_requests.
	talker:  {"metadata": "read", "pull_requests": "write", "issues": "read", "checks": "write", "deployments": "write"},
	merger:  {"metadata": "read", "contents": "write", "pull_requests": "write"},
	starter: {"metadata": "read", "actions": "write"},
	puller:  {"metadata": "read", "contents": "read"},
}

// Needs are the permissions that the calls of this package take, each at the highest
// level that any role asks for: what the App must have, and no more.
func Needs() map[string]string {
	all := map[string]string{}
	for _, wants := range permissions {
		for name, level := range wants {
			if !covers(all[name], level) {
				all[name] = level
			}
		}
	}
	return all
}

// grantsLast bounds how long we go by what an installation has granted. New grants
// are noticed sooner where a token is refused.
const grantsLast = time.Hour

// grants are the permissions of one installation.
type grants struct {
	of map[string]string
	at time.Time
}

// door names a client: one role on one repository of one installation.
type door struct {
	installation, repo int64
	role               role
}

// as is the client for a role on a repository, made on first use. It lives as long as
// the process; all doors of an installation share a cache and GitHub's limits.
func (f *Forge) as(ctx context.Context, r role, repo fleet.Repo) (*client, error) {
	d := door{repo.Installation, repo.ID, r}
	if d.installation <= 0 {
		return nil, fmt.Errorf("no installation of the App is known for this repository: %w", ErrInstallationGone)
	}
	granted, err := f.granted(ctx, d.installation)
	if err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if c := f.doors[d]; c != nil && maps.Equal(c.granted, granted) {
		return c, nil
	}
	in := f.installations[d.installation]
	if in == nil {
		in = &shared{cache: newCache(cacheSize)}
		f.installations[d.installation] = in
	}
	auth, err := f.appAuth()
	if err != nil {
		return nil, err
	}
	tokens := tokensFor(auth, d, granted)
	c := f.client(tokens, in)
	c.granted = granted
	c.renew = func() { f.forget(d.installation) }
	f.doors[d] = c
	return c, nil
}

// tokensFor makes and renews the tokens of a door.
func tokensFor(auth *ghinstallation.AppsTransport, d door, granted map[string]string) *ghinstallation.Transport {
	tokens := ghinstallation.NewFromAppsTransport(auth, d.installation)
	tokens.InstallationTokenOptions = &github.InstallationTokenOptions{Permissions: narrowed(permissions[d.role], granted)}
	if d.role != lister {
		tokens.InstallationTokenOptions.RepositoryIDs = []int64{d.repo}
	}
	return tokens
}

// granted reads what an installation allows us, now and then.
func (f *Forge) granted(ctx context.Context, installation int64) (map[string]string, error) {
	f.mu.Lock()
	known := f.grants[installation]
	f.mu.Unlock()
	if now := f.config.Now(); !known.at.IsZero() && now.Sub(known.at) < grantsLast {
		return known.of, nil
	}
	p, err := get[struct {
		Permissions map[string]string `json:"permissions"`
	}](ctx, f.app, fmt.Sprintf("read installation %d", installation), fmt.Sprintf("app/installations/%d", installation))
	switch {
	case codeOf(err) == 404:
		return nil, fmt.Errorf("read installation %d: %w", installation, ErrInstallationGone)
	case err != nil:
		var e *Error
		if errors.As(err, &e) {
			return nil, &notSent{e}
		}
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.grants[installation] = grants{of: p.Permissions, at: f.config.Now()}
	return p.Permissions, nil
}

// forget has the grants of an installation read again.
func (f *Forge) forget(installation int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.grants, installation)
}

// Granted tells whether an installation lets the App do something, e.g.
// "deployments", "write".
func (f *Forge) Granted(ctx context.Context, installation int64, permission, level string) (bool, error) {
	granted, err := f.granted(ctx, installation)
	if err != nil {
		return false, err
	}
	return covers(granted[permission], level), nil
}

func covers(have, want string) bool { return have == want || have == "write" && want == "read" }

// narrowed is what of a role's wishes was granted, in GitHub's shape. A wish to write
// where only reading is granted becomes one to read.
func narrowed(want, granted map[string]string) *github.InstallationPermissions {
	level := func(name string) *string {
		switch w := want[name]; {
		case w == "" || granted[name] == "":
			return nil
		case covers(granted[name], w):
			return &w
		default:
			read := "read"
			return &read
		}
	}
	metadata := "read" // always granted
	return &github.InstallationPermissions{
		Metadata: &metadata, Contents: level("contents"), PullRequests: level("pull_requests"), Checks: level("checks"),
		Statuses: level("statuses"), Issues: level("issues"), Actions: level("actions"),
		Administration: level("administration"), Deployments: level("deployments"),
	}
}
