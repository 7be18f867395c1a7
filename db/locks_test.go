package db_test

import (
	"testing"
	"time"

	"github.com/nixfleet/nixfleet/db"
	"github.com/nixfleet/nixfleet/fleet"
)

// Whoever waits for a rollout holds no host yet: what hosts say locks their rollouts
// first and then them, and two that go opposite ways would wait for each other.
func TestHostsAreLockedAfterRollouts(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		held string // the rollout that somebody else holds
		act  func(w *world, claim db.RolloutClaim) error
	}{
		"readmit": {"R1", func(w *world, _ db.RolloutClaim) error {
			return w.d.ReadmitHost(w.t.Context(), "web1", []byte("hash"), w.now.Add(time.Hour), "ada", w.now)
		}},
		"revoke": {"R1", func(w *world, _ db.RolloutClaim) error {
			return w.d.RevokeHost(w.t.Context(), "web1", "ada", w.now)
		}},
		"move a rollout": {"R3", func(w *world, claim db.RolloutClaim) error {
			return w.d.SaveRollout(w.t.Context(), claim, fleet.Move{
				State: fleet.RolloutRunning, Hosts: []fleet.HostProgress{{Host: "web1", State: fleet.HostOrdered}}, Orders: []string{"web1"},
			}, &fleet.Plan{}, []fleet.Order{w.order("O", "web1", "R2", "bbb")}, w.now)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.hosts("web1")
			w.running("R1", "aaa", "web1")
			claim := w.rollout("R2", "bbb")
			if c.held != "R1" {
				must(t, w.d.SetRolloutState(t.Context(), "R1", db.StateChange{
					From: []fleet.RolloutState{fleet.RolloutRunning}, To: fleet.RolloutAborted, Actor: "ada",
				}, w.now))
				w.rollout(c.held, "ccc")
			}
			tx, err := w.d.Pool().Begin(t.Context())
			must(t, err)
			defer func() { _ = tx.Rollback(t.Context()) }()
			_, err = tx.Exec(t.Context(), `select from rollouts where id = $1 for no key update`, c.held)
			must(t, err)
			done := make(chan error, 1)
			go func() { done <- c.act(w, claim) }()
			eventually(t, "it waits for the rollout", func() bool {
				var n int
				must(t, tx.QueryRow(t.Context(), `select count(*) from pg_locks where not granted and pg_backend_pid() = any(pg_blocking_pids(pid))`).Scan(&n))
				return n > 0
			})
			if _, err := tx.Exec(t.Context(), `select from hosts where name = 'web1' for no key update nowait`); err != nil {
				t.Errorf("meanwhile: %v", err)
			}
			must(t, tx.Rollback(t.Context()))
			must(t, <-done)
		})
	}
}

// Heartbeats lock many hosts at once, in one order. Who comes to a host after another
// that it holds must not hold one that comes later.
func TestAMoveLocksItsHostsAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.hosts("web1", "web2")
	w.running("R1", "aaa", "web2")
	w.answer("R1-web2", "web2", 1, "received")
	claim := w.claimRollout("R1")
	tx, err := w.d.Pool().Begin(t.Context())
	must(t, err)
	defer func() { _ = tx.Rollback(t.Context()) }()
	_, err = tx.Exec(t.Context(), `select from hosts where name = 'web1' for no key update`)
	must(t, err)
	ended := claim.Rollout.Hosts[0]
	ended.State = fleet.HostFailed
	done := make(chan error, 1)
	go func() {
		done <- w.d.SaveRollout(w.t.Context(), claim, fleet.Move{
			State: fleet.RolloutRunning, Hosts: []fleet.HostProgress{ended, {Host: "web1", State: fleet.HostOrdered}}, Orders: []string{"web1"},
		}, nil, []fleet.Order{w.order("O", "web1", "R1", "aaa")}, w.now)
	}()
	eventually(t, "it waits for web1", func() bool {
		var n int
		must(t, tx.QueryRow(t.Context(), `select count(*) from pg_locks where not granted and pg_backend_pid() = any(pg_blocking_pids(pid))`).Scan(&n))
		return n > 0
	})
	if _, err := tx.Exec(t.Context(), `select from hosts where name = 'web2' for no key update nowait`); err != nil {
		t.Errorf("meanwhile: %v", err)
	}
	must(t, tx.Rollback(t.Context()))
	must(t, <-done)
}
