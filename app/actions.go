package app

import (
	"context"
	"errors"
	"fmt"

	"github.com/nixfleet/nixfleet/dashboard"
	"github.com/nixfleet/nixfleet/db"
	"github.com/nixfleet/nixfleet/fleet"
)

// actions are the buttons of the dashboard. Each stores a wish; the loops decide
// what follows.
type actions struct{ a *App }

// MergeAndDeploy asks to merge one head SHA now and to deploy the merge commit.
func (x actions) MergeAndDeploy(ctx context.Context, by fleet.Actor, updateID int64, headSHA string) error {
	u, err := x.a.db.Update(ctx, updateID)
	if err != nil {
		return err
	}
	if u.HeadSHA != headSHA {
		return dashboard.ErrHeadMoved
	}
	if ended(u.State) {
		return dashboard.Refused(fmt.Sprintf("Pull request #%d is %s already.", u.Number, u.State))
	}
	err = x.a.db.RequestMerge(ctx, updateID, fleet.MergeRequest{By: by, HeadSHA: headSHA, At: x.a.cfg.Now(), Deploy: true})
	if errors.Is(err, db.ErrConflict) {
		return dashboard.ErrHeadMoved // it moved between the two reads
	}
	if err != nil {
		return err
	}
	x.a.log.Info().Str("repo", u.Repo.FullName()).Int("update", u.Number).Str("head", headSHA).Str("by", by.Login).Msg("merge and deploy asked for")
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
