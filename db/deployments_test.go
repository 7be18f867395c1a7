package db_test

import (
	"errors"
	"testing"

	"github.com/nixfleet/nixfleet/db"
	"github.com/nixfleet/nixfleet/fleet"
)

func TestDeploymentOfARollout(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.rollout("R1", "ccc")
	read := func() db.Deployment {
		t.Helper()
		d, err := w.d.Deployment(t.Context(), "R1")
		must(t, err)
		return d
	}
	want := db.Deployment{Rollout: fleet.Rollout{ID: "R1", Kind: fleet.RolloutDeploy, RepoID: 7, Commit: "ccc", State: fleet.RolloutPlanned, Reason: "test", Actor: "push"}, Repo: w.repo, Watched: true}
	equal(t, "at first", read(), want)
	must(t, w.d.SetDeployment(t.Context(), "R1", 99, "", w.now))
	want.GitHubID = 99
	equal(t, "made", read(), want)
	must(t, w.d.SetDeployment(t.Context(), "R1", 99, fleet.RolloutPlanned, w.now))
	want.Shown = fleet.RolloutPlanned
	equal(t, "shown", read(), want)
	must(t, w.d.Record(t.Context(), w.now, fleet.InstallationChanged{ID: 3, Suspended: true}))
	want.Watched = false
	equal(t, "of a suspended installation", read(), want)
	if _, err := w.d.Deployment(t.Context(), "R2"); !errors.Is(err, db.ErrNotFound) {
		t.Errorf("no such rollout: %v", err)
	}
}
