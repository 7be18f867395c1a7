package forge

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/nixfleet/nixfleet/fleet"
)

// installationPages bounds both lists: 10 000 installations, and 10 000
// repositories of each.
const installationPages = 100

// Installed is where the App is installed.
type Installed struct {
	Complete bool                        // the list of installations was read to its end
	Listed   []int64                     // ids of all installations, also of those that could not be read
	Read     []fleet.InstallationChanged // with the repositories that the App may see
}

// Installations lists where the App is installed, with the repositories that it
// may see: what was missed while the server was away. It returns what it could
// read, with an error for the rest.
func (f *Forge) Installations(ctx context.Context) (Installed, error) {
	lists, err := pages[[]struct {
		ID          int64       `json:"id"`
		Account     userPayload `json:"account"`
		SuspendedAt *time.Time  `json:"suspended_at"`
	}](ctx, f.app, "list installations", "app/installations", installationPages)
	if err != nil {
		return Installed{}, err
	}
	all := Installed{Complete: true}
	var failed []error
	for _, in := range slices.Concat(lists...) {
		all.Listed = append(all.Listed, in.ID)
		changed := fleet.InstallationChanged{
			ID: in.ID, Account: in.Account.Login, Suspended: in.SuspendedAt != nil, Cause: "catch-up",
		}
		if !changed.Suspended {
			changed.Added, err = f.repositories(ctx, in.ID)
			if err != nil {
				failed = append(failed, err)
				continue
			}
		}
		all.Read = append(all.Read, changed)
	}
	return all, errors.Join(failed...)
}

func (f *Forge) repositories(ctx context.Context, installation int64) ([]fleet.Repo, error) {
	op := fmt.Sprintf("list repositories of installation %d", installation)
	c, err := f.as(ctx, lister, fleet.Repo{Installation: installation})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", op, err)
	}
	lists, err := pages[struct {
		Repositories []repoPayload `json:"repositories"`
	}](ctx, c, op, "installation/repositories", installationPages)
	if err != nil {
		return nil, err
	}
	var all []fleet.Repo
	for _, list := range lists {
		for _, r := range list.Repositories {
			if !r.Archived {
				all = append(all, r.domain(installation))
			}
		}
	}
	return all, nil
}
