package app

import (
	"net/http"
	"testing"
	"time"

	"github.com/nixfleet/nixfleet/db/dbtest"
	"github.com/nixfleet/nixfleet/fleet"
	"github.com/nixfleet/nixfleet/forge"
	"github.com/nixfleet/nixfleet/forge/forgetest"
	"github.com/rs/zerolog"
)

func TestAHeadStaysNewUntilItsPolicyIsRead(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	state := forge.BranchState{HeadSHA: "bbb", Policy: fleet.Unknown[fleet.Policy]("test", now, "no answer")}
	if c := repoChange(state, nil, now); c.HeadSHA != "" || c.Policy != nil || c.PolicyError != "no answer" {
		t.Errorf("without the policy: %+v", c)
	}
	state.Policy = fleet.Known(fleet.DefaultPolicy(), "test", now)
	if c := repoChange(state, nil, now); c.HeadSHA != "bbb" || c.Policy == nil || c.PolicyError != "" {
		t.Errorf("with the policy: %+v", c)
	}
}

func TestOneInstallationThatCannotBeReadKeepsNoOtherWaiting(t *testing.T) {
	t.Parallel()
	r := newReplica(t, dbtest.New(t))
	hub := forgetest.NewForTest(t, forgetest.Options{})
	for _, name := range []string{"ann/fleet", "bob/fleet"} {
		_, err := hub.AddRepo(forgetest.Repo{Name: name})
		must(t, err)
	}
	var err error
	r.App.forge, err = forge.New(forge.Config{
		APIURL: hub.APIURL(), AppID: hub.AppID, PrivateKey: hub.PrivateKeyPEM, UserAgent: "nixfleet-test", Now: time.Now, Log: zerolog.Nop(),
	})
	must(t, err)
	t.Cleanup(r.App.forge.Close)
	hub.Inject(forgetest.Fault{Path: "/installation/repositories", Status: http.StatusInternalServerError})
	if r.learnRepos(t.Context()) == nil {
		t.Error("no word of the installation that could not be read")
	}
	repos, err := r.db.Repos(t.Context())
	must(t, err)
	if len(repos) != 1 {
		t.Errorf("%d repositories are known, want that of the other installation", len(repos))
	}
	must(t, r.learnRepos(t.Context()))
	if repos, err = r.db.Repos(t.Context()); err != nil || len(repos) != 2 {
		t.Errorf("%d repositories are known in the end, want 2 (%v)", len(repos), err)
	}
}
