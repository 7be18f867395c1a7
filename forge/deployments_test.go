package forge

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nixfleet/nixfleet/fleet"
	"github.com/nixfleet/nixfleet/forge/forgetest"
)

func TestADeploymentFollowsItsRollout(t *testing.T) {
	t.Parallel()
	s := newSite(t, forgetest.Options{})
	sha := s.Head(fleetRepo, "main")
	r := fleet.Rollout{ID: "01ROLLOUT", Commit: sha, State: fleet.RolloutPlanned}
	page := "https://fleet.example.org/#r-01ROLLOUT"

	// The answer to the first attempt is lost; the second finds what it made.
	remove := s.Inject(forgetest.Fault{Method: http.MethodPost, Path: "/repos/*/deployments", Drop: true, AfterEffect: true})
	if _, err := s.forge.MakeDeployment(s.ctx, s.repo, DeploymentFor(r, page)); err == nil || errors.Is(err, ErrNoDeployment) {
		t.Fatalf("lost answer: %v", err)
	}
	remove()
	id := must(s.forge.MakeDeployment(s.ctx, s.repo, DeploymentFor(r, page)))(t)
	show := func(state fleet.RolloutState, headline string) {
		t.Helper()
		r.State, r.Headline = state, headline
		d := DeploymentFor(r, page)
		d.ID = id
		if err := s.forge.SetDeployment(s.ctx, s.repo, d); err != nil {
			t.Fatal(err)
		}
	}
	show(fleet.RolloutPlanned, "")
	show(fleet.RolloutRunning, "Deploying to 9 hosts.")
	show(fleet.RolloutRunning, "Deploying to 9 hosts.") // said already
	long := strings.Repeat("ä", 200)
	show(fleet.RolloutHalted, long)
	show(fleet.RolloutHalted, long)
	show(fleet.RolloutSuperseded, "")
	want := []forgetest.Deployment{{
		ID: id, SHA: sha, Environment: DeploymentEnvironment, Description: "NixFleet brings it to the hosts",
		States: []string{"queued", "in_progress", "error", "inactive"}, LogURL: page, Said: "The rollout is superseded.",
	}}
	if d := cmp.Diff(want, s.Deployments(fleetRepo)); d != "" {
		t.Errorf("deployments (-want +got):\n%s", d)
	}

	// Another rollout of the same commit, as after a reset of the database, is another.
	if other := must(s.forge.MakeDeployment(s.ctx, s.repo, Deployment{Rollout: "02", SHA: sha}))(t); other == id {
		t.Error("two rollouts share a deployment")
	}
	for _, state := range fleet.AllRolloutStates() {
		if deploymentStates[state] == "" {
			t.Errorf("no word for a rollout that is %s", state)
		}
	}
}

func TestDeploymentsThatGitHubWillNotHave(t *testing.T) {
	t.Parallel()
	s := newSite(t, forgetest.Options{})
	d := Deployment{Rollout: "01", SHA: s.Head(fleetRepo, "main"), State: "success"}
	gone := d
	gone.ID = 12345
	lost := d
	lost.SHA = strings.Repeat("0", 40)
	for name, err := range map[string]error{
		"deleted by a person": s.forge.SetDeployment(s.ctx, s.repo, gone),
		"commit is gone":      errOf(s.forge.MakeDeployment(s.ctx, s.repo, lost)),
	} {
		if !errors.Is(err, ErrNoDeployment) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := s.GrantPermissions(s.repo.Installation, map[string]string{"metadata": "read", "contents": "write", "deployments": "read"}); err != nil {
		t.Fatal(err)
	}
	door := s.open(s.forge.config.Now, nil)
	if may, err := door.Granted(s.ctx, s.repo.Installation, "deployments", "write"); may || err != nil {
		t.Errorf("may write deployments: %v, %v", may, err)
	}
	if _, err := door.MakeDeployment(s.ctx, s.repo, d); !errors.Is(err, ErrNoDeployment) {
		t.Errorf("without the permission: %v", err)
	}
	if _, err := door.MakeDeployment(s.ctx, s.repo, Deployment{Rollout: "01", SHA: "main"}); err == nil {
		t.Error("a branch was taken for a commit")
	}
	if n := len(s.Deployments(fleetRepo)); n != 0 {
		t.Errorf("%d deployments were made", n)
	}
}

func errOf[T any](_ T, err error) error { return err }
