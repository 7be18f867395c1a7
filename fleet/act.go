package fleet

import (
	"context"
	"time"
)

// Act is one line of the history: who did what, by which way, when and why.
type Act struct {
	ID      int64
	At      time.Time
	Actor   string // a login, "policy", "push", "github" or "host:NAME"
	Way     Way    // how a person did it; empty where nobody did, or where it is not known
	Kind    string // e.g. "update.merging", "host.enrolled"
	Subject string // e.g. "update/12", "rollout/01J…", "host/web1", "order/01J…"
	Reason  string
	Detail  map[string]any

	// What it is about, as far as it can be told.
	Host    string
	Rollout string
	Repo    string // owner/name
	Number  int    // of the pull request

	// Changes is what changed settings come to, where both the old and the new can be read.
	Changes []SettingChange `db:"-"`
}

// Way is how a person did something.
type Way string

// The ways.
const (
	WayPage    Way = "page"    // a button of the dashboard
	WayAPI     Way = "api"     // the API, with a token; the command line uses it, too
	WayComment Way = "comment" // a command in a comment on the pull request
	WayCheck   Way = "check"   // a button of the check run
)

type wayKey struct{}

// By has everything that is done in ctx be recorded as done by a way.
func By(ctx context.Context, w Way) context.Context { return context.WithValue(ctx, wayKey{}, w) }

// WayOf is the way that [By] set; empty: nobody does it just now.
func WayOf(ctx context.Context) Way {
	w, _ := ctx.Value(wayKey{}).(Way)
	return w
}

// ActQuery picks lines of the history, newest first.
type ActQuery struct {
	Actor   string
	Host    string
	Repo    string // owner/name
	Number  int    // of a pull request
	Rollout string
	Group   ActGroup
	Kind    string // exactly this one
	Text    string // in the reason, whatever the case of its letters
	From    time.Time
	To      time.Time // before it
	Before  int64     // older than the line with this id; 0: from the newest on
	Limit   int
}
