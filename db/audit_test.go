package db_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/nixfleet/nixfleet/db"
	"github.com/nixfleet/nixfleet/fleet"
)

// told is a database with a little of everything in its history.
func told(t *testing.T) *world {
	t.Helper()
	w := newWorld(t)
	w.hosts("web1", "web2")
	w.after(time.Hour)
	w.look(w.claim(42), fleet.UpdateHolding, "aaa")
	must(t, w.d.GrantRequest(fleet.By(t.Context(), fleet.WayPage), db.RequestClaim{
		UpdateID: 1, Repo: w.repo, Number: 42, Action: "hold", By: fleet.Actor{Login: "alice"}, At: w.now,
	}, db.RequestEnd{Result: db.RequestAllowed, Why: "100 % sure_it is held", Hold: &fleet.Hold{At: w.now}}, w.now))
	w.running("R1", "ccc", "web1")
	w.answer("R1-web1", "web1", 1, "healthy")
	must(t, w.d.SavePolicySettings(fleet.By(t.Context(), fleet.WayAPI), w.repo.ID, "version: 1\n", "bob", w.now))
	return w
}

func TestHistoryIsFoundByWhatItIsAbout(t *testing.T) {
	t.Parallel()
	w := told(t)
	for name, c := range map[string]struct {
		q    fleet.ActQuery
		want string
	}{
		"by actor":            {fleet.ActQuery{Actor: "alice"}, "request.allowed page #42 o/r7"},
		"by another":          {fleet.ActQuery{Actor: "bob"}, "settings.changed api o/r7"},
		"by a host as actor":  {fleet.ActQuery{Actor: "web1"}, "order.healthy web1 R1 o/r7, host.enrolled web1 o/r7"},
		"by host":             {fleet.ActQuery{Host: "web1", Kind: "order.issued"}, "order.issued web1 R1 o/r7"},
		"by rollout":          {fleet.ActQuery{Rollout: "R1", Group: fleet.ActOrders}, "order.healthy web1 R1 o/r7, order.issued web1 R1 o/r7"},
		"by group":            {fleet.ActQuery{Group: fleet.ActSettings}, "settings.changed api o/r7"},
		"by pull request":     {fleet.ActQuery{Number: 42, Repo: "o/r7"}, "request.allowed page #42 o/r7, update.holding #42 o/r7"},
		"by its words":        {fleet.ActQuery{Text: "100 % SURE_it"}, "request.allowed page #42 o/r7"},
		"by no pattern":       {fleet.ActQuery{Text: "100%held"}, ""},
		"by time":             {fleet.ActQuery{To: t0.Add(time.Minute), Host: "web2"}, "host.enrolled web2 o/r7, host.added web2 o/r7"},
		"since":               {fleet.ActQuery{From: t0.Add(time.Minute), Host: "web2"}, ""},
		"of another repo":     {fleet.ActQuery{Repo: "o/other"}, ""},
		"of a hostile one":    {fleet.ActQuery{Repo: "' or true --", Number: 42}, ""},
		"older than the last": {fleet.ActQuery{Before: 1}, ""},
	} {
		c.q.Limit = 2
		list, err := w.d.Acts(t.Context(), c.q)
		must(t, err)
		var got []string
		for _, a := range list {
			line := a.Kind
			for _, s := range []string{string(a.Way), a.Host, a.Rollout} {
				if s != "" {
					line += " " + s
				}
			}
			if a.Number > 0 {
				line += fmt.Sprintf(" #%d", a.Number)
			}
			got = append(got, line+" "+a.Repo)
		}
		equal(t, name, strings.Join(got, ", "), c.want)
	}
}

func TestHistoryPagesWithoutGaps(t *testing.T) {
	t.Parallel()
	w := told(t)
	whole, err := w.d.Acts(t.Context(), fleet.ActQuery{Repo: "o/r7", Limit: 100})
	must(t, err)
	var paged []fleet.Act
	for q := (fleet.ActQuery{Repo: "o/r7", Limit: 2}); ; {
		page, err := w.d.Acts(t.Context(), q)
		must(t, err)
		if len(page) == 0 {
			break
		}
		paged = append(paged, page...)
		q.Before = page[len(page)-1].ID
	}
	equal(t, "all pages", paged, whole)
	if len(whole) < 8 {
		t.Errorf("only %d lines are of the repository", len(whole))
	}
}

// The database itself keeps a line as it was written.
func TestHistoryIsOnlyAddedTo(t *testing.T) {
	t.Parallel()
	w := told(t)
	must(t, w.d.Remember(t.Context(), db.Event{At: time.Now().AddDate(-3, 0, 0), Actor: "old", Kind: "host.enrolled", Subject: "host/old"}))
	before := w.count(`select count(*) from history`)
	for _, sql := range []string{
		`update history set actor = 'mallory' where actor = 'alice'`,
		`delete from history where actor = 'alice'`,
		`delete from history where actor = 'old'`, // old enough, but nobody says that it is to be forgotten
		`truncate history`,
		`set nixfleet.forget_history = on; delete from history where actor = 'alice'`,
		`set nixfleet.forget_history = on; update history set reason = '' where actor = 'old'`,
	} {
		_, err := w.d.Pool().Exec(t.Context(), sql)
		if pg, ok := errors.AsType[*pgconn.PgError](err); !ok || pg.Code != "23001" {
			t.Errorf("%s: %v, want a refusal", sql, err)
		}
	}
	if n := w.count(`select count(*) from history`); n != before {
		t.Errorf("%d lines are left of %d", n, before)
	}
	n, err := w.d.PruneHistory(t.Context(), time.Now().AddDate(-2, 0, 0), 100)
	if err != nil || n != 1 {
		t.Errorf("it forgot %d lines of three years ago: %v", n, err)
	}
	if _, err := w.d.PruneHistory(t.Context(), time.Now().Add(time.Hour), 100); err == nil {
		t.Error("it forgot lines of today")
	}
}
