package db_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nixfleet/nixfleet/db"
	"github.com/nixfleet/nixfleet/fleet"
)

func (w *world) issue(orders ...fleet.Order) []fleet.Order {
	w.t.Helper()
	issued, err := w.d.IssueOrders(w.t.Context(), orders, w.now)
	must(w.t, err)
	return issued
}

// deliverables are the generations that the bus must hold, by host.
func (w *world) deliverables() map[string]uint64 {
	w.t.Helper()
	list, err := w.d.Deliverables(w.t.Context(), w.now)
	must(w.t, err)
	got := map[string]uint64{}
	for _, o := range list {
		got[o.Host] = o.Gen
	}
	return got
}

func TestGenerationsCountUpPerHost(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.hosts("web1", "web2")
	issued := w.issue(w.order("A", "web2", "", "c"), w.order("B", "web1", "", "c"), w.order("C", "web2", "", "c"))
	issued = append(issued, w.issue(w.order("D", "web2", "", "c"))...)
	got := map[string]uint64{}
	for _, o := range issued {
		got[o.ID] = o.Gen
	}
	equal(t, "generations", got, map[string]uint64{"A": 1, "B": 1, "C": 2, "D": 3})
	equal(t, "effects", w.effects(), []string{"send:web1", "send:web2"})

	equal(t, "to deliver", w.deliverables(), map[string]uint64{"web1": 1, "web2": 3}) // D replaced A and C
	sent, err := w.d.OrdersToSend(t.Context(), []string{"web2", "unknown"}, w.now)
	must(t, err)
	if len(sent) != 1 {
		t.Fatalf("to send %v", sent)
	}
	want := w.order("D", "web2", "", "c")
	want.Gen, want.State = 3, fleet.HostOrdered
	equal(t, "to send", sent[0], db.OrderToSend{Order: want, Repo: w.repo, Attr: "nixosConfigurations.web2"})
}

func TestGenerationsAreNeverDrawnTwice(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.hosts("web1", "web2")
	var mu sync.Mutex
	seen := map[string]bool{}
	var running sync.WaitGroup
	for worker := range 8 {
		running.Go(func() {
			for i := range 5 {
				issued, err := w.d.IssueOrders(t.Context(), []fleet.Order{
					w.order(fmt.Sprint(worker, i, "a"), "web1", "", "c"), w.order(fmt.Sprint(worker, i, "b"), "web2", "", "c"),
				}, w.now)
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				for _, o := range issued {
					seen[fmt.Sprint(o.Host, o.Gen)] = true
				}
				mu.Unlock()
			}
		})
	}
	running.Wait()
	if len(seen) != 80 {
		t.Errorf("%d generations for 80 orders", len(seen))
	}
}

func TestOnlyEnrolledHostsGetOrders(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.hosts("web1", "gone")
	must(t, w.d.CreateHost(t.Context(), db.NewHost{Host: fleet.Host{Name: "soon", Attr: "nixosConfigurations.soon"}, TokenHash: []byte("x"), Expires: t0.Add(time.Hour)}, t0))
	err := w.d.RevokeHost(t.Context(), "gone", "ada", w.now)
	must(t, err)
	for _, host := range []string{"gone", "soon", "unknown"} {
		_, err := w.d.IssueOrders(t.Context(), []fleet.Order{w.order("A", "web1", "", "c"), w.order("B", host, "", "c")}, w.now)
		if !errors.Is(err, db.ErrConflict) || !strings.Contains(err.Error(), host) {
			t.Errorf("to %s: %v, want ErrConflict that names it", host, err)
		}
	}
	if got := w.deliverables(); len(got) != 0 {
		t.Errorf("some were issued all the same: %v", got)
	}
	if _, err := w.d.Order(t.Context(), "A"); !errors.Is(err, db.ErrNotFound) {
		t.Errorf("an unknown order: %v, want ErrNotFound", err)
	}
}
