package fleet

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// timeline is a rollout of three waves, two hosts each, told by a letter for each host:
// h healthy, f failed, s switching, w waiting, o offline, x excluded, c cancelled.
func timeline(state RolloutState, hosts string) Rollout {
	of := map[rune]HostState{
		'h': HostHealthy, 'f': HostFailed, 's': HostSwitching, 'w': HostWaiting, 'o': HostOffline, 'x': HostExcluded, 'c': HostCancelled,
	}
	r := Rollout{State: state, Plan: Plan{MaxParallel: 2, MaxFailures: 9, Waves: []Wave{{Name: "canary", Soak: 10 * time.Minute}, {Name: "half"}, {Name: "rest"}}}}
	for i, c := range hosts {
		p := HostProgress{Host: fmt.Sprintf("web%d", i), Wave: i / 2, State: of[c], Since: noon}
		if p.State.Terminal() {
			p.EndedAt = noon
		}
		r.Plan.Waves[p.Wave].Hosts = append(r.Plan.Waves[p.Wave].Hosts, p.Host)
		r.Hosts = append(r.Hosts, p)
	}
	return r
}

func TestTheTimelineTellsWhyAWaveHasNotBegun(t *testing.T) {
	t.Parallel()
	closed := Freeze{From: "Mon 02:00", To: "Mon 05:00"}
	always := Freeze{From: "Sun 00:00", To: "Sat 23:59", Reason: "holidays"}
	for what, tt := range map[string]struct {
		state  RolloutState
		hosts  string
		after  time.Duration
		change func(*Plan)
		want   string // of each wave: state, and why it waits
	}{
		"begins":        {RolloutRunning, "swwwww", 0, nil, "under_way: 1 host waits for a place: at most 2 hosts at a time. | ahead: After canary. | ahead: After half."},
		"is watched":    {RolloutRunning, "hhwwww", time.Minute, nil, "soaking: until 9m0s | ahead: The hosts of canary are watched first. until 9m0s | ahead: After half."},
		"has soaked":    {RolloutRunning, "hhwwww", 11 * time.Minute, nil, "done: | ahead: Its turn comes now. | ahead: After half."},
		"none proved":   {RolloutRunning, "oowwww", 0, nil, "done: | ahead: Its turn comes now. | ahead: After half."},
		"goes on":       {RolloutRunning, "hhshww", time.Minute, nil, "done: | under_way: | ahead: After half."},
		"is paused":     {RolloutPaused, "hhswww", 0, nil, "done: | under_way: The rollout is paused. | ahead: The rollout is paused."},
		"stands still":  {RolloutPaused, "hhhwww", 0, nil, "done: | stopped: The rollout is paused. | ahead: The rollout is paused."},
		"is halted":     {RolloutHalted, "hfwwww", 0, nil, "done: | ahead: The rollout is halted; no further host begins. | ahead: The rollout is halted; no further host begins."},
		"turns back":    {RolloutRollingBack, "hhcccc", 0, nil, "done: | never: The rollout ended before its turn. | never: The rollout ended before its turn."},
		"was aborted":   {RolloutAborted, "hhccww", 0, nil, "done: | never: The rollout ended before its turn. | ahead: The rollout ended before its turn."},
		"was left out":  {RolloutSucceeded, "hhxxhh", 0, nil, "done: | done: | done:"},
		"window closed": {RolloutRunning, "hhwwww", time.Hour, func(p *Plan) { p.Windows = []Freeze{closed} }, "done: | ahead: It may deploy only inside its windows, and none is open. until later | ahead: After half."},
		"a freeze":      {RolloutRunning, "hhhwww", time.Hour, func(p *Plan) { p.Freeze = []Freeze{always} }, "done: | stopped: A freeze holds (holidays). until later | ahead: After half."},
	} {
		r, now := timeline(tt.state, tt.hosts), noon.Add(tt.after)
		if tt.change != nil {
			tt.change(&r.Plan)
		}
		var got []string
		for _, s := range Timeline(r, now) {
			text := fmt.Sprintf("%s: %s", s.State, s.Why)
			switch left := s.Until.Sub(now); {
			case s.Until.IsZero():
			case left > 10*time.Minute:
				text = strings.TrimSpace(text) + " until later"
			default:
				text = strings.TrimSpace(text) + " until " + left.String()
			}
			got = append(got, strings.TrimSpace(text))
		}
		if got := strings.Join(got, " | "); got != tt.want {
			t.Errorf("%s:\n got %s\nwant %s", what, got, tt.want)
		}
	}
	if got := Timeline(Rollout{State: RolloutPlanned}, noon); len(got) != 0 {
		t.Errorf("before its plan: %+v", got)
	}
}

// What the timeline says of a wave is what Advance does: one whose turn comes gets its
// orders now, and no other does.
func TestTheTimelineAgreesWithWhatIsDone(t *testing.T) {
	t.Parallel()
	for _, hosts := range []string{"wwwwww", "hhwwww", "hswwww", "hhhwww", "hhhhww", "oowwww", "ffwwww", "xxwwww", "hhhsww"} {
		for _, state := range []RolloutState{RolloutRunning, RolloutPaused, RolloutHalted} {
			for _, after := range []time.Duration{time.Minute, time.Hour} {
				r, now := timeline(state, hosts), noon.Add(after)
				up := map[string]Host{}
				for _, p := range r.Hosts {
					up[p.Host] = Host{Name: p.Host, LastSeen: now, EnrolledAt: noon}
					if p.State == HostOffline {
						up[p.Host] = Host{Name: p.Host, LastSeen: noon.Add(-time.Hour), EnrolledAt: noon}
					}
				}
				ordered := map[int]bool{}
				m := Advance(RolloutFacts{Rollout: r, Hosts: up}, now)
				for i, p := range m.Hosts {
					ordered[p.Wave] = ordered[p.Wave] || r.Hosts[i].State == HostWaiting && p.State == HostOrdered
				}
				for w, s := range Timeline(r, now) {
					if comes := s.State == WaveAhead && s.Why == "Its turn comes now."; comes != (s.State == WaveAhead && ordered[w]) {
						t.Errorf("%s %s after %s, wave %d: %+v, ordered: %v", state, hosts, after, w, s, ordered[w])
					}
				}
			}
		}
	}
}
