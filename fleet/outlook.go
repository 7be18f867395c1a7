package fleet

import (
	"fmt"
	"strings"
	"time"
)

// What nobody knows beforehand, and an outlook assumes.
const (
	assumedChecks = 10 * time.Minute // until the required checks have passed
	assumedHost   = 5 * time.Minute  // until one host runs a commit and all is well
)

// Outlook is what a policy would do with an update that came now.
type Outlook struct {
	MergeAt time.Time // zero: nothing merges by itself
	StartAt time.Time // of the rollout; zero: nothing is rolled out by itself
	DoneAt  time.Time // when about all hosts would run it
	Hosts   int       // that the rollout reaches
	Waves   []WaveCount
	Says    string   // all of it in one sentence
	Assumes []string // what has to be so for that
}

// WaveCount is how many hosts are in a wave.
type WaveCount struct {
	Name  string
	Hosts int
}

// Foresee tells what a policy would do with an update that came now, if all goes well.
// An error means that the policy makes no plan.
func Foresee(p Policy, hosts []Host, now time.Time) (Outlook, error) {
	var o Outlook
	plan, progress, err := MakePlan(p.Unasked(), hosts)
	if err != nil {
		return o, err
	}
	o.Hosts = len(progress)
	for _, w := range plan.Waves {
		o.Waves = append(o.Waves, WaveCount{w.Name, len(w.Hosts)})
	}
	if p.Updates.AutoMerge.Enabled {
		if err := o.merge(p.Updates, now); err != nil {
			return o, err
		}
		if p.Deploy.Auto && o.Hosts > 0 {
			if err := o.deploy(plan); err != nil {
				return o, err
			}
		}
	}
	o.say(p, now)
	return o, nil
}

// merge finds when the update would merge.
func (o *Outlook) merge(u UpdatePolicy, now time.Time) error {
	passed := now.Add(assumedChecks)
	o.Assumes = append(o.Assumes, "its checks pass within "+duration(assumedChecks))
	at := later(passed, now.Add(u.AutoMerge.Hold))
	if u.AutoMerge.HoldFrom == "checks" {
		at = passed.Add(u.AutoMerge.Hold)
	}
	if u.AutoMerge.MinInputAge > 0 {
		at = later(at, now.Add(u.AutoMerge.MinInputAge))
		o.Assumes = append(o.Assumes, "its revisions are new to NixFleet")
	}
	if !u.AutoMerge.Overlap {
		o.Assumes = append(o.Assumes, "no other rollout is running then")
	}
	_, until, err := frozen(u.Freeze, at)
	o.MergeAt = later(at, until)
	return err
}

// deploy finds when the rollout would begin and end.
func (o *Outlook) deploy(plan Plan) error {
	at := o.MergeAt
	for _, w := range plan.Waves {
		for left := len(w.Hosts); left > 0; left -= plan.MaxParallel {
			var err error
			if at, err = deployable(plan, at); err != nil {
				return err
			}
			if o.StartAt.IsZero() {
				o.StartAt = at
			}
			at = at.Add(assumedHost)
			o.DoneAt = at
		}
		at = at.Add(w.Soak)
	}
	o.Assumes = append(o.Assumes, "every host is online, takes "+duration(assumedHost)+" and none fails")
	if plan.Reboot != "never" {
		o.Assumes = append(o.Assumes, "no host has to restart")
	}
	return nil
}

// deployable is when from at on the windows are open and no freeze holds.
func deployable(plan Plan, at time.Time) (time.Time, error) {
	for range 50 { // windows that never meet have no end
		_, until, err := frozen(plan.Freeze, at)
		if err != nil {
			return at, err
		}
		at = later(at, until)
		open, next, err := opens(plan.Windows, at)
		if err != nil {
			return at, err
		}
		if open {
			return at, nil
		}
		at = next
	}
	return at, nil
}

func (o *Outlook) say(p Policy, now time.Time) {
	what := "A pull request opened now"
	if p.Updates.Strategy == "host" {
		what = "A lock that a host made now"
	}
	var b strings.Builder
	switch {
	case o.MergeAt.IsZero():
		b.WriteString(what + " would wait until a person presses Merge & Deploy")
	default:
		b.WriteString(what + " would merge " + clock(roundUp(o.MergeAt), now))
	}
	switch {
	case o.Hosts == 0:
		b.WriteString(", and reach no host: none is picked.")
	case !p.Deploy.Auto:
		b.WriteString("; nothing is deployed before a person starts that.")
	case o.DoneAt.IsZero():
		fmt.Fprintf(&b, "; then it goes to all %s.", plural(o.Hosts, "host", "hosts"))
	default:
		fmt.Fprintf(&b, " and reach all %s by about %s.", plural(o.Hosts, "host", "hosts"), strings.TrimPrefix(strings.TrimPrefix(clock(roundUp(o.DoneAt), now), "at "), "on "))
	}
	o.Says = b.String()
}

// NextFreeze is when the next freeze begins, from a time on at which none holds.
func (p UpdatePolicy) NextFreeze(t time.Time) (next time.Time, ok bool) {
	if len(p.Freeze) == 0 {
		return time.Time{}, false
	}
	inside, next, err := opens(p.Freeze, t)
	return next, err == nil && !inside
}

// Picked are the hosts that a selector picks for rollouts, by name.
func Picked(selector string, hosts []Host) ([]string, error) {
	list, err := participants(selector, hosts)
	if err != nil {
		return nil, err
	}
	names := make([]string, len(list))
	for i, h := range list {
		names[i] = h.Name
	}
	return names, nil
}
