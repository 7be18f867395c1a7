package app

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nixfleet/nixfleet/fleet"
	"github.com/nixfleet/nixfleet/forge"
	"github.com/nixfleet/nixfleet/forge/forgetest"
)

func TestWebhooksThatDidNotArriveAreAskedForAgain(t *testing.T) {
	t.Parallel()
	p := newPressing(t)
	p.clock.forward(10 * time.Minute)
	p.turn()
	p.hub.InjectHook(forgetest.HookFault{Do: forgetest.HookDrop})
	_, err := p.hub.AddComment(pressedRepo, p.number, "/nixfleet hold", "ada")
	must(t, err)
	p.is(fleet.UpdateHolding, "merge hold") // nobody knows of the comment

	must(t, p.redeliver(t.Context()))
	p.is(fleet.UpdateHolding, "merge hold")
	if got := p.lost.Load(); got != 1 {
		t.Errorf("%d webhooks are missing, want 1", got)
	}
	p.clock.forward(attemptRests)
	must(t, p.redeliver(t.Context()))
	p.is(fleet.UpdateReady, "merge unhold")
	p.clock.forward(attemptRests)
	p.hub.ResetCalls()
	must(t, p.redeliver(t.Context()))
	if n := p.hub.Calls()["POST /app/hook/deliveries/{delivery_id}/attempts"].Full; n != 0 || p.lost.Load() != 0 {
		t.Errorf("%d more asked for, %d missing", n, p.lost.Load())
	}
}

func TestWhatIsNoLongerListedIsNoLongerWatched(t *testing.T) {
	t.Parallel()
	repo := func(id, installation int64) fleet.Repo {
		return fleet.Repo{ID: id, Installation: installation, Owner: "o", Name: "r"}
	}
	sees := func(id int64, repos ...fleet.Repo) fleet.InstallationChanged {
		return fleet.InstallationChanged{ID: id, Added: repos}
	}
	watched := []fleet.Repo{repo(1, 10), repo(2, 10), repo(3, 20), repo(4, 20)}
	cases := map[string]struct {
		found forge.Installed
		want  []string
	}{
		"all there":              {forge.Installed{Complete: true, Listed: []int64{10, 20}, Read: []fleet.InstallationChanged{sees(10, repo(1, 10), repo(2, 10)), sees(20, repo(3, 20), repo(4, 20))}}, nil},
		"a repository was taken": {forge.Installed{Complete: true, Listed: []int64{10, 20}, Read: []fleet.InstallationChanged{sees(10, repo(1, 10)), sees(20, repo(3, 20), repo(4, 20))}}, []string{"10 drops 2"}},
		"uninstalled":            {forge.Installed{Complete: true, Listed: []int64{10}, Read: []fleet.InstallationChanged{sees(10, repo(1, 10), repo(2, 10))}}, []string{"20 is removed"}},
		"one was not read":       {forge.Installed{Complete: true, Listed: []int64{10, 20}, Read: []fleet.InstallationChanged{sees(10, repo(1, 10), repo(2, 10))}}, nil},
		"one is suspended":       {forge.Installed{Complete: true, Listed: []int64{10, 20}, Read: []fleet.InstallationChanged{sees(10, repo(1, 10), repo(2, 10)), {ID: 20, Suspended: true}}}, nil},
		"the list was not read":  {forge.Installed{}, nil},
	}
	for name, c := range cases {
		var got []string
		for _, f := range gone(watched, c.found) {
			in := f.(fleet.InstallationChanged)
			if in.Removed {
				got = append(got, digits(in.ID)+" is removed")
			}
			for _, r := range in.Dropped {
				got = append(got, digits(in.ID)+" drops "+digits(r.ID))
			}
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func digits(n int64) string { return strconv.FormatInt(n, 10) }

func TestARepositoryTakenWhileTheServerWasAwayIsNoLongerWatched(t *testing.T) {
	t.Parallel()
	p := newPressing(t)
	p.hub.InjectHook(forgetest.HookFault{Times: -1, Do: forgetest.HookDrop})
	must(t, p.hub.RemoveFromInstallation(pressedRepo))
	must(t, p.hub.WaitDelivered(t.Context()))
	must(t, p.learnRepos(t.Context()))
	if repos, err := p.db.Repos(t.Context()); err != nil || len(repos) != 0 {
		t.Errorf("still watched: %+v (%v)", repos, err)
	}
	must(t, p.hub.AddToInstallation(pressedRepo))
	must(t, p.learnRepos(t.Context()))
	if repos, err := p.db.Repos(t.Context()); err != nil || len(repos) != 1 {
		t.Errorf("not watched again: %+v (%v)", repos, err)
	}
}

func TestMetricsTellHowTheInboxStands(t *testing.T) {
	t.Parallel()
	p := newPressing(t)
	p.clock.forward(7 * time.Minute)
	rec := httptest.NewRecorder()
	p.metricsPage().ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	body, err := io.ReadAll(rec.Body)
	must(t, err)
	for _, want := range []string{
		"nixfleet_inbox_lag_seconds 0\n", "nixfleet_failed_deliveries 0\n", "nixfleet_last_delivery_age_seconds 42", "nixfleet_stale_repositories 0\n",
		`nixfleet_github_calls_total{code="200",kind="pulls",method="GET"`,
	} {
		if !strings.Contains(string(body), want) {
			t.Errorf("%q is missing in:\n%s", want, body)
		}
	}
}
