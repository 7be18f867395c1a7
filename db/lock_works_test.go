package db_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/nixfleet/nixfleet/db"
	"github.com/nixfleet/nixfleet/fleet"
)

func TestNewerLocksAreListedWithTheirOrders(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.hosts("web1", "web2")
	order := func(id, host string) fleet.Order {
		o := w.order(id, host, "", "base")
		o.Kind, o.Detail = fleet.OrderUpdateInputs, fleet.OrderDetail{LockFile: "flake.lock", Inputs: []string{"nixpkgs"}}
		issued, err := w.d.IssueOrders(t.Context(), []fleet.Order{o}, w.now)
		must(t, err)
		return issued[0]
	}
	list := func() (lines []string) {
		t.Helper()
		works, err := w.d.LockWorks(t.Context(), w.now, 10)
		must(t, err)
		for _, l := range works {
			lines = append(lines, fmt.Sprint(l.ID, " ", l.Host, " ", l.Inputs, " ", l.Order, " ", l.State, " ", l.Found))
		}
		return lines
	}
	order("O1", "web1")
	w.after(time.Second)
	_, err := w.d.Propose(t.Context(), db.NewProposal{ID: "P0", RepoID: w.repo.ID, Actor: "ada", Path: "flake.lock", BaseSHA: "base", Lock: []byte("{}")}, w.now)
	must(t, err)
	w.after(time.Second)
	order("O2", "web2")
	equal(t, "under way", list(), []string{"O2 web2 [nixpkgs] ordered  ", "P0  []  received ", "O1 web1 [nixpkgs] ordered  "})
	_, err = w.d.Propose(t.Context(), db.NewProposal{ID: "P1", Source: "order/O1", RepoID: w.repo.ID, Host: "web1", Actor: "ada", Path: "flake.lock",
		BaseSHA: "base", Inputs: []string{"nixpkgs"}, Lock: []byte("{}")}, w.now)
	must(t, err)
	_, err = w.d.Pool().Exec(t.Context(), `update orders set ended_at = $1, state = 'healthy', note = 'all inputs are current' where id = 'O2'`, w.now)
	must(t, err)
	equal(t, "answered", list(), []string{"O2 web2 [nixpkgs] healthy  all inputs are current", "P0  []  received ", "P1 web1 [nixpkgs] ordered received "})
	w.after(25 * time.Hour)
	equal(t, "a day later", list(), []string{"P0  []  received ", "P1 web1 [nixpkgs] ordered received "})
}
