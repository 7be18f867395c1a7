package db_test

import (
	"testing"
	"time"

	"github.com/nixfleet/nixfleet/db"
	"github.com/nixfleet/nixfleet/fleet"
)

func TestTheFirstSightOfARevisionIsKept(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	see := func(at time.Time, keys ...string) map[string]time.Time {
		t.Helper()
		seen, err := w.d.SeeInputs(t.Context(), keys, at)
		must(t, err)
		return seen
	}
	a, b, c := "github:octo/input@1", "git+https://git.example.org/x@y@2", "github:octo/input@3"
	later := t0.Add(time.Hour)
	equal(t, "first", see(t0, b, a, a), map[string]time.Time{a: t0, b: t0})
	equal(t, "later", see(later, a, c), map[string]time.Time{a: t0, c: later})
	if _, err := w.d.SeeInputs(t.Context(), []string{"no revision"}, t0); err == nil {
		t.Error("a key without a revision was stored")
	}
}

func TestANameStaysWithItsAccountUntilItLeavesThePolicy(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	bot := fleet.Actor{ID: 1, Login: "bot", Type: "Bot"}
	other := fleet.Actor{ID: 2, Login: "bot", Type: "User"}
	keep := func(want map[string]fleet.Actor, authors []string, found map[string]fleet.Actor) {
		t.Helper()
		must(t, w.d.KeepAccounts(t.Context(), w.repo.ID, authors, found, t0))
		kept, err := w.d.Accounts(t.Context(), w.repo.ID)
		must(t, err)
		equal(t, "accounts", kept, want)
	}
	pinned := map[string]fleet.Actor{"bot": bot}
	keep(pinned, []string{"bot", "gone"}, map[string]fleet.Actor{"bot": bot, "stranger": other})
	keep(pinned, []string{"bot"}, map[string]fleet.Actor{"bot": other})
	keep(map[string]fleet.Actor{}, nil, nil)
	keep(map[string]fleet.Actor{"bot": other}, []string{"bot"}, map[string]fleet.Actor{"bot": other})
}

func TestSettingsAreStoredWithWhoMadeThem(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	read := func() *db.PolicySettings {
		t.Helper()
		s, err := w.d.PolicySettings(t.Context(), w.repo.ID)
		must(t, err)
		return s
	}
	if s := read(); s != nil {
		t.Errorf("settings that nobody made: %+v", s)
	}
	for range 2 { // the second changes nothing
		must(t, w.d.SavePolicySettings(t.Context(), w.repo.ID, "version: 1\n", "alice", t0))
	}
	equal(t, "settings", read(), &db.PolicySettings{Policy: "version: 1\n", ChangedBy: "alice", ChangedAt: t0})
	equal(t, "changes in the history", w.count(`select count(*) from history where kind = 'settings.changed' and actor = 'alice'`), 1)
}

func TestWhatIsRecordedCanBeAskedOfAnyHead(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.claim(1)
	old, err := w.d.SeeHead(t.Context(), c.Update.ID, "aaa", t0)
	must(t, err)
	_, err = w.d.SeeHead(t.Context(), c.Update.ID, "bbb", t0.Add(time.Hour))
	must(t, err)
	must(t, w.d.SaveVerdict(t.Context(), c, verdict(fleet.UpdateChecks, "bbb"), t0))
	for sha, want := range map[string]time.Time{"aaa": old, "bbb": t0.Add(time.Hour), "ccc": {}} {
		got, err := w.d.RecordedOf(t.Context(), c.Update.ID, sha)
		must(t, err)
		if !got.HeadSeen.Equal(want) || got.FirstSeen.IsZero() {
			t.Errorf("head %s: %+v, expected it seen %s", sha, got, want)
		}
	}
	if _, err := w.d.RecordedOf(t.Context(), 404, "aaa"); err == nil {
		t.Error("an update that is none has a record")
	}
}
