package forge

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nixfleet/nixfleet/fleet"
)

// CommentView is what people are shown of one update on GitHub.
type CommentView struct {
	Update       fleet.Update
	Rollout      *fleet.Rollout // the one of its merge, once there is one
	DashboardURL string         // page of this update; empty where there is none
}

// Limits of what is shown. The rest is on the dashboard.
const (
	maxInputs = 60
	maxHosts  = 100
	maxTails  = 5
	maxTail   = 4000 // bytes of one log tail: its end
	maxValue  = 200  // bytes of any value from outside
)

var stateTitles = map[fleet.UpdateState]string{
	fleet.UpdateObserved:   "👀 Looking at it",
	fleet.UpdateChecks:     "⏳ Waiting for checks",
	fleet.UpdateHolding:    "⏳ On hold",
	fleet.UpdateReady:      "🟢 Ready",
	fleet.UpdateMerging:    "🔄 Merging",
	fleet.UpdateMerged:     "✅ Merged",
	fleet.UpdateFailing:    "❌ A check failed",
	fleet.UpdateBlocked:    "⛔ Blocked",
	fleet.UpdateConflict:   "⚠️ Conflict",
	fleet.UpdateClosed:     "➖ Closed",
	fleet.UpdateSuperseded: "➖ Superseded",
}

func stateTitle(s fleet.UpdateState) string {
	if t, ok := stateTitles[s]; ok {
		return t
	}
	return text(string(s))
}

// Comment renders the one comment of an update as Markdown. Nothing in it can be
// forged by what comes from outside: names, messages and logs are escaped.
func Comment(v CommentView) string {
	var b strings.Builder
	b.WriteString(Marker + "\n")
	fmt.Fprintf(&b, "### NixFleet · %s\n\n", stateTitle(v.Update.State))
	headline(&b, v.Update)
	lastCommand(&b, v.Update.Answer)
	inputs(&b, v.Update)
	conditions(&b, v.Update.Verdict)
	rollout(&b, v.Rollout)
	commands(&b, v.Update)
	footer(&b, v)
	return cut(b.String(), maxComment)
}

func headline(b *strings.Builder, u fleet.Update) {
	if u.Verdict.Headline != "" {
		fmt.Fprintf(b, "**%s**\n\n", text(u.Verdict.Headline))
	}
	if u.State == fleet.UpdateHolding && !u.Verdict.HoldUntil.IsZero() {
		// Only when it ends: a text that counts would have to be edited all the time.
		fmt.Fprintf(b, "Countdown: ends %s.\n\n", stamp(u.Verdict.HoldUntil))
	}
	if u.MergeSHA != "" {
		fmt.Fprintf(b, "Merged as %s%s.\n\n", code(short(u.MergeSHA)), byWhom(u))
	}
}

func byWhom(u fleet.Update) string {
	s := ""
	if u.MergedBy != "" {
		s += " by " + code(u.MergedBy)
	}
	if !u.MergedAt.IsZero() {
		s += " at " + stamp(u.MergedAt)
	}
	return s
}

// lastCommand shows what became of the last command, next to who gave it.
func lastCommand(b *strings.Builder, a *fleet.Answer) {
	if a == nil {
		return
	}
	sign := "✅"
	if !a.Done {
		sign = "❌"
	}
	fmt.Fprintf(b, "> %s %s by %s, %s:\n", sign, code(a.Command), code(a.By.Login), stamp(a.At))
	for line := range strings.Lines(a.Text) {
		fmt.Fprintf(b, "> %s<br>\n", text(strings.TrimSpace(line)))
	}
	b.WriteByte('\n')
}

// commands lists what may be written in a comment, folded away.
func commands(b *strings.Builder, u fleet.Update) {
	if u.State == fleet.UpdateClosed || u.State == fleet.UpdateSuperseded {
		return
	}
	b.WriteString("<details><summary>Commands for people with write permission</summary>\n\n")
	for line := range strings.Lines(fleet.CommandHelp()) {
		form, does, _ := strings.Cut(strings.TrimSpace(line), ": ")
		fmt.Fprintf(b, "- %s: %s\n", code(form), text(does))
	}
	b.WriteString("\n</details>\n\n")
}

var kindWords = map[string]string{"added": " *(new)*", "removed": " *(removed)*"}

// inputs is the table of what changes. Ages are those when the head SHA was first
// seen, for the same reason.
func inputs(b *strings.Builder, u fleet.Update) {
	v, seen := u.Verdict, u.HeadSeen
	if len(v.Inputs) == 0 {
		return
	}
	b.WriteString("| Input | From | To | Age | Commits |\n|---|---|---|---|---|\n")
	for _, in := range v.Inputs[:min(len(v.Inputs), maxInputs)] {
		fmt.Fprintf(b, "| %s%s | %s | %s | %s | %s |\n", code(in.Path), kindWords[in.Kind],
			side(in.From, in.FromRev, in.FromDate), side(in.To, in.ToRev, in.ToDate),
			age(in.ToDate, seen), commitsBetween(in))
	}
	b.WriteByte('\n')
	if more := len(v.Inputs) - maxInputs; more > 0 {
		fmt.Fprintf(b, "… and %d more inputs.\n\n", more)
	}
}

