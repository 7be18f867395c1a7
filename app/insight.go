package app

import (
	"context"
	"errors"

	"github.com/nixfleet/nixfleet/dashboard"
	"github.com/nixfleet/nixfleet/db"
	"github.com/nixfleet/nixfleet/fleet"
)

// insight is what the dashboard's pages about one repository or update show and
// change.
type insight struct{ a *App }

// Explain looks at an update now, and judges it as it is and as supposed.
func (i insight) Explain(ctx context.Context, repo string, number int, w fleet.WhatIf) (fleet.Explanation, error) {
	snap, err := i.a.lookNow(ctx, repo, number)
	if errors.Is(err, errNoRepo) || errors.Is(err, db.ErrNotFound) {
		return fleet.Explanation{}, dashboard.ErrUnknown
	}
	if err != nil {
		return fleet.Explanation{}, err
	}
	return fleet.Explain(snap, w, i.a.cfg.Now()), nil
}
