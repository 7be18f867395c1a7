package app

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/nixfleet/nixfleet/db"
	"github.com/nixfleet/nixfleet/fleet"
	"github.com/nixfleet/nixfleet/forge"
)

// view gathers what comment and check run show of an update: the same rows that
// the dashboard shows.
func (a *App) view(ctx context.Context, updateID int64) (forge.CommentView, error) {
	u, err := a.db.Update(ctx, updateID)
	if err != nil {
		return forge.CommentView{}, err
	}
	v := forge.CommentView{Update: u, DashboardURL: a.cfg.URL + "/"}
	if u.MergeSHA != "" {
		if v.Rollout, err = a.db.RolloutOf(ctx, u.Repo.ID, u.MergeSHA); err != nil {
			return v, fmt.Errorf("read rollout of %.7s: %w", u.MergeSHA, err)
		}
	}
	if v.Rollout == nil || v.Rollout.State != fleet.RolloutSucceeded {
		return v, nil
	}
	shown, err := a.db.Deployment(ctx, v.Rollout.ID)
	if err == nil && shown.Restored {
		v.Rollout.Headline += " It was rolled back since."
	}
	return v, err
}

// comment writes the update's one comment, unless it says the same already.
func (a *App) comment(ctx context.Context, updateID int64) error {
	v, err := a.view(ctx, updateID)
	if err != nil || !published(v.Update) {
		return err
	}
	body := forge.Comment(v)
	sum := digest(body)
	if v.Update.CommentID != 0 && v.Update.CommentSum == sum {
		return nil
	}
	if err := a.spaced(v.Update.CommentAt); err != nil {
		return err
	}
	id, err := a.forge.UpsertComment(ctx, v.Update.Repo, v.Update.Number, v.Update.CommentID, body)
	if err != nil {
		return fmt.Errorf("comment on %s#%d: %w", v.Update.Repo.FullName(), v.Update.Number, later(err))
	}
	return a.db.SetComment(ctx, updateID, db.Written{ID: id, Sum: sum, At: a.cfg.Now()})
}

// check writes the update's one check run at its head SHA, likewise.
func (a *App) check(ctx context.Context, updateID int64) error {
	v, err := a.view(ctx, updateID)
	if err != nil || !published(v.Update) {
		return err
	}
	run := forge.CheckRunFor(v)
	said := run
	said.ID, said.CompletedAt = 0, time.Time{} // no part of what people read
	sum := digest(fmt.Sprintf("%+v", said))
	if v.Update.CheckSHA == v.Update.HeadSHA {
		run.ID = v.Update.CheckRunID
		if run.ID != 0 && v.Update.CheckSum == sum {
			return nil
		}
		if err := a.spaced(v.Update.CheckAt); err != nil {
			return err
		}
	}
	id, err := a.forge.UpsertCheckRun(ctx, v.Update.Repo, run)
	if err != nil {
		return fmt.Errorf("check run on %s#%d: %w", v.Update.Repo.FullName(), v.Update.Number, later(err))
	}
	return a.db.SetCheckRun(ctx, updateID, v.Update.HeadSHA, db.Written{ID: id, Sum: sum, At: a.cfg.Now()})
}

// editEvery is the least time between two edits of the same comment or check run.
// What changes meanwhile is seen together at the next: the newest state is written,
// not each.
const editEvery = 5 * time.Second

func (a *App) spaced(last time.Time) error {
	if next := last.Add(editEvery); !last.IsZero() && a.cfg.Now().Before(next) {
		return &laterError{until: next, why: "it was edited a moment ago", planned: true}
	}
	return nil
}

// published reports whether there is something to say: not before the first look.
func published(u fleet.Update) bool {
	return u.HeadSHA != "" && u.State != fleet.UpdateObserved
}

// later turns GitHub's "wait" into a time for the effect loop.
func later(err error) error {
	var limited *forge.RateLimited
	if errors.As(err, &limited) {
		return &laterError{until: limited.Until, why: err.Error()}
	}
	return err
}

func digest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// deleteBranch removes the branch of a merged update, unless it has moved on.
func (a *App) deleteBranch(ctx context.Context, updateID int64) error {
	u, err := a.db.Update(ctx, updateID)
	if err != nil {
		return err
	}
	if u.State != fleet.UpdateMerged || u.Verdict.Merge == nil || u.Verdict.Merge.DeleteBranch == "" {
		return nil
	}
	m := u.Verdict.Merge
	if err := a.forge.DeleteBranch(ctx, u.Repo, m.DeleteBranch, m.HeadSHA); err != nil {
		return fmt.Errorf("delete branch %s of %s: %w", m.DeleteBranch, u.Repo.FullName(), later(err))
	}
	return nil
}
