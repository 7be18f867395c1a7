package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/nixfleet/nixfleet/api"
)

type rolloutWatchCmd struct{ rolloutFlags }

// Run shows the rollout until it has ended: as bars that move on a terminal, as lines
// for what changed elsewhere. While it rolls back, the end of that is waited for. One
// that halted waits for people, and so has ended, too.
func (c *rolloutWatchCmd) Run(e *env) error {
	client, id := c.client(), c.ID
	var r api.Rollout
	known := false
	w := rolloutView{serverFlags: c.serverFlags, screen: newScreen(e), said: map[string]string{}}
	err := c.watch(e, []string{"rollout", "order"}, func() (bool, error) {
		next, err := client.Rollout(e.ctx, id)
		if err != nil {
			if !known {
				return true, err // there was none to follow, ever
			}
			return false, err
		}
		r, id, known = next, next.ID, true // "latest" stays the one that it was
		return r.Ended || r.State == "halted", w.tell(e, r)
	}, func() error { return w.tell(e, r) })
	if err != nil {
		return err
	}
	if r.State != "succeeded" {
		return fmt.Errorf("rollout %s is %s", r.ID, words(r.State))
	}
	return nil
}

// rolloutView shows one rollout as it goes on.
type rolloutView struct {
	serverFlags
	screen *screen
	said   map[string]string
}

func (v *rolloutView) tell(e *env, r api.Rollout) error {
	switch {
	case v.JSON:
		text, err := json.Marshal(r)
		if err != nil || v.said[""] == string(text) {
			return err
		}
		v.said[""] = string(text)
		_, err = fmt.Fprintf(e.out, "%s\n", text)
		return err
	case terminal(e.out):
		columns, lines := screenSize(e.out)
		return v.screen.show(e.drawRollout(r, columns, lines, time.Now()))
	}
	return v.lines(e, r)
}

// lines prints what was not said yet.
func (v *rolloutView) lines(e *env, r api.Rollout) error {
	line := func(about, text string) error {
		if v.said[about] == text {
			return nil
		}
		v.said[about] = text
		_, err := fmt.Fprintln(e.out, clean(text))
		return err
	}
	if err := line("", r.Headline); err != nil {
		return err
	}
	for _, h := range r.Hosts {
		if h.State == "waiting" {
			continue
		}
		text := "  " + h.Host + " " + h.State
		if says := hostSays(h); says != "" {
			text += ": " + says
		}
		if err := line("host "+h.Host, text); err != nil {
			return err
		}
	}
	return nil
}

const barWidth = 24

// drawRollout is a rollout as a picture of so many columns and lines: a bar for each
// wave, and the hosts that have something to say. Hosts that are under way or failed go
// before others where there is no room for all.
func (e *env) drawRollout(r api.Rollout, columns, lines int, now time.Time) string {
	var b strings.Builder
	line := func(tone, text string) { fmt.Fprintln(&b, e.paint(tone, cut(text, columns))) }
	line(bold, fmt.Sprintf("Rollout %s of %s (%s)", r.ID, short(r.Commit), clean(r.Repo)))
	line(toneOf(words(r.State)), e.icon(words(r.State))+words(r.State)+": "+clean(r.Headline))
	if !r.StartedAt.IsZero() {
		end, word := now, "for"
		if !r.EndedAt.IsZero() {
			end, word = r.EndedAt, "after"
		}
		line(grey, fmt.Sprintf("by %s, %s %s; %d of %d hosts done, %d failed, %d skipped", clean(r.Actor), word, span(end.Sub(r.StartedAt)), r.Done, r.Total, r.Failed, r.Skipped))
	}
	b.WriteByte('\n')
	name := 0
	for _, w := range r.Waves {
		name = max(name, min(cells(clean(w.Name)), 20))
	}
	for i, w := range r.Waves {
		done, failed, total := waveCount(r, i+1)
		if total == 0 {
			continue
		}
		bar := e.bar(done, failed, total)
		fmt.Fprintf(&b, "  %s %s %d/%d\n", pad(cut(clean(w.Name), 20), name), bar, done, total)
	}
	b.WriteByte('\n')
	room := lines - strings.Count(b.String(), "\n") - 2
	shown, rest := pick(r.Hosts, room)
	rows := 0
	for _, h := range r.Hosts {
		rows = max(rows, min(cells(h.Host), 30))
	}
	for _, h := range shown {
		text := fmt.Sprintf("  %s%s  %s", e.icon(h.State), pad(cut(clean(h.Host), 30), rows), pad(h.State, 10))
		if !h.Since.IsZero() && h.EndedAt.IsZero() && h.State != "waiting" {
			text += "  " + span(now.Sub(h.Since))
		}
		if says := hostSays(h); says != "" {
			text += "  " + clean(says)
		}
		line(toneOf(h.State), strings.TrimRight(text, " "))
	}
	if rest > 0 {
		line(grey, fmt.Sprintf("  and %d hosts more", rest))
	}
	return b.String()
}

// waveCount counts the hosts of a wave, counted from 1.
func waveCount(r api.Rollout, wave int) (done, failed, total int) {
	for _, h := range r.Hosts {
		if h.Wave != wave {
			continue
		}
		total++
		switch h.State {
		case "healthy":
			done++
		case "failed", "reverted":
			failed++
		}
	}
	return done, failed, total
}

// bar is how much of a wave is done, and how much failed.
func (e *env) bar(done, failed, total int) string {
	full := done * barWidth / total
	bad := (done+failed)*barWidth/total - full
	return e.paint(green, strings.Repeat("█", full)) + e.paint(red, strings.Repeat("▒", bad)) + e.paint(grey, strings.Repeat("░", barWidth-full-bad))
}

// pick is which hosts to show where there is room for so many, in their order.
func pick(hosts []api.RolloutHost, room int) (shown []api.RolloutHost, rest int) {
	if len(hosts) <= room {
		return hosts, 0
	}
	room = max(1, room-1) // one line says that there are more
	rank := func(h api.RolloutHost) int {
		switch tone := stateTones[h.State]; {
		case tone == red, tone == blue, h.State == "ordered":
			return 0
		case h.State == "waiting", tone == grey:
			return 2
		}
		return 1
	}
	left := room
	keep := map[string]bool{}
	for want := range 3 {
		for _, h := range hosts {
			if rank(h) == want && left > 0 {
				keep[h.Host], left = true, left-1
			}
		}
	}
	for _, h := range hosts {
		if keep[h.Host] {
			shown = append(shown, h)
		}
	}
	return shown, len(hosts) - len(shown)
}

func pad(text string, columns int) string {
	return text + strings.Repeat(" ", max(0, columns-cells(text)))
}
