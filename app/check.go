package app

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nixfleet/nixfleet/api"
	"github.com/nixfleet/nixfleet/db"
	"github.com/nixfleet/nixfleet/fleet"
)

const (
	// startEvery is how often update workflows of one repository are started at most.
	startEvery = 5 * time.Minute

	// startsAtOnce bounds how many are started: a repository has one, or a few.
	startsAtOnce = 3

	// startWithin bounds how long somebody waits for GitHub to start them.
	startWithin = 20 * time.Second
)

// CheckForUpdates has GitHub read again at once, and the workflows started that bring
// updates, where the App may: of one repository, or of all for an empty name. What was
// not started is no error, but said.
func (a *App) CheckForUpdates(ctx context.Context, by fleet.Actor, name string) ([]fleet.Checked, error) {
	repos, err := a.db.Repos(ctx)
	if err != nil {
		return nil, err
	}
	if name != "" {
		r, err := a.repoNamed(ctx, name)
		if err != nil {
			return nil, err
		}
		repos = []fleet.Repo{r}
	}
	limited, cancel := context.WithTimeout(ctx, startWithin)
	defer cancel()
	checked := make([]fleet.Checked, 0, len(repos))
	for _, r := range repos {
		c, err := a.checkRepo(ctx, limited, by, r)
		if err != nil {
			return checked, err
		}
		a.log.Info().Ctx(ctx).Str("repo", c.Repo).Str("by", by.Login).Strs("started", c.Started).Msg("checked for updates: " + c.Found)
		checked = append(checked, c)
	}
	return checked, nil
}

// checkRepo checks one repository. Who asks again within a while is told what the first
// one had started. GitHub has until limited ends to answer.
func (a *App) checkRepo(ctx, limited context.Context, by fleet.Actor, r fleet.Repo) (fleet.Checked, error) {
	c := fleet.Checked{Repo: r.FullName()}
	earlier, err := a.db.AskCheck(ctx, r, by.Login, a.cfg.Now(), startEvery)
	if err != nil {
		return c, err
	}
	if earlier != nil {
		c.Found = fmt.Sprintf("%s asked for the same at %s, so no workflow is started again before %s.",
			earlier.Actor, earlier.At.UTC().Format("15:04:05 UTC"), earlier.At.Add(startEvery).UTC().Format("15:04:05 UTC"))
		return c, nil
	}
	c.Started, c.Found = a.startWorkflows(limited, r)
	outcome := "not_started"
	if len(c.Started) > 0 {
		outcome = "started"
	}
	return c, a.db.Remember(ctx, db.Event{
		At: a.cfg.Now(), Actor: by.Login, Kind: "workflow." + outcome, Subject: fmt.Sprintf("repo:%d", r.ID), Reason: c.Found,
		Detail: map[string]any{"repo": r.FullName(), "started": c.Started},
	})
}

// startWorkflows starts the workflows of a repository that make a new lock, and says
// which, or why none.
func (a *App) startWorkflows(ctx context.Context, r fleet.Repo) (started []string, found string) {
	rules, err := a.db.Ruled(ctx, r.ID)
	if err == nil && rules.Policy != nil && rules.Policy.Updates.Strategy == "host" {
		return nil, "Its policy has hosts make new locks (updates.strategy: host): Update inputs asks one."
	}
	may, err := a.forge.Granted(ctx, r.Installation, "actions", "write")
	if err != nil {
		return nil, "No workflow is started: " + err.Error() + "."
	}
	if !may {
		return nil, "No workflow is started: the App lacks the permission Actions: write there. nixfleet doctor says where to grant it."
	}
	list, err := a.forge.UpdateWorkflows(ctx, r)
	if err != nil {
		return nil, "No workflow is started, since they could not be read: " + err.Error() + "."
	}
	if len(list) == 0 {
		return nil, "No workflow is started: none of " + r.DefaultBranch + " makes a new lock and can be started by hand (on: workflow_dispatch)."
	}
	var failed []string
	for _, w := range list[:min(len(list), startsAtOnce)] {
		if err := a.forge.StartWorkflow(ctx, r, w); err != nil {
			failed = append(failed, w.Path+" was not started: "+err.Error()+".")
			continue
		}
		started = append(started, w.Path)
	}
	if len(started) > 0 {
		found = "Started " + strings.Join(started, " and ") + " on " + r.DefaultBranch + "."
	}
	return started, strings.TrimSpace(found + " " + strings.Join(failed, " "))
}

// CheckForUpdates has GitHub read again at once.
func (s service) CheckForUpdates(ctx context.Context, by fleet.Actor, repo string) ([]fleet.Checked, error) {
	checked, err := s.a.CheckForUpdates(ctx, by, repo)
	if errors.Is(err, errNoRepo) {
		err = api.ErrUnknown
	}
	return checked, err
}

// CheckForUpdates has GitHub read again at once.
func (x updates) CheckForUpdates(ctx context.Context, by fleet.Actor, repo string) ([]fleet.Checked, error) {
	checked, err := x.a.CheckForUpdates(ctx, by, repo)
	return checked, notThere(err)
}