// side is one end of a change: the short revision where there is one, and its day.
func side(what, rev string, date time.Time) string {
	switch {
	case rev != "":
		what = short(rev)
	case what == "":
		return "–"
	}
	if date.IsZero() {
		return code(what)
	}
	return code(what) + " " + date.UTC().Format(time.DateOnly)
}

func age(date, now time.Time) string {
	if date.IsZero() || now.IsZero() {
		return "–"
	}
	return span(now.Sub(date))
}

// commitsBetween says how many commits a change brings, with a link to them.
func commitsBetween(in fleet.InputChange) string {
	word := "compare"
	if in.Commits > 0 {
		word = strconv.Itoa(in.Commits)
	}
	if link := safeURL(in.CompareURL); link != "" {
		return "[" + word + "](" + link + ")"
	}
	if in.Commits > 0 {
		return word
	}
	return "–"
}

var outcomeWords = map[fleet.Outcome]string{
	fleet.Passed:  "✅ passed",
	fleet.Waiting: "⏳ waiting",
	fleet.Refused: "❌ refused",
	fleet.Unread:  "❔ unknown",
	fleet.Off:     "➖ off",
}

func conditions(b *strings.Builder, v fleet.Verdict) {
	if len(v.Conditions) == 0 {
		return
	}
	b.WriteString("| | Condition | Found |\n|---|---|---|\n")
	for _, c := range v.Conditions {
		word := outcomeWords[c.Outcome]
		if word == "" {
			word = outcomeWords[fleet.Unread]
		}
		if c.Overridden {
			word = "⏩ overridden"
		}
		found := text(c.Found)
		if c.Remedy != "" && c.Outcome != fleet.Passed {
			found += "<br>→ " + text(c.Remedy)
		}
		fmt.Fprintf(b, "| %s | %s | %s |\n", word, text(c.Title), found)
	}
	b.WriteByte('\n')
}

var hostWords = map[fleet.HostState]string{
	fleet.HostWaiting:   "⏸️ waiting",
	fleet.HostOrdered:   "📨 ordered",
	fleet.HostReceived:  "📬 received",
	fleet.HostFetching:  "🔄 fetching",
	fleet.HostBuilding:  "🔄 building",
	fleet.HostSwitching: "🔄 switching",
	fleet.HostVerifying: "🔄 verifying",
	fleet.HostHealthy:   "✅ healthy",
	fleet.HostFailed:    "❌ failed",
	fleet.HostReverted:  "↩️ rolled itself back",
	fleet.HostOffline:   "💤 offline, catches up",
	fleet.HostDeferred:  "⏸️ deferred",
	fleet.HostExcluded:  "➖ excluded",
	fleet.HostCancelled: "➖ cancelled",
}

func rollout(b *strings.Builder, r *fleet.Rollout) {
	if r == nil {
		return
	}
	title := r.Headline
	if title == "" {
		title = "Rollout " + string(r.State)
	}
	fmt.Fprintf(b, "#### %s\n\n", text(title))
	fmt.Fprintf(b, "Commit %s, %s", code(short(r.Commit)), text(strings.ReplaceAll(string(r.State), "_", " ")))
	if r.Reason != "" {
		fmt.Fprintf(b, ": %s", text(r.Reason))
	}
	b.WriteString("\n\n")
	if r.Revert.Found != "" {
		fmt.Fprintf(b, "%s\n\n", text(r.Revert.Found))
	}
	if len(r.Hosts) == 0 {
		return
	}
	b.WriteString("| Host | Wave | State | Since |\n|---|---|---|---|\n")
	for _, h := range r.Hosts[:min(len(r.Hosts), maxHosts)] {
		word := hostWords[h.State]
		if word == "" {
			word = text(string(h.State))
		}
		if f := h.Failure; f != nil {
			word += ": " + text(f.Step+": "+f.Message)
		}
		fmt.Fprintf(b, "| %s | %s | %s | %s |\n", code(h.Host), waveName(r.Plan, h.Wave), word, clock(h.Since))
	}
	b.WriteByte('\n')
	if more := len(r.Hosts) - maxHosts; more > 0 {
		fmt.Fprintf(b, "… and %d more hosts.\n\n", more)
	}
	tails(b, r.Hosts)
}

func waveName(p fleet.Plan, i int) string {
	if i < 0 || i >= len(p.Waves) {
		return "–"
	}
	return text(p.Waves[i].Name)
}

// tails shows the end of the log of the first hosts that failed.
func tails(b *strings.Builder, hosts []fleet.HostProgress) {
	failed := slices.DeleteFunc(slices.Clone(hosts), func(h fleet.HostProgress) bool {
		return h.Failure == nil || strings.TrimSpace(h.Failure.LogTail) == ""
	})
	for _, h := range failed[:min(len(failed), maxTails)] {
		fmt.Fprintf(b, "<details><summary>Log of %s (%s, exit code %d)</summary>\n\n%s\n</details>\n\n",
			code(h.Host), text(h.Failure.Step), h.Failure.ExitCode, fence(h.Failure.LogTail))
	}
}

func footer(b *strings.Builder, v CommentView) {
	b.WriteString("<sub>")
	if v.Update.HeadSHA != "" {
		fmt.Fprintf(b, "Head %s", code(short(v.Update.HeadSHA)))
	}
	if link := safeURL(v.DashboardURL); link != "" {
		fmt.Fprintf(b, ` · <a href="%s">Open in NixFleet</a>`, link)
	}
	b.WriteString("</sub>\n")
}
