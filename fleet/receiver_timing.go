package fleet

import (
	"time"
)

// timeOfDay reads a clock such as 22:00.
func timeOfDay(text string) (weekPoint, bool) {
	at, err := time.Parse("15:04", text)
	return weekPoint{hour: at.Hour(), minute: at.Minute()}, err == nil && len(text) == len("15:04")
}

const wantsClock = `it must be a time of day like "22:00"`

func (r ReceiverRule) timingFaults() (faults []ReceiverFault) {
	add := func(field, text string) { faults = append(faults, ReceiverFault{field, text}) }
	if _, err := zone(r.TZ); err != nil {
		add("tz", err.Error())
	}
	if r.QuietFrom != "" || r.QuietTo != "" {
		if _, ok := timeOfDay(r.QuietFrom); !ok {
			add("quiet_from", wantsClock)
		}
		if _, ok := timeOfDay(r.QuietTo); !ok {
			add("quiet_to", wantsClock)
		} else if r.QuietFrom == r.QuietTo {
			add("quiet_to", "it is the same as the beginning, so there would be no quiet hours, or no others")
		}
	}
	if _, ok := timeOfDay(r.DigestAt); r.DigestAt != "" && !ok {
		add("digest_at", `it must be a time of day like "08:00"`)
	}
	switch {
	case r.Every != 0 && r.DigestAt != "":
		add("digest_every", "a digest comes at a time of day or every so many hours, not both")
	case r.Every < 0 || r.Every > 12:
		add("digest_every", "it must be 1 to 12 hours; for one digest a day name its time of day")
	}
	return faults
}

// When tells when a notice that comes at a moment is sent, and whether it is collected
// with others into one message. It never comes earlier, and nothing that is urgent
// waits. A rule that can't be understood lets everything through: too much is better
// than nothing.
func (r ReceiverRule) When(s Severity, at time.Time) (due time.Time, collected bool) {
	urgent := r.Urgent
	if urgent == "" {
		urgent = SeverityError
	}
	loc, err := zone(r.TZ)
	if err != nil || (s.AtLeast(urgent) && !r.Patient) {
		return at, false
	}
	due = r.nextDigest(loc, at)
	due = r.quietUntil(loc, due)
	return due, due.After(at) || r.digests()
}

func (r ReceiverRule) digests() bool { return r.DigestAt != "" || r.Every > 0 }

// nextDigest is the first digest that is not before t; t itself where there are none.
func (r ReceiverRule) nextDigest(loc *time.Location, t time.Time) time.Time {
	var slots []weekPoint
	if p, ok := timeOfDay(r.DigestAt); ok {
		slots = []weekPoint{p}
	} else {
		for hour := 0; r.Every > 0 && hour < 24; hour += r.Every {
			slots = append(slots, weekPoint{hour: hour})
		}
	}
	for day := 0; day <= 2 && len(slots) > 0; day++ {
		for _, p := range slots {
			if at := (window{zone: loc}).onDate(dateOf(t, loc, day), p, false); !at.Before(t) {
				return at
			}
		}
	}
	return t
}

// quietUntil is the end of the quiet hours that t lies in; t itself where it lies in
// none. A day's quiet hours may begin on the day before.
func (r ReceiverRule) quietUntil(loc *time.Location, t time.Time) time.Time {
	from, ok1 := timeOfDay(r.QuietFrom)
	to, ok2 := timeOfDay(r.QuietTo)
	if !ok1 || !ok2 || from == to {
		return t
	}
	w := window{zone: loc}
	for day := -1; day <= 0; day++ {
		ends := day
		if to.before(from) {
			ends++
		}
		start, end := w.onDate(dateOf(t, loc, day), from, false), w.onDate(dateOf(t, loc, ends), to, true)
		if !t.Before(start) && t.Before(end) {
			return end
		}
	}
	return t
}

// dateOf is the calendar day of t in a zone, so many days on.
func dateOf(t time.Time, loc *time.Location, days int) time.Time {
	y, m, d := t.In(loc).Date()
	return time.Date(y, m, d+days, 0, 0, 0, 0, time.UTC)
}

// What goes into one message: more than aloneMost notices at once are one message, so
// that a bad night is no flood, and a message lists togetherMost at most.
const (
	aloneMost    = 4
	togetherMost = 50
)

// NextMessage picks those of the notices that are due for a receiver which the next
// message is about, by their place; collected tells of each whether it is collected.
// What must not wait comes first.
func NextMessage(collected []bool) []int {
	var alone, together []int
	for i, c := range collected {
		if c {
			together = append(together, i)
		} else {
			alone = append(alone, i)
		}
	}
	switch {
	case len(alone) > aloneMost:
		return alone[:min(len(alone), togetherMost)]
	case len(alone) > 0:
		return alone[:1]
	}
	return together[:min(len(together), togetherMost)]
}
