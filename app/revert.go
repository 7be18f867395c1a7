package app

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nixfleet/nixfleet/db"
	"github.com/nixfleet/nixfleet/fleet"
	"github.com/nixfleet/nixfleet/forge"
)

// revertAgain is how soon a revert is made anew whose branch had moved on.
const revertAgain = time.Second

// revert opens the pull request that takes a rollout's commit back, or finds out why
// there is none to open. The new commit's id is stored before any branch points to it,
// so that an attempt after a crash goes on with exactly that commit.
func (a *App) revert(ctx context.Context, rollout string) error {
	known, err := a.db.Deployment(ctx, rollout)
	if err != nil {
		return err
	}
	r, err := a.db.Rollout(ctx, rollout)
	if err != nil || r.Revert.Found != "" {
		return err
	}
	end := fleet.Revert{Found: "No revert: its repository is not looked after any more."}
	if known.Watched {
		end, err = a.openRevert(ctx, known.Repo, r)
	}
	switch {
	case errors.Is(err, db.ErrConflict):
		return &laterError{until: a.cfg.Now().Add(revertAgain), planned: true, why: "another worker made the commit that reverts rollout " + rollout}
	case errors.Is(err, errLater):
		return err
	case err != nil:
		return fmt.Errorf("revert the commit of rollout %s: %w", rollout, later(err))
	}
	if err := a.db.EndRevert(ctx, rollout, end, a.cfg.Now()); err != nil {
		return err
	}
	a.log.Info().Ctx(ctx).Str("rollout", rollout).Str("repo", known.Repo.FullName()).Int("pull", end.Number).Msg(end.Found)
	return nil
}

func (a *App) openRevert(ctx context.Context, repo fleet.Repo, r fleet.Rollout) (fleet.Revert, error) {
	title := fmt.Sprintf("Revert the lock update of %.7s", r.Commit)
	state, err := a.branch(ctx, repo)
	if err != nil {
		return fleet.Revert{}, err
	}
	if !state.Policy.Known() {
		return fleet.Revert{}, fmt.Errorf("read which files are locks: %s", state.Policy.Err)
	}
	made := r.Revert
	if made.Commit == "" {
		made.Base = state.HeadSHA
		made.Commit, err = a.forge.MakeRevert(ctx, repo, forge.RevertCommit{
			Commit: r.Commit, Base: made.Base, Files: state.Policy.Value.Updates.Files,
			Title: title, Message: fmt.Sprintf("This gives the lock back what it was before %s,\nwhich failed on hosts.\n", r.Commit),
		})
		if why, ok := errors.AsType[*forge.NoRevert](err); ok {
			return notReverted("%.7s is not taken back: %s", r.Commit, why), nil
		}
		if errors.Is(err, forge.ErrRefused) {
			return notReverted("%v", err), nil
		}
		if err != nil {
			return fleet.Revert{}, err
		}
		if err := a.db.NoteRevertCommit(ctx, r.ID, r.Revert, made); err != nil {
			return fleet.Revert{}, err
		}
	}
	l, err := a.forge.OpenPull(ctx, repo, forge.NewPull{
		Branch: fmt.Sprintf("nixfleet/revert-%.7s", r.Commit), Base: state.Repo.DefaultBranch, Parent: made.Base, SHA: made.Commit,
		Title: title, Body: forge.RevertBody(r, a.rolloutURL(r.ID)),
	})
	switch {
	case err != nil:
		return fleet.Revert{}, err
	case l.Outcome == forge.LandingMoved:
		// The next attempt looks at what the branch holds by then.
		if err := a.db.NoteRevertCommit(ctx, r.ID, made, fleet.Revert{}); err != nil {
			return fleet.Revert{}, err
		}
		return fleet.Revert{}, &laterError{until: a.cfg.Now().Add(revertAgain), planned: true, why: "the default branch moved: " + l.Message}
	case l.Outcome == forge.LandingRefused:
		return notReverted("GitHub takes no pull request for it: %s", l.Message), nil
	}
	made.Number, made.Found = l.Number, fmt.Sprintf("Pull request #%d takes %.7s back.", l.Number, r.Commit)
	return made, nil
}

// notReverted is the end of a revert that is none.
func notReverted(format string, args ...any) fleet.Revert {
	why := strings.TrimSuffix(strings.Join(strings.Fields(fmt.Sprintf(format, args...)), " "), ".")
	return fleet.Revert{Found: "No revert: " + why + "."}
}
