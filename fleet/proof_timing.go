package fleet

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// HoldLabel on a pull request keeps an update from merging by itself.
const HoldLabel = "nixfleet/hold"

// mergeableAgain is how soon to ask again while GitHub finds out whether a pull
// request merges cleanly; it usually takes a second or two.
const mergeableAgain = 5 * time.Second

// mergeableAtLast is how seldom to ask where it never finds out.
const mergeableAtLast = 30 * time.Second

// utc writes a time for people: the same everywhere, to the minute.
func utc(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }

// duration writes d as people do, in up to two units: "20 s", "1 h 30 min". What
// is below a second is left out.
func duration(d time.Duration) string {
	d = d.Truncate(time.Second)
	if d <= 0 {
		return "0 s"
	}
	var parts []string
	for _, u := range []struct {
		of   time.Duration
		name string
	}{{24 * time.Hour, "d"}, {time.Hour, "h"}, {time.Minute, "min"}, {time.Second, "s"}} {
		if n := d / u.of; n > 0 && len(parts) < 2 {
			parts = append(parts, fmt.Sprintf("%d %s", n, u.name))
			d %= u.of
		}
	}
	return strings.Join(parts, " ")
}

// clock writes a time that lies near now: without the date where that is the same.
func clock(t, now time.Time) string {
	t, now = t.UTC(), now.UTC()
	if t.YearDay() == now.YearDay() && t.Year() == now.Year() {
		return "at " + t.Format("15:04 UTC")
	}
	return "on " + t.Format("2 Jan 2006 at 15:04 UTC")
}

// roundUp is t to the next full minute, so that no shown time comes too early.
func roundUp(t time.Time) time.Time {
	if r := t.Truncate(time.Minute); !r.Equal(t) {
		return r.Add(time.Minute)
	}
	return t
}

// settings names what the policy asks for and can't be done. Nothing of that stands in
// the way of a merge, but it is never passed over in silence.
func (p *proof) settings() {
	c := begin("settings", "Every setting of the policy can be honoured", p.s.Policy)
	c.Soft = true
	c.Found = "Yes."
	var missing []string
	for _, rule := range p.policy.Notify {
		if !slices.Contains(p.s.Recorded.Receivers, rule.To) && !slices.Contains(missing, rule.To) {
			missing = append(missing, rule.To)
		}
	}
	if len(missing) > 0 {
		c.Found = fmt.Sprintf("No danger, but notify names %s that there is not: %s.", map[bool]string{true: "a receiver", false: "receivers"}[len(missing) == 1], strings.Join(missing, ", "))
		c.Remedy = "Add it under Settings, Notifications, or with `nixfleet receivers add`; nobody is told until then."
	}
	p.add(c)
}

// hold is condition 12.
func (p *proof) hold() (until time.Time) {
	a := p.policy.Updates.AutoMerge
	c := Condition{ID: "hold", Title: "Hold before the merge", Source: "when NixFleet first saw this head commit", At: p.now, Soft: true, Outcome: Passed}
	defer func() { p.add(c) }()
	if !a.Enabled {
		c.Outcome, c.Found = Off, "It does not apply: policy merges nothing by itself."
		return time.Time{}
	}
	if a.Hold <= 0 {
		c.Source, c.Found = "policy", "Policy asks for none."
		return time.Time{}
	}
	from := p.s.Recorded.HeadSeen
	if a.HoldFrom == "checks" {
		c.Source = "when the required checks were first seen passed"
		from = p.s.Recorded.ChecksPassed
		if !p.find("checks").settled() {
			c.Outcome, c.Found = Waiting, fmt.Sprintf("It begins once the required checks passed, and lasts %s.", duration(a.Hold))
			return time.Time{}
		}
		if from.IsZero() {
			from = p.now // they are seen passed for the first time right now
		}
	}
	if from.IsZero() {
		c.Outcome, c.Found = Unread, "It is not recorded when this head commit was first seen."
		return time.Time{}
	}
	until = from.Add(a.Hold)
	if until.After(p.now) {
		c.Outcome = Waiting
		c.Found = fmt.Sprintf("%s since %s, until %s.", duration(a.Hold), utc(from), utc(roundUp(until)))
		c.Remedy = "Merge & Deploy does not wait for it."
		p.wake(until)
		return until
	}
	c.Found = fmt.Sprintf("%s since %s.", duration(a.Hold), utc(from))
	return time.Time{}
}

