package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/nixfleet/nixfleet/api"
	"github.com/nixfleet/nixfleet/fleet"
)

type updatesCmd struct {
	List    updatesListCmd    `cmd:"" default:"withargs" help:"Updates and where they stand; the open ones, if nothing else is said."`
	Show    updatesShowCmd    `cmd:"" help:"One update with every changed input and every condition."`
	Merge   updatesMergeCmd   `cmd:"" help:"Merge an update and deploy it, or merge it only."`
	Hold    updatesHoldCmd    `cmd:"" help:"Keep an update from merging by itself."`
	Release updatesReleaseCmd `cmd:"" help:"End the hold of an update."`
	Look    updatesLookCmd    `cmd:"" help:"Have an update looked at again now."`
}

type updatesListCmd struct {
	serverFlags
	State string `help:"Only in this state: open, ended, all, or one of observed, checks, holding, ready, merging, merged, failing, blocked, conflict, closed, superseded." enum:"all,open,ended,observed,checks,holding,ready,merging,merged,failing,blocked,conflict,closed,superseded" default:"open" placeholder:"STATE"`
	Repo  string `help:"Only of this repository (owner/name)."`
	Limit int    `help:"How many, the newest first; 0 means all." default:"50"`
	Watch bool   `short:"w" help:"Go on showing them as they change, until interrupted."`
}

// Run prints a table, once or as it changes.
func (c *updatesListCmd) Run(e *env) error {
	read := func() (any, string, error) {
		state := c.State
		if state == "all" {
			state = ""
		}
		list, err := c.client().Updates(e.ctx, state, c.Repo, c.Limit)
		return map[string]any{"updates": list}, c.table(e, list), err
	}
	if c.Watch {
		return c.watchList(e, []string{"update"}, read)
	}
	return c.print(e, read)
}

func (c *updatesListCmd) table(e *env, list []api.Update) string {
	switch {
	case len(list) == 0 && c.State == "open":
		return e.say("No update is open. One begins when a pull request changes only a flake.lock; --state all shows those that ended.")
	case len(list) == 0:
		return "There is no update like that.\n"
	}
	rows := make([][]string, len(list))
	for i, u := range list {
		rows[i] = []string{u.Repo, fmt.Sprintf("#%d", u.Number), e.icon(u.State) + u.State, short(u.Head), moment(u.FirstSeen), u.Title, u.Headline}
	}
	return e.table("REPOSITORY~3 PR STATE HEAD~2 SEEN~1 TITLE~4… SAYS…", rows)
}

// print shows a list once.
func (f serverFlags) print(e *env, read func() (any, string, error)) error {
	list, text, err := read()
	if err != nil {
		return err
	}
	if f.JSON {
		return json.NewEncoder(e.out).Encode(list)
	}
	_, err = io.WriteString(e.out, text)
	return err
}

// updateFlags name an update.
type updateFlags struct {
	serverFlags
	PR string `arg:"" name:"pr" predictor:"update" help:"Pull request: 12, owner/name#12, or its address."`
}

func (c *updateFlags) named(e *env) (repo string, number int, err error) {
	if repo, number, err = pullOf(c.PR); err != nil {
		return "", 0, err
	}
	repo, err = theRepo(e, c.serverFlags, repo)
	return repo, number, err
}

type updatesShowCmd struct{ updateFlags }

// Run prints everything about the update.
func (c *updatesShowCmd) Run(e *env) error {
	repo, number, err := c.named(e)
	if err != nil {
		return err
	}
	u, err := c.client().Update(e.ctx, repo, number)
	if err != nil {
		return err
	}
	return c.show(e, u)
}

// show prints an update with its inputs and conditions.
func (c *updateFlags) show(e *env, u api.UpdateDetail) error {
	if c.JSON {
		return json.NewEncoder(e.out).Encode(u)
	}
	var b strings.Builder
	columns := width(e.out)
	wrap(&b, "", fmt.Sprintf("%s#%d %s", u.Repo, u.Number, clean(u.Title)), columns)
	fmt.Fprintln(&b, clean(u.URL))
	wrap(&b, "", fmt.Sprintf("%s%s, head %s", e.icon(u.State), u.State, short(u.Head)), columns)
	wrap(&b, "  ", clean(u.Headline), columns)
	tellWishes(&b, u.Update, columns)
	if len(u.Inputs) > 0 {
		fmt.Fprintf(&b, "\n%s", e.table("INPUT FROM TO COMMITS~1 COMPARE~2…", inputRows(u.Inputs)))
	}
	if len(u.Conditions) > 0 {
		b.WriteByte('\n')
		tellConditions(&b, u.Conditions, columns)
	}
	_, err := io.WriteString(e.out, b.String())
	return err
}

// tellWishes says what people want of the update, and what became of it.
func tellWishes(b *strings.Builder, u api.Update, columns int) {
	if h := u.Hold; h != nil {
		text := fmt.Sprintf("Held by %s since %s UTC", clean(h.By), moment(h.At))
		if !h.Until.IsZero() {
			text += ", until " + moment(h.Until) + " UTC"
		}
		wrap(b, "  ", text+".", columns)
	}
	if r := u.Requested; r != nil && !u.Ended {
		what := "merge and deploy"
		if !r.Deploy {
			what = "merge only"
		}
		wrap(b, "  ", fmt.Sprintf("%s asked at %s UTC to %s head %s.", clean(r.By), moment(r.At), what, short(r.Head)), columns)
	}
	if u.MergeSHA != "" {
		wrap(b, "  ", fmt.Sprintf("Merged as %s by %s at %s UTC.", short(u.MergeSHA), clean(u.MergedBy), moment(u.MergedAt)), columns)
	}
}

