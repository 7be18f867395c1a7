package fleet

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Lifetimes of orders.
const (
	// orderSlack is what an order may take beyond the timeouts of its steps:
	// travel, queueing on the host, a reconnect.
	orderSlack = 10 * time.Minute

	// rebootTime is what it may take until a machine is back from a restart within its
	// order: some test all their memory first.
	rebootTime = 20 * time.Minute

	// catchUpWithin is how long an order waits in the bucket for a host that is
	// away. A laptop back from a holiday still catches up; one that was forgotten
	// does not wake up years later and switch.
	catchUpWithin = 30 * 24 * time.Hour
)

// OrderLifetime is how long a reachable host may work on its order before the
// rollout counts it as failed: all its steps, and some slack.
func (p Plan) OrderLifetime() time.Duration {
	d := DefaultPolicy().Deploy.Timeouts
	life := cmp.Or(p.Timeouts.Fetch, d.Fetch) + cmp.Or(p.Timeouts.Build, d.Build) +
		cmp.Or(p.Timeouts.Switch, d.Switch) + cmp.Or(p.Timeouts.Verify, d.Verify) + p.Settle + orderSlack
	if p.Reboot == "when_needed" {
		life += rebootTime
	}
	return life
}

// OrderExpires is until when an order that is issued now may be begun. It is
// longer than [Plan.OrderLifetime] where hosts may catch up: the host may vanish
// before it has seen the order, and shall still find it valid.
func (p Plan) OrderExpires(issued time.Time) time.Time {
	if p.Offline == "skip" {
		return issued.Add(p.OrderLifetime())
	}
	return issued.Add(catchUpWithin)
}

// MakePlan freezes a policy into waves of hosts, by name. Hosts that take part
// are picked by the policy's selector, enrolled, not revoked, and in mode fleet:
// manual ones are left to people, automatic ones follow by themselves.
//
// Each host goes into the first wave that names it. A wave given as a count or a
// percentage takes that many of the hosts that are still free; percentages are of
// all hosts of the rollout, rounded up. Hosts that no wave names follow in a last
// wave "remaining", so that none is lost. Waves that end up empty are kept, so
// that people find the ones they wrote. A rollout of no hosts is no error.
func MakePlan(p DeployPolicy, hosts []Host) (Plan, []HostProgress, error) {
	plan := Plan{
		MaxParallel: max(1, p.MaxParallel),
		OnFailure:   cmp.Or(p.OnFailure, "halt"),
		Offline:     cmp.Or(p.Offline, "catch_up"),
		Timeouts:    p.Timeouts,
		Health:      slices.Clone(p.Health),
		Windows:     slices.Clone(p.Windows),

		Reboot:        cmp.Or(p.Reboot, "never"),
		Freeze:        slices.Clone(p.Freeze),
		RebootWindows: slices.Clone(p.RebootWindows),
		Unreachable:   cmp.Or(p.Unreachable, "keep"),
		Anchors:       slices.Clone(p.Anchors),
		Settle:        p.Settle,
	}
	for key, windows := range map[string][]Freeze{
		"deploy.windows": p.Windows, "deploy.reboot_windows": p.RebootWindows, "updates.freeze": p.Freeze,
	} {
		for i, w := range windows {
			if err := w.Validate(); err != nil {
				return Plan{}, nil, fmt.Errorf("plan rollout: %s[%d].%w", key, i, err)
			}
		}
	}
	free, err := participants(cmp.Or(p.Hosts, "all"), hosts)
	if err != nil {
		return Plan{}, nil, fmt.Errorf("plan rollout: deploy.hosts: %w", err)
	}
	total := len(free)
	plan.MaxFailures = max(1, p.MaxFailures.of(total, false))
	var progress []HostProgress
	add := func(w WavePolicy, members []Host) {
		wave := Wave{Name: w.Name, Soak: w.Soak, Hosts: []string{}}
		for _, h := range members {
			wave.Hosts = append(wave.Hosts, h.Name)
			progress = append(progress, HostProgress{Host: h.Name, Wave: len(plan.Waves), State: HostWaiting})
		}
		plan.Waves = append(plan.Waves, wave)
	}
	for i, w := range p.Waves {
		size, err := ParseWaveSize(w.Hosts)
		if err != nil {
			return Plan{}, nil, fmt.Errorf("plan rollout: deploy.waves[%d].hosts: %w", i, err)
		}
		var members []Host
		members, free = size.take(free, total)
		add(w, members)
	}
	if len(free) > 0 {
		add(WavePolicy{Name: "remaining"}, free)
	}
	return plan, progress, nil
}

// participants are the hosts that selector picks and that may be ordered, by name.
func participants(selector string, hosts []Host) ([]Host, error) {
	s, err := ParseSelector(selector)
	if err != nil {
		return nil, err
	}
	var all []Host
	for _, h := range hosts {
		inFleet := h.Mode == "" || h.Mode == "fleet"
		if inFleet && !h.EnrolledAt.IsZero() && h.RevokedAt.IsZero() && s.Match(h) {
			all = append(all, h)
		}
	}
	slices.SortFunc(all, func(a, b Host) int { return strings.Compare(a.Name, b.Name) })
	return slices.CompactFunc(all, func(a, b Host) bool { return a.Name == b.Name }), nil
}

// of is the amount as a number of hosts out of total. Percentages are rounded
// down, or up where that is asked for.
func (a Amount) of(total int, up bool) int {
	if !a.Percent {
		return a.N
	}
	if up {
		return (a.N*total + 99) / 100
	}
	return a.N * total / 100
}

// WaveSize says who belongs to a wave: a selector, or an amount.
type WaveSize struct {
	selector *Selector
	amount   Amount
}

var digits = regexp.MustCompile(`^[0-9]+%?$`)

// maxCount bounds counts of hosts, far above any fleet.
const maxCount = 1_000_000

// ParseAmount reads a count ("2") or a percentage ("50%").
func ParseAmount(text string) (Amount, error) {
	number, percent := strings.CutSuffix(text, "%")
	n, err := strconv.Atoi(number)
	if err != nil || !digits.MatchString(text) || n > maxCount || (percent && n > 100) {
		return Amount{}, fmt.Errorf(`found %q, expected a count like "2" or a percentage like "50%%"`, text)
	}
	return Amount{N: n, Percent: percent}, nil
}

// ParseWaveSize reads a count, a percentage or a selector.
func ParseWaveSize(text string) (WaveSize, error) {
	if digits.MatchString(text) {
		a, err := ParseAmount(text)
		if err == nil && a.N == 0 {
			err = fmt.Errorf("found %q, expected at least 1: a wave of no hosts has no use", text)
		}
		return WaveSize{amount: a}, err
	}
	s, err := ParseSelector(text)
	return WaveSize{selector: &s}, err
}

// take splits free into the members of the wave and the rest.
func (w WaveSize) take(free []Host, total int) (members, rest []Host) {
	if w.selector == nil {
		n := min(w.amount.of(total, true), len(free))
		return free[:n], free[n:]
	}
	for _, h := range free {
		if w.selector.Match(h) {
			members = append(members, h)
		} else {
			rest = append(rest, h)
		}
	}
	return members, rest
}