// wanted says whether anything asks for the merge: the policy, or a person.
func (p *proof) wanted() {
	c := begin("auto_merge", "A person or the policy wants the merge", p.s.Policy)
	c.Soft = true
	switch {
	case p.request() != nil:
		c.Found = fmt.Sprintf("%s asked for it %s.", plain(p.request().By.Login, 100), clock(p.request().At, p.now))
	case p.policy.Updates.AutoMerge.Enabled:
		c.Found = "Policy merges by itself."
	default:
		c.Outcome, c.Found, c.Remedy = Waiting, "Policy says auto_merge: {enabled: false}.", "Merge & Deploy merges it."
	}
	p.add(c)
}

// calm is condition 13: no freeze, no hold label, no rollout under way.
func (p *proof) calm() {
	if len(p.policy.Updates.Freeze) > 0 {
		p.freeze()
	}
	c := begin("label", "Not held by a label", p.s.Pull)
	c.Soft = true
	if HeldByLabel(p.pull) {
		c.Outcome, c.Found, c.Remedy = Waiting, "It has the label "+HoldLabel+".", "Take the label off, or Merge & Deploy."
	} else {
		c.Found = "The label " + HoldLabel + " is not set."
	}
	p.add(c)
	r := Condition{ID: "rollout", Title: "No rollout of this repository is running", Outcome: Passed, Source: "rollouts", At: p.now, Soft: true, Found: "None."}
	switch running := p.s.Recorded.RunningRollout != ""; {
	case running && p.policy.Updates.AutoMerge.Overlap:
		r.Found = fmt.Sprintf("That of %s has not ended, and policy says auto_merge: {overlap: true}.", shortSHA(p.s.Recorded.RunningRollout))
	case running:
		r.Outcome, r.Found = Waiting, fmt.Sprintf("The rollout of %s has not ended.", shortSHA(p.s.Recorded.RunningRollout))
		r.Remedy = "It merges once that has ended; Merge & Deploy does not wait."
		// Every change of a rollout wakes its repository's updates.
	}
	p.add(r)
}

// HeldByLabel reports whether a pull request has the label that holds it.
func HeldByLabel(pull Pull) bool {
	return slices.ContainsFunc(pull.Labels, func(l string) bool { return strings.EqualFold(l, HoldLabel) })
}

func (p *proof) freeze() {
	c := begin("freeze", "Not inside a freeze window", p.s.Policy)
	c.Soft = true
	f, until, err := frozen(p.policy.Updates.Freeze, p.now)
	switch {
	case err != nil:
		c.Outcome, c.Found, c.Remedy = Unread, "A freeze window can't be understood: "+plain(err.Error(), 200)+".", "Correct updates.freeze in the policy file."
	case f != nil:
		c.Outcome = Waiting
		c.Found = fmt.Sprintf("Frozen from %s to %s (%s)%s, until %s.", f.From, f.To, orElse(f.TZ, "UTC"), because(f.Reason), utc(until))
		c.Remedy = "Merge & Deploy does not wait for it."
		p.wake(until)
	default:
		c.Found = "No window is open."
	}
	p.add(c)
}

// mergeable is condition 14.
func (p *proof) mergeable() {
	c := begin("mergeable", "It merges cleanly", p.s.Pull)
	switch m := p.pull.Mergeable; {
	case m == nil:
		c.Outcome, c.Found = Waiting, "GitHub is still finding out."
	case *m:
		c.Found = "GitHub says yes."
	default:
		c.refuse("GitHub says that it conflicts with "+plain(p.pull.BaseRef, 100)+".", "Make the update again on the newest commit, or resolve the conflict.")
	}
	p.add(c)
}

// refusal is GitHub's own word against a merge that was proven here: the update
// is not asked for again before the given time, or before a person or a new head
// gives a reason to.
func (p *proof) refusal() {
	r := p.s.Recorded.Refusal
	if r == nil || r.HeadSHA != p.pull.HeadSHA {
		return
	}
	c := Condition{ID: "refusal", Title: "GitHub does not refuse the merge", Source: "PUT merge", At: r.At}
	said := fmt.Sprintf("The merge was asked for and not done, %s: %s", clock(r.At, p.now), orElse(plain(r.Message, 500), "without a reason"))
	switch asked := p.request(); {
	case asked != nil && asked.At.After(r.At):
		c.Outcome, c.Found = Passed, said+" A person has asked again since."
	case r.Until.IsZero():
		c.refuse(said, "Settle what GitHub names, then press Merge & Deploy.")
	case r.Until.After(p.now):
		c.Outcome, c.Found, c.Remedy = Waiting, said, "NixFleet asks again "+clock(roundUp(r.Until), p.now)+"."
		p.wake(r.Until)
	default:
		c.Outcome, c.Found = Passed, said+" It is time to ask again."
	}
	p.add(c)
}
