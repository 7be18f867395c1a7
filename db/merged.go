package db

import (
	"context"
	"fmt"

	"github.com/nixfleet/nixfleet/fleet"
)

// Unsettled reports whether a commit on the default branch may be the merge of an
// update of which we do not know it yet: one is being merged, or is open to us but
// not among the pull requests that GitHub lists as open.
func (d *DB) Unsettled(ctx context.Context, repoID int64, listed []fleet.OpenPull) (bool, error) {
	numbers := make([]int64, len(listed)) // never nil: none listed is '{}'
	for i, p := range listed {
		numbers[i] = int64(p.Number)
	}
	yes, err := value[bool](ctx, d.pool, `
		select exists (select from updates where repo_id = @repo and not ignored and head_sha <> ''
			and state not in ('merged', 'closed', 'superseded') and (state = 'merging' or number <> all (@listed::bigint[])))`,
		args{"repo": repoID, "listed": numbers})
	if err != nil {
		return false, fmt.Errorf("look for merges of repository %d that are not settled: %w", repoID, err)
	}
	return yes, nil
}

// MergedAs finds the update whose merge a commit is, nil where there is none.
func (d *DB) MergedAs(ctx context.Context, repoID int64, commit string) (*fleet.Update, error) {
	rows, err := all[updateRow](ctx, d.pool, `
		select `+updateColumns+` from updates u `+updateJoins+` where u.repo_id = @repo and u.merge_sha = @commit and not u.ignored
		order by u.number limit 1`, args{"repo": repoID, "commit": commit})
	if err != nil {
		return nil, fmt.Errorf("find the update that was merged as %s: %w", short(commit), err)
	}
	if len(rows) == 0 {
		return nil, nil
	}
	u := rows[0].update()
	return &u, nil
}
