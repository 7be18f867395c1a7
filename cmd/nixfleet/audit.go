package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nixfleet/nixfleet/api"
)

// followEvery is how often the history is asked for what is new.
const followEvery = 2 * time.Second

type auditCmd struct {
	serverFlags
	Actor   string        `help:"Only what this login, host, or policy, push or github did."`
	Host    string        `help:"Only what is about this host."`
	About   string        `help:"Only a group of kinds: updates, rollouts, orders, hosts, locks, settings or access." enum:",updates,rollouts,orders,hosts,locks,settings,access" default:""`
	Kind    string        `help:"Only one kind, such as update.merged."`
	Repo    string        `help:"Only what is about this repository (owner/name)."`
	Update  int           `help:"Only what is about this pull request, by its number."`
	Rollout string        `help:"Only what is about this rollout, by its whole id."`
	Text    string        `help:"Only lines whose reason has this text."`
	Since   time.Duration `help:"Only the time up to now, such as 90m or 48h." placeholder:"DURATION"`
	Limit   int           `help:"How many lines, newest first." default:"50"`
	Follow  bool          `short:"f" help:"Go on: print what comes, until interrupted."`
}

// auditAtOnce is the largest page that a server gives; newAtOnce is that of what is new,
// which is little as a rule.
const (
	auditAtOnce = 500
	newAtOnce   = 50
)

// Run prints the history, newest first; with --follow oldest first, as it comes.
func (c *auditCmd) Run(e *env) error {
	if c.Limit < 1 {
		return usagef("--limit must be at least 1")
	}
	q := api.AuditQuery{Who: c.Actor, Host: c.Host, About: c.About, Kind: c.Kind, Repo: c.Repo, Update: c.Update, Rollout: c.Rollout, Text: c.Text}
	if c.Since > 0 {
		q.From = time.Now().Add(-c.Since)
	}
	lines, err := c.read(e, q, c.Limit, nil)
	if err != nil {
		return err
	}
	if c.Follow {
		return c.follow(e, q, lines)
	}
	if c.JSON {
		return json.NewEncoder(e.out).Encode(map[string]any{"lines": lines})
	}
	if len(lines) == 0 {
		_, err := fmt.Fprintln(e.out, "Nothing in the history is like that.")
		return err
	}
	rows := make([][]string, len(lines))
	for i, l := range lines {
		rows[i] = []string{l.At.UTC().Format("2006-01-02 15:04:05"), l.Way, said(l)}
	}
	return table(e, "WHEN(UTC) WAY~1 WHAT…", rows)
}

// said is a line with its reason.
func said(l api.AuditLine) string {
	if l.Reason == "" {
		return l.Says
	}
	return l.Says + ": " + l.Reason
}

// read is up to so many lines, newest first, of before the first that is known.
func (c *auditCmd) read(e *env, q api.AuditQuery, most int, known map[int64]bool) ([]api.AuditLine, error) {
	lines := []api.AuditLine{}
	for len(lines) < most {
		q.Limit = min(most-len(lines), auditAtOnce)
		if len(known) > 0 {
			q.Limit = newAtOnce
		}
		page, err := c.client().Audit(e.ctx, q)
		if err != nil {
			return nil, err
		}
		fresh := slices.DeleteFunc(slices.Clone(page.Lines), func(l api.AuditLine) bool { return known[l.ID] })
		lines = append(lines, fresh...)
		if q.Cursor = page.Next; page.Next == "" || len(known) > 0 && len(fresh) == 0 {
			break
		}
	}
	return lines, nil
}

// follow prints lines, oldest first, and what comes after them. Two lines can be
// stored in another order than they are numbered, so each page is read as a whole.
func (c *auditCmd) follow(e *env, q api.AuditQuery, lines []api.AuditLine) error {
	known := map[int64]bool{0: true}
	for {
		for _, l := range slices.Backward(lines) {
			known[l.ID] = true
			if err := c.print(e, l); err != nil {
				return err
			}
		}
		select {
		case <-e.ctx.Done():
			return nil
		case <-time.After(followEvery):
		}
		var err error
		if lines, err = c.read(e, q, 20*auditAtOnce, known); err != nil {
			if e.ctx.Err() != nil {
				return nil
			}
			return err
		}
	}
}

func (c *auditCmd) print(e *env, l api.AuditLine) error {
	if c.JSON {
		return json.NewEncoder(e.out).Encode(l)
	}
	_, err := fmt.Fprintln(e.out, strings.TrimSpace(l.At.UTC().Format("2006-01-02 15:04:05")+"  "+clean(said(l))))
	return err
}
