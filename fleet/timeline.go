package fleet

import (
	"cmp"
	"fmt"
	"time"
)

// WaveState is how far one wave of a rollout is.
type WaveState string

// The states of a wave.
const (
	WaveAhead    WaveState = "ahead"     // none of its hosts has had its turn
	WaveUnderWay WaveState = "under_way" // some have, and others are waited for
	WaveStopped  WaveState = "stopped"   // some have, and the others don't begin as the rollout stands
	WaveSoaking  WaveState = "soaking"   // its hosts have ended, and are watched before the next wave
	WaveDone     WaveState = "done"
	WaveNever    WaveState = "never" // the rollout ended or turned back before its turn
)

// WaveStand is one wave as it stands.
type WaveStand struct {
	State WaveState
	Why   string    // what its hosts that have not begun wait for, as a sentence; empty where none waits
	Until time.Time // when that ends by itself, where it does; of a wave that soaks, when it has soaked
}

// Timeline tells of each wave of a rollout that has begun how it stands, and why hosts
// of it have not begun.
func Timeline(r Rollout, now time.Time) []WaveStand {
	a := &advancing{f: RolloutFacts{Rollout: r}, now: now, move: Move{State: r.State, Hosts: r.Hosts}}
	stands := make([]WaveStand, len(r.Plan.Waves))
	for w := range stands {
		stands[w] = a.stand(w)
	}
	for w := range stands {
		if s := &stands[w]; s.State == WaveAhead {
			s.Why, s.Until = a.keeps(w, stands)
		}
	}
	return stands
}

// stand is how far one wave is, without what it waits for if it is ahead.
func (a *advancing) stand(w int) WaveStand {
	var members, waiting, working, had int
	for _, p := range a.move.Hosts {
		if p.Wave != w {
			continue
		}
		members++
		if p.State == HostWaiting {
			waiting++
		}
		if p.State.UnderWay() {
			working++
		}
		if turned(p) {
			had++
		}
	}
	done, ended, proven := a.waveDone(w)
	soaked := ended.Add(a.f.Rollout.Plan.Waves[w].Soak)
	switch {
	case !done && had > 0:
		s := WaveStand{State: WaveUnderWay}
		if waiting > 0 {
			s.Why, s.Until = a.holds()
		}
		if s.Why != "" && working == 0 {
			s.State = WaveStopped
		}
		if waiting > 0 && s.Why == "" {
			s.Why = fmt.Sprintf("%s for a place: at most %s at a time.", waitsForPlace(waiting), count(max(1, a.f.Rollout.Plan.MaxParallel), "host"))
		}
		return s
	case !done:
		return WaveStand{State: WaveAhead}
	case members > 0 && had == 0 && a.stopped():
		return WaveStand{State: WaveNever, Why: "The rollout ended before its turn."}
	case proven && a.move.State == RolloutRunning && w >= a.currentWave() && soaked.After(a.now) && a.waitingAfter(w):
		return WaveStand{State: WaveSoaking, Until: soaked}
	}
	return WaveStand{State: WaveDone}
}

func waitsForPlace(n int) string {
	if n == 1 {
		return "1 host waits"
	}
	return fmt.Sprintf("%d hosts wait", n)
}

// keeps says what keeps a wave from beginning.
func (a *advancing) keeps(w int, stands []WaveStand) (why string, until time.Time) {
	if why, until := a.holds(); why != "" && until.IsZero() {
		return why, until // a person, or what became of the rollout
	}
	for before := w - 1; before >= 0; before-- {
		name := cmp.Or(a.f.Rollout.Plan.Waves[before].Name, fmt.Sprintf("wave %d", before+1))
		switch s := stands[before]; s.State {
		case WaveAhead, WaveUnderWay, WaveStopped:
			return fmt.Sprintf("After %s.", name), time.Time{}
		case WaveSoaking:
			return fmt.Sprintf("The hosts of %s are watched first.", name), s.Until
		case WaveDone, WaveNever:
		}
	}
	if why, until := a.holds(); why != "" {
		return why, until
	}
	return "Its turn comes now.", time.Time{}
}

// holds says why no further host of the whole rollout begins; empty where one may.
func (a *advancing) holds() (why string, until time.Time) {
	switch a.move.State {
	case RolloutPaused:
		return "The rollout is paused.", time.Time{}
	case RolloutHalted:
		return "The rollout is halted; no further host begins.", time.Time{}
	case RolloutRollingBack, RolloutRolledBack:
		return "The rollout goes back; no further host begins.", time.Time{}
	case RolloutFailed, RolloutAborted, RolloutSuperseded:
		return "The rollout ended before its turn.", time.Time{}
	case RolloutPlanned, RolloutRunning, RolloutSucceeded:
	}
	if f, until, err := frozen(a.f.Rollout.Plan.Freeze, a.now); err == nil && f != nil {
		return fmt.Sprintf("A freeze holds (%s).", orElse(plain(f.Reason, 100), "no reason given")), until
	}
	if open, next, err := opens(a.f.Rollout.Plan.Windows, a.now); err == nil && !open {
		return "It may deploy only inside its windows, and none is open.", next
	}
	return "", time.Time{}
}

// MayDeploy reports whether orders may be given at a time by these freezes and windows,
// why not, and when that ends.
func MayDeploy(p Plan, now time.Time) (why string, until time.Time) {
	a := &advancing{f: RolloutFacts{Rollout: Rollout{Plan: p}}, now: now, move: Move{State: RolloutRunning}}
	return a.holds()
}
