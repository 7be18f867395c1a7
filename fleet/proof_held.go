package fleet

import "fmt"

// held is the part of condition 13 that a person says with the Hold button. It is
// asked only where somebody did, and was not released since.
func (p *proof) held() {
	h := p.s.Recorded.Hold
	if h == nil {
		return
	}
	c := Condition{ID: "held", Title: "Not held by a person", Source: "the Hold button", At: p.now, Soft: true, Outcome: Passed}
	who := orElse(plain(h.By.Login, 100), "Somebody")
	switch {
	case !h.Active(p.now):
		c.Found = fmt.Sprintf("%s held it until %s.", who, utc(h.Until))
	case h.Until.IsZero():
		c.Outcome, c.Found = Waiting, fmt.Sprintf("%s holds it since %s.", who, utc(h.At))
	default:
		c.Outcome, c.Found = Waiting, fmt.Sprintf("%s holds it since %s, until %s.", who, utc(h.At), utc(roundUp(h.Until)))
		p.wake(h.Until)
	}
	if c.Outcome == Waiting {
		c.Remedy = "Press Release hold, or Merge & Deploy."
	}
	p.add(c)
}