func inputRows(inputs []fleet.InputChange) [][]string {
	rows := make([][]string, len(inputs))
	for i, in := range inputs {
		commits := ""
		if in.Commits > 0 {
			commits = fmt.Sprint(in.Commits)
		}
		rows[i] = []string{in.Path, dated(in.FromRev, in.FromDate), dated(in.ToRev, in.ToDate), commits, in.CompareURL}
	}
	return rows
}

func dated(rev string, at time.Time) string {
	if at.IsZero() {
		return short(rev)
	}
	return short(rev) + " " + at.UTC().Format(time.DateOnly)
}

type updatesMergeCmd struct {
	updateFlags
	Only bool   `help:"Merge without a deploy."`
	Head string `help:"Merge this head only, by its id or the beginning of it. Default: the head there is now."`
	Yes  bool   `short:"y" help:"Don't ask."`
}

// Run shows what would be merged, asks, and records the wish. The head that was shown
// is the one that is merged.
func (c *updatesMergeCmd) Run(e *env) error {
	repo, number, err := c.named(e)
	if err != nil {
		return err
	}
	u, err := c.client().Update(e.ctx, repo, number)
	if err != nil {
		return err
	}
	if !strings.HasPrefix(u.Head, c.Head) {
		return usagef("the head of %s#%d is %s by now, not %s: look again, then decide", repo, number, short(u.Head), short(c.Head))
	}
	what := "Merge and deploy"
	if c.Only {
		what = "Merge, without a deploy,"
	}
	if !c.Yes && !c.JSON {
		if err := c.show(e, u); err != nil {
			return err
		}
		if err := agree(e, fmt.Sprintf("\n%s head %s of %s#%d?", what, short(u.Head), repo, number)); err != nil {
			return err
		}
	}
	if u, err = c.client().MergeUpdate(e.ctx, repo, number, u.Head, !c.Only); err != nil {
		return err
	}
	return c.done(e, u, fmt.Sprintf("%s head %s of %s#%d is asked for.", what, short(u.Head), repo, number))
}

type updatesHoldCmd struct {
	updateFlags
	For   time.Duration `help:"How long, such as 48h; until it is released, if left out." placeholder:"DURATION"`
	Until string        `help:"Until when, such as 2026-12-01 or 2026-12-01T08:00:00Z." placeholder:"TIME"`
}

// Run puts the hold on.
func (c *updatesHoldCmd) Run(e *env) error {
	until, err := c.end(time.Now())
	if err != nil {
		return err
	}
	repo, number, err := c.named(e)
	if err != nil {
		return err
	}
	u, err := c.client().HoldUpdate(e.ctx, repo, number, until)
	if err != nil {
		return err
	}
	says := fmt.Sprintf("%s#%d is held until somebody releases it: nixfleet updates release %d", repo, number, number)
	if !until.IsZero() {
		says = fmt.Sprintf("%s#%d is held until %s UTC.", repo, number, moment(until))
	}
	return c.done(e, u, says)
}

func (c *updatesHoldCmd) end(now time.Time) (time.Time, error) {
	switch {
	case c.For < 0:
		return time.Time{}, usagef("--for: %s is not ahead", c.For)
	case c.For > 0 && c.Until != "":
		return time.Time{}, usagef("give either --for or --until")
	case c.For > 0:
		return now.Add(c.For), nil
	case c.Until == "":
		return time.Time{}, nil
	}
	for _, form := range []string{time.RFC3339, time.DateOnly} {
		if at, err := time.Parse(form, c.Until); err == nil {
			if !at.After(now) {
				return at, usagef("--until: %s has passed", c.Until)
			}
			return at, nil
		}
	}
	return time.Time{}, usagef("--until: %q is no time; write one like 2026-12-01 or 2026-12-01T08:00:00Z", c.Until)
}

type (
	updatesReleaseCmd struct{ updateFlags }
	updatesLookCmd    struct{ updateFlags }
)

// Run ends the hold.
func (c *updatesReleaseCmd) Run(e *env) error {
	repo, number, err := c.named(e)
	if err != nil {
		return err
	}
	u, err := c.client().ReleaseUpdate(e.ctx, repo, number)
	if err != nil {
		return err
	}
	return c.done(e, u, fmt.Sprintf("Nobody holds %s#%d now. %s", repo, number, clean(u.Headline)))
}

// Run has the update looked at.
func (c *updatesLookCmd) Run(e *env) error {
	repo, number, err := c.named(e)
	if err != nil {
		return err
	}
	u, err := c.client().LookAtUpdate(e.ctx, repo, number)
	if err != nil {
		return err
	}
	return c.done(e, u, fmt.Sprintf("%s#%d is looked at within seconds: nixfleet updates show %d", repo, number, number))
}

func (c *updateFlags) done(e *env, u api.UpdateDetail, says string) error {
	if c.JSON {
		return json.NewEncoder(e.out).Encode(u)
	}
	_, err := io.WriteString(e.out, e.say(says))
	return err
}
