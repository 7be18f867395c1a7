package db

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/nixfleet/nixfleet/fleet"
)

// Earlier is who did something before, and when.
type Earlier struct {
	At    time.Time
	Actor string
}

// AskCheck makes a repository and its open updates due at once. The answer is who asked
// for that within the last while, and nil for the first who does: what one asks for
// beside that, such as a workflow, is that one's to start. The word of the first is on
// record before anything is started, so a crash starts it once at the most.
func (d *DB) AskCheck(ctx context.Context, repo fleet.Repo, by string, now time.Time, while time.Duration) (*Earlier, error) {
	var earlier *Earlier
	err := d.tx(ctx, func(tx pgx.Tx) error {
		earlier = nil
		if err := wakeRepo(ctx, tx, repo.ID, now); err != nil { // locks the row: one after the other
			return err
		}
		if err := wakeOpenUpdates(ctx, tx, repo.ID, now); err != nil {
			return err
		}
		if err := d.notify(ctx, tx); err != nil {
			return err
		}
		last, err := all[Earlier](ctx, tx, `
			select at, actor from history where kind = 'repo.check_asked' and repo_id = @repo and at > @since order by id desc limit 1`,
			args{"repo": repo.ID, "since": now.Add(-while)})
		if err != nil {
			return err
		}
		if len(last) > 0 {
			earlier = &last[0]
			return nil
		}
		return remember(ctx, tx, Event{
			At: now, Actor: by, Kind: "repo.check_asked", Subject: fmt.Sprintf("repo:%d", repo.ID), Reason: "GitHub is read again now.",
			Detail: map[string]any{"repo": repo.FullName()},
		})
	})
	if err != nil {
		return nil, fmt.Errorf("ask for a check of %s: %w", repo.FullName(), err)
	}
	return earlier, nil
}
