package db_test

import (
	"context"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/nixfleet/nixfleet/db"
	"github.com/nixfleet/nixfleet/db/dbtest"
	"github.com/nixfleet/nixfleet/fleet"
	"go.uber.org/goleak"
	"golang.org/x/sync/errgroup"
)

func TestOpenBySeveralAtOnceMigratesOnce(t *testing.T) {
	t.Parallel()
	url := dbtest.Server(t)
	var g errgroup.Group
	for range 4 {
		g.Go(func() error {
			d, err := db.Open(t.Context(), db.Options{URL: url, MaxConns: 3})
			if err == nil {
				d.Close()
			}
			return err
		})
	}
	must(t, g.Wait())
}

func TestOpenWithANewerSchema(t *testing.T) {
	t.Parallel()
	url := dbtest.Server(t)
	exec := func(sql string) {
		t.Helper()
		d, err := db.Open(t.Context(), db.Options{URL: url})
		must(t, err)
		defer d.Close()
		_, err = d.Pool().Exec(t.Context(), sql)
		must(t, err)
	}
	exec(`insert into schema_versions (version_id, is_applied) values (99, true)`)
	var said []string
	d, err := db.Open(t.Context(), db.Options{URL: url, Log: func(s string) { said = append(said, s) }})
	must(t, err)
	d.Close()
	if len(said) != 1 || !strings.Contains(said[0], "schema version 99") {
		t.Errorf("said %q, want a remark on version 99", said)
	}

	exec(`update compatibility set oldest_reader = 99`)
	_, err = db.Open(t.Context(), db.Options{URL: url})
	if err == nil || !strings.Contains(err.Error(), "upgrade nixfleet") {
		t.Errorf("got %v, want a refusal with the remedy", err)
	}
}

// A program of before rollouts that go back would take one for a rollout that deploys.
func TestProgramsThatKnowNoRestoresAreKeptOut(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var oldest int
	must(t, w.d.Pool().QueryRow(t.Context(), `select oldest_reader from compatibility`).Scan(&oldest))
	if oldest < 3 {
		t.Errorf("a program that knows schema version %d would be let in", oldest)
	}
}

func TestOpenSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]db.Options{
		"address":    {URL: "postgres://u:secret-word@:not-a-port/x"},
		"no server":  {URL: "postgres:///x?host=/nowhere&user=u&password=secret-word"},
		"the schema": {URL: "postgres:///x?host=/nowhere", Schema: `x"; drop table y`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := db.Open(t.Context(), o)
			if err == nil || strings.Contains(err.Error(), "secret-word") {
				t.Errorf("got %v, want an error without the password", err)
			}
		})
	}
}

// Not parallel: it counts goroutines.
func TestCloseLeavesNothingBehind(t *testing.T) {
	url := dbtest.Server(t)
	before := goleak.IgnoreCurrent()
	d, err := db.Open(t.Context(), db.Options{URL: url})
	must(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	var g sync.WaitGroup
	g.Go(func() { _ = d.Listen(ctx, func() {}) })
	must(t, d.Record(t.Context(), t0, fleetRepo(7)))
	cancel()
	g.Wait()
	d.Close()
	goleak.VerifyNone(t, before)
}

// The check constraints are the state tables of package fleet.
func TestStateConstraintsMatchTheDomain(t *testing.T) {
	t.Parallel()
	d := dbtest.New(t)
	for constraint, want := range map[string][]string{
		"updates_state":        texts(fleet.AllUpdateStates()),
		"rollouts_state":       texts(fleet.AllRolloutStates()),
		"rollout_hosts_state":  texts(fleet.AllHostStates()),
		"orders_state":         texts(fleet.AllHostStates()),
		"lock_proposals_state": texts(fleet.AllProposalStates()),
	} {
		var text string
		must(t, d.Pool().QueryRow(t.Context(), `
			select pg_get_constraintdef(oid) from pg_constraint
			where conname = $1 and connamespace = current_schema()::regnamespace`, constraint).Scan(&text))
		var got []string
		for _, m := range regexp.MustCompile(`'(\w+)'::text`).FindAllStringSubmatch(text, -1) {
			got = append(got, m[1])
		}
		slices.Sort(got)
		equal(t, constraint, got, want)
	}
}

func texts[S ~string](states []S) []string {
	list := make([]string, len(states))
	for i, s := range states {
		list[i] = string(s)
	}
	slices.Sort(list)
	return list
}

// Queries name the states that block or have ended; they must be the domain's.
func TestStateListsInQueriesMatchTheDomain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.running("R0", "c0")
	for _, s := range fleet.AllRolloutStates() {
		_, err := w.d.Pool().Exec(t.Context(), `update rollouts set state = $1`, s)
		must(t, err)
		c := w.claim(1)
		if got := c.Recorded.RunningRollout != ""; got != s.Blocks() {
			t.Errorf("a rollout that is %s blocks: %v, want %v", s, got, s.Blocks())
		}
		must(t, w.d.PostponeUpdate(t.Context(), c, w.now))
		_, err = w.d.Pool().Exec(t.Context(), `update updates set due_at = null; update rollouts set due_at = null`)
		must(t, err)
		must(t, w.d.SetRolloutState(t.Context(), "R0", db.StateChange{From: []fleet.RolloutState{s}, To: s}, w.now))
		var ended bool
		must(t, w.d.Pool().QueryRow(t.Context(), `select ended_at is not null from rollouts`).Scan(&ended))
		if ended != s.Terminal() {
			t.Errorf("a rollout that is %s has ended: %v, want %v", s, ended, s.Terminal())
		}
	}
}
