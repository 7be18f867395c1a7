package agent

import "time"

// patience draws the conclusion from one look after the other at a host that has
// switched. It keeps the switch once all has stayed well for the settle time; a
// look that is not good begins that time anew. It gives up when no such time has
// begun until the verify time was up. It is pure: it is told the time.
type patience struct {
	settle time.Duration
	until  time.Time // a settle time that is to count has begun by then
	alone  bool      // a good switch is kept while only the server is down

	well   time.Time // the first good look of those in a row; zero: the last was not good
	steady time.Time // the same, counting what only the server is to blame for as good
}

// see takes the finding of a look that lasted from began to ended, nil for a good
// one. It returns the verdict, or for how long to wait before the next look.
func (p *patience) see(bad *finding, began, ended time.Time) (*verdict, time.Duration) {
	p.count(bad, ended)
	switch {
	case bad == nil && p.settled(p.well, began):
		return &verdict{Keep: true}, 0
	case bad != nil && bad.lasting:
		return p.giveUp(bad), 0
	case p.alone && !ended.Before(p.until) && p.settled(p.steady, began):
		return &verdict{Keep: true, Note: "the server did not answer after the switch; the network is fine, and all else is well"}, 0
	case !ended.Before(p.until) && p.hope().IsZero():
		return p.giveUp(bad), 0
	}
	return nil, p.rest(ended)
}

func (p *patience) count(bad *finding, at time.Time) {
	down := bad != nil && bad.code == findServerDown
	begin := func(since *time.Time, good bool) {
		switch {
		case !good:
			*since = time.Time{}
		case since.IsZero():
			*since = at
		}
	}
	begin(&p.well, bad == nil)
	begin(&p.steady, bad == nil || down)
}

func (p *patience) settled(since, at time.Time) bool {
	return !since.IsZero() && (p.settle == 0 || at.Sub(since) >= p.settle)
}

// hope is the begin of the settle time that may still end well.
func (p *patience) hope() time.Time {
	if p.alone {
		return p.steady
	}
	return p.well
}

func (p *patience) giveUp(bad *finding) *verdict {
	return &verdict{Code: bad.code, Reason: clip(bad.err.Error(), 1000)}
}

// rest is how long to wait for the next look: not past the end of a settle time.
func (p *patience) rest(now time.Time) time.Duration {
	rest := checkPause
	for _, since := range []time.Time{p.well, p.steady} {
		if left := since.Add(p.settle).Sub(now); !since.IsZero() && left > 0 {
			rest = min(rest, left)
		}
	}
	return rest
}
