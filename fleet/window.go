package fleet

import (
	"cmp"
	"fmt"
	"strings"
	"time"
)

// weekPoint is a moment of the week: a weekday and a time of day.
type weekPoint struct {
	day          time.Weekday
	hour, minute int
}

func (p weekPoint) before(q weekPoint) bool {
	return cmp.Or(cmp.Compare(p.day, q.day), cmp.Compare(p.hour, q.hour), cmp.Compare(p.minute, q.minute)) < 0
}

var weekdays = map[string]time.Weekday{
	"sun": time.Sunday, "mon": time.Monday, "tue": time.Tuesday, "wed": time.Wednesday,
	"thu": time.Thursday, "fri": time.Friday, "sat": time.Saturday,
}

func parseWeekPoint(text string) (weekPoint, error) {
	day, clock, ok := strings.Cut(text, " ")
	weekday, known := weekdays[strings.ToLower(day)]
	at, err := time.Parse("15:04", clock)
	if !ok || !known || err != nil || len(clock) != len("15:04") {
		return weekPoint{}, fmt.Errorf(`found %q, expected a weekday and a time like "Fri 18:00"`, text)
	}
	return weekPoint{weekday, at.Hour(), at.Minute()}, nil
}

// window is a Freeze with its texts understood.
type window struct {
	from, to weekPoint
	zone     *time.Location
}

func (f Freeze) parse() (window, error) {
	var w window
	var err error
	if w.from, err = parseWeekPoint(f.From); err != nil {
		return w, fmt.Errorf("from: %w", err)
	}
	if w.to, err = parseWeekPoint(f.To); err != nil {
		return w, fmt.Errorf("to: %w", err)
	}
	if w.from == w.to {
		return w, fmt.Errorf("from and to are both %q, so the window is empty", f.From)
	}
	if w.zone, err = zone(f.TZ); err != nil {
		return w, fmt.Errorf("tz: %w", err)
	}
	return w, nil
}

// zone is a time zone of the IANA database, UTC where none is named. "Local" is
// refused: it would mean something else on every server.
func zone(name string) (*time.Location, error) {
	if name == "" {
		return time.UTC, nil
	}
	loc, err := time.LoadLocation(name)
	if err != nil || name == "Local" {
		return nil, fmt.Errorf(`found %q, expected a time zone like "Europe/Vienna" or "UTC"`, name)
	}
	return loc, nil
}

// Validate says what is wrong with the window's texts, if anything.
func (f Freeze) Validate() error {
	_, err := f.parse()
	return err
}

// onDate is p in the week that begins with the given Sunday, a calendar day. A time
// of day that a change of the clocks skips is the moment of that change. One that
// comes twice is the first for the beginning of a window and the last for its end,
// so that a window is never shorter than it reads.
func (w window) onDate(sunday time.Time, p weekPoint, last bool) time.Time {
	wall := time.Date(sunday.Year(), sunday.Month(), sunday.Day()+int(p.day), p.hour, p.minute, 0, 0, time.UTC)
	offset := func(t time.Time) time.Duration {
		_, seconds := t.In(w.zone).Zone()
		return time.Duration(seconds) * time.Second
	}
	before, after := wall.Add(-offset(wall.AddDate(0, 0, -1))), wall.Add(-offset(wall.AddDate(0, 0, 1)))
	shows := func(t time.Time) bool { return t.Add(offset(t)).Equal(wall) }
	switch {
	case shows(before) && (!last || !shows(after)):
		return before
	case shows(after):
		return after
	}
	_, change := after.In(w.zone).ZoneBounds()
	return change
}

// at reports whether t lies in the window, and when that changes next. Weeks are
// counted on the calendar of the zone, so a window keeps its times of day across
// changes of daylight saving time.
func (w window) at(t time.Time) (inside bool, until time.Time) {
	local := t.In(w.zone)
	sunday := time.Date(local.Year(), local.Month(), local.Day()-int(local.Weekday()), 0, 0, 0, 0, time.UTC)
	endsNextWeek := 0
	if w.to.before(w.from) {
		endsNextWeek = 7
	}
	for week := -1; week <= 1; week++ {
		of := sunday.AddDate(0, 0, 7*week)
		start, end := w.onDate(of, w.from, false), w.onDate(of.AddDate(0, 0, endsNextWeek), w.to, true)
		if !end.After(start) {
			continue // the clocks skip all of it
		}
		if t.Before(start) {
			return false, start
		}
		if t.Before(end) {
			return true, end
		}
	}
	return false, w.onDate(sunday.AddDate(0, 0, 14), w.from, false)
}

// frozen finds a window of all that contains t, and when it ends. An error means
// that a window can't be understood; then nobody knows whether it is one.
func frozen(all []Freeze, t time.Time) (inside *Freeze, until time.Time, err error) {
	for i, f := range all {
		w, err := f.parse()
		if err != nil {
			return nil, time.Time{}, err
		}
		if in, end := w.at(t); in && end.After(until) {
			inside, until = &all[i], end
		}
	}
	return inside, until, nil
}

// FrozenUntil reports whether a freeze of the policy holds at t, why, and until
// when. Windows that can't be understood are the affair of whoever reads the policy.
func (p UpdatePolicy) FrozenUntil(t time.Time) (until time.Time, reason string, frozenNow bool) {
	inside, until, err := frozen(p.Freeze, t)
	if err != nil || inside == nil {
		return time.Time{}, "", false
	}
	return until, inside.Reason, true
}

// opens reports whether t lies in any window of all, or in none when none is
// given means always; and otherwise when the next one begins.
func opens(all []Freeze, t time.Time) (open bool, next time.Time, err error) {
	if len(all) == 0 {
		return true, time.Time{}, nil
	}
	for _, f := range all {
		w, err := f.parse()
		if err != nil {
			return false, time.Time{}, err
		}
		in, change := w.at(t)
		if in {
			return true, time.Time{}, nil
		}
		if next.IsZero() || change.Before(next) {
			next = change
		}
	}
	return false, next, nil
}
