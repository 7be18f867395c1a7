package app

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nixfleet/nixfleet/fleet"
	"github.com/nixfleet/nixfleet/forge/forgetest"
)

// The life of an installation, with another one beside it that must notice nothing:
// what is watched goes by ids, whatever happens to names.
func TestLifeOfAnInstallation(t *testing.T) {
	t.Parallel()
	p := newPressing(t)
	const other = "acme/machines"
	otherID, err := p.hub.AddRepo(forgetest.Repo{Name: other, Org: true})
	must(t, err)
	p.commit(other, "main", map[string]string{"flake.lock": p.lock(), "flake.nix": "{}\n"})
	p.commit(other, lockBranch, map[string]string{"flake.lock": p.lock()})
	otherPull, err := p.hub.OpenPull(other, forgetest.Pull{Head: lockBranch, Title: "flake.lock: Update"})
	must(t, err)
	installation := p.hub.InstallationID(pressedRepo)
	p.turn()

	var looked time.Time
	step := func(name string, watched []string, state fleet.UpdateState) {
		t.Helper()
		p.clock.forward(2 * time.Hour)
		must(t, p.learnRepos(t.Context())) // as the hourly look does
		p.turn()
		repos, err := p.db.Repos(t.Context())
		must(t, err)
		var names []string
		for _, r := range repos {
			names = append(names, r.FullName())
		}
		if !slices.Equal(names, watched) {
			t.Errorf("%s: watched are %v, want %v", name, names, watched)
		}
		if u := p.update(); u.State != state {
			t.Errorf("%s: the update is %s (%s), want %s", name, u.State, u.Verdict.Headline, state)
		}
		u, err := p.db.UpdateByNumber(t.Context(), otherID, otherPull)
		must(t, err)
		if !u.Verdict.At.After(looked) {
			t.Errorf("%s: the other installation's update was not looked at since %s, but at %s", name, looked, u.Verdict.At)
		}
		looked = u.Verdict.At
	}
	// A hold by label, so that nothing merges before it should.
	must(t, p.hub.AddLabel(pressedRepo, p.number, "nixfleet/hold", "ada"))
	step("two installations", []string{other, pressedRepo}, fleet.UpdateReady)

	must(t, p.hub.Rename(pressedRepo, "machines", "ada"))
	renamed := "octo/machines"
	step("renamed", []string{other, renamed}, fleet.UpdateReady)
	if u := p.update(); !strings.Contains(u.URL, renamed) {
		t.Errorf("renamed: the update is still at %s", u.URL)
	}

	must(t, p.hub.Suspend(installation))
	must(t, p.hub.RemoveLabel(renamed, p.number, "nixfleet/hold", "ada"))
	step("suspended", []string{other}, fleet.UpdateReady)

	must(t, p.hub.Unsuspend(installation))
	_, err = p.hub.SetCheck(renamed, forgetest.Check{SHA: p.hub.Head(renamed, lockBranch), Name: "build", Conclusion: "success"})
	must(t, err)
	step("unsuspended", []string{other, renamed}, fleet.UpdateMerged)

	must(t, p.hub.Transfer(renamed, "globex"))
	step("transferred to where the App is not installed", []string{other}, fleet.UpdateMerged)
	must(t, p.hub.AddToInstallation("globex/machines"))
	step("installed there", []string{other, "globex/machines"}, fleet.UpdateMerged)
	must(t, p.hub.Uninstall(p.hub.InstallationID("globex/machines")))
	step("uninstalled", []string{other}, fleet.UpdateMerged)
}
