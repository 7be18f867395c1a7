package db_test

import (
	"errors"
	"testing"
	"time"

	"github.com/nixfleet/nixfleet/db"
	"github.com/nixfleet/nixfleet/fleet"
)

// A host that is read by itself looks as it does among all others.
func TestAHostByItselfIsAsAmongAll(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.hosts("web1", "web2", "eva", "gone")
	evaluates := []string{fleet.EvaluatorTag}
	_, err := w.d.ChangeHost(t.Context(), "eva", db.HostChange{Tags: &evaluates}, "ada", w.now)
	must(t, err)
	must(t, w.d.RevokeHost(t.Context(), "gone", "ada", w.now))
	must(t, w.d.Record(t.Context(), w.now, fleetRepo(8)))
	w.look(w.claim(1), fleet.UpdateHolding, "aaa")
	w.look(w.claim(2), fleet.UpdateChecks, "bbb")
	w.look(w.claim(3), fleet.UpdateMerged, "ccc")
	w.running("R1", "c1", "web2") // web2 still works on it when the next one runs
	w.hears(w.order("R1-web2", "web2", "R1", "c1"), 1, "received")
	w.running("R2", "c2", "web1")
	_, err = w.d.Pool().Exec(t.Context(), `
		update hosts set last_seen = $1, facts = jsonb_build_object('at', $1::timestamptz, 'checkout_commit', 'c2', 'running_path', '/nix/store/' || name)`, w.now)
	must(t, err)

	all, err := w.d.Overview(t.Context(), w.after(time.Second))
	must(t, err)
	fleet.Describe(&all, "1.0.0")
	for _, want := range all.Hosts {
		o, err := w.d.HostOverview(t.Context(), want.Host.Name, w.now)
		must(t, err)
		fleet.Describe(&o, "1.0.0")
		for _, got := range o.Hosts {
			if got.Host.Name == want.Host.Name {
				equal(t, want.Host.Name, got, want)
			}
		}
		if len(o.Repos) != 1 || len(o.Updates) != 1 || len(o.Hosts) > 2 {
			t.Errorf("for %s it reads %d repositories, %d updates, %d hosts", want.Host.Name, len(o.Repos), len(o.Updates), len(o.Hosts))
		}
	}
	for _, name := range []string{"gone", "none", ""} {
		if _, err := w.d.HostOverview(t.Context(), name, w.now); !errors.Is(err, db.ErrNotFound) {
			t.Errorf("host %q: %v", name, err)
		}
	}
}

func TestWhatIsKeptOfAHost(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.hosts("web1", "web2")
	for _, o := range []struct{ id, host, to string }{
		{"A", "web1", "/nix/store/a"}, {"B", "web1", "/nix/store/b"}, {"C", "web1", ""}, {"D", "web2", "/nix/store/a"},
	} {
		w.after(time.Second)
		w.issue(w.of("deploy", o.id, o.host))
		if o.to != "" {
			_, err := w.d.Pool().Exec(t.Context(), `update orders set change = jsonb_build_object('to', jsonb_build_object('path', $2::text)) where id = $1`, o.id, o.to)
			must(t, err)
		}
	}
	_, err := w.d.Pool().Exec(t.Context(), `update hosts set generations = '[{"number": 2, "path": "/nix/store/a"}]'`)
	must(t, err)
	must(t, w.d.RevokeHost(t.Context(), "web1", "ada", w.now))
	got, err := w.d.HostRecord(t.Context(), "web1")
	must(t, err)
	var orders []string
	for _, o := range got.Orders {
		orders = append(orders, o.ID)
	}
	equal(t, "orders", orders, []string{"C", "B", "A"})
	equal(t, "brought", got.Brought, []fleet.SystemOrder{{Path: "/nix/store/a", Order: "A", Kind: "deploy", Actor: "ada", IssuedAt: t0.Add(time.Second)}})
	if got.Host.RevokedAt.IsZero() || len(got.Generations) != 1 || got.Changed == nil || got.Changed.Order.ID != "B" || got.Changed.Change.To.Path != "/nix/store/b" {
		t.Errorf("kept %+v", got)
	}
	if _, err := w.d.HostRecord(t.Context(), "none"); !errors.Is(err, db.ErrNotFound) {
		t.Errorf("an unknown host: %v", err)
	}
}
