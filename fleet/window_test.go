package fleet

import (
	"testing"
	"time"
)

func TestWindows(t *testing.T) {
	t.Parallel()
	weekend := Freeze{From: "Fri 18:00", To: "Mon 06:00", TZ: "Europe/Vienna"}
	night := Freeze{From: "Tue 22:00", To: "Wed 04:30"}
	cases := map[string]struct {
		window Freeze
		at     string
		inside bool
		until  string
	}{
		"before it":                    {weekend, "2026-03-06T16:59:59Z", false, "2026-03-06T17:00:00Z"},
		"as it begins":                 {weekend, "2026-03-06T17:00:00Z", true, "2026-03-09T05:00:00Z"},
		"across the end of the week":   {weekend, "2026-03-08T12:00:00Z", true, "2026-03-09T05:00:00Z"},
		"as it ends":                   {weekend, "2026-03-09T05:00:00Z", false, "2026-03-13T17:00:00Z"},
		"over a change to summer time": {weekend, "2026-03-28T12:00:00Z", true, "2026-03-30T04:00:00Z"},
		"over a change to winter time": {weekend, "2026-10-24T12:00:00Z", true, "2026-10-26T05:00:00Z"},
		"without a zone, inside":       {night, "2026-03-04T04:29:59Z", true, "2026-03-04T04:30:00Z"},
		"without a zone, outside":      {night, "2026-03-04T04:30:00Z", false, "2026-03-10T22:00:00Z"},
		"over the end of a year":       {Freeze{From: "Thu 00:00", To: "Fri 00:00"}, "2026-12-31T23:59:00Z", true, "2027-01-01T00:00:00Z"},
		"nearly the whole week":        {Freeze{From: "Mon 06:00", To: "Mon 05:59"}, "2026-03-09T05:58:00Z", true, "2026-03-09T05:59:00Z"},
	}
	for name, c := range cases {
		at, err := time.Parse(time.RFC3339, c.at)
		if err != nil {
			t.Fatal(err)
		}
		w, err := c.window.parse()
		if err != nil {
			t.Fatal(err)
		}
		inside, until := w.at(at)
		if got := until.UTC().Format(time.RFC3339); inside != c.inside || got != c.until {
			t.Errorf("%s: inside %v until %s, expected %v until %s", name, inside, got, c.inside, c.until)
		}
	}
}

// What the clocks show on the days on which they change: 2026 in Europe/Vienna (29
// March 2:00 to 3:00, 25 October 3:00 to 2:00), America/New_York (8 March, 1
// November), Australia/Adelaide (UTC+9:30 and +10:30; 5 April, 4 October), Lord Howe
// (by half an hour) and Havana (at midnight).
func TestWindowsOnTheDaysWhenTheClocksChange(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		zone, from, to string
		starts, ends   string // the occurrence of the week
	}{
		"Vienna, starts in the hour that is skipped":  {"Europe/Vienna", "Sun 02:30", "Sun 06:00", "2026-03-29T01:00:00Z", "2026-03-29T04:00:00Z"},
		"Vienna, ends in the hour that is skipped":    {"Europe/Vienna", "Sat 20:00", "Sun 02:30", "2026-03-28T19:00:00Z", "2026-03-29T01:00:00Z"},
		"Vienna, as the hour that is skipped begins":  {"Europe/Vienna", "Sun 02:00", "Sun 03:00", "2026-04-05T00:00:00Z", "2026-04-05T01:00:00Z"},
		"Vienna, around the hour that is skipped":     {"Europe/Vienna", "Sun 01:00", "Sun 04:00", "2026-03-29T00:00:00Z", "2026-03-29T02:00:00Z"},
		"Vienna, starts in the hour that comes twice": {"Europe/Vienna", "Sun 02:30", "Sun 06:00", "2026-10-25T00:30:00Z", "2026-10-25T05:00:00Z"},
		"Vienna, ends in the hour that comes twice":   {"Europe/Vienna", "Sat 20:00", "Sun 02:30", "2026-10-24T18:00:00Z", "2026-10-25T01:30:00Z"},
		"Vienna, inside the hour that comes twice":    {"Europe/Vienna", "Sun 02:15", "Sun 02:45", "2026-10-25T00:15:00Z", "2026-10-25T01:45:00Z"},
		"Vienna, from Sunday back to Sunday":          {"Europe/Vienna", "Sun 04:00", "Sun 01:00", "2026-03-22T03:00:00Z", "2026-03-29T00:00:00Z"},
		"New York, over the skipped hour":             {"America/New_York", "Sat 22:00", "Mon 06:00", "2026-03-08T03:00:00Z", "2026-03-09T10:00:00Z"},
		"New York, starts in the skipped hour":        {"America/New_York", "Sun 02:01", "Sun 05:00", "2026-03-08T07:00:00Z", "2026-03-08T09:00:00Z"},
		"New York, over the repeated hour":            {"America/New_York", "Sat 22:00", "Mon 06:00", "2026-11-01T02:00:00Z", "2026-11-02T11:00:00Z"},
		"New York, ends in the repeated hour":         {"America/New_York", "Fri 18:00", "Sun 01:30", "2026-10-30T22:00:00Z", "2026-11-01T06:30:00Z"},
		"Adelaide, summer time ends":                  {"Australia/Adelaide", "Fri 18:00", "Mon 06:00", "2026-04-03T07:30:00Z", "2026-04-05T20:30:00Z"},
		"Adelaide, ends in the repeated hour":         {"Australia/Adelaide", "Fri 18:00", "Sun 02:30", "2026-04-03T07:30:00Z", "2026-04-04T17:00:00Z"},
		"Adelaide, starts in the skipped hour":        {"Australia/Adelaide", "Sun 02:30", "Sun 06:00", "2026-10-03T16:30:00Z", "2026-10-03T19:30:00Z"},
		"Kolkata, never changes":                      {"Asia/Kolkata", "Fri 18:00", "Mon 06:00", "2026-03-27T12:30:00Z", "2026-03-30T00:30:00Z"},
		"Lord Howe, half an hour is skipped":          {"Australia/Lord_Howe", "Sun 02:15", "Sun 04:00", "2026-10-03T15:30:00Z", "2026-10-03T17:00:00Z"},
		"Havana, the day has no midnight":             {"America/Havana", "Sun 00:00", "Sun 06:00", "2026-03-08T05:00:00Z", "2026-03-08T10:00:00Z"},
		"Kathmandu, UTC and three quarters":           {"Asia/Kathmandu", "Sun 00:00", "Mon 00:00", "2026-03-07T18:15:00Z", "2026-03-08T18:15:00Z"},
	}
	for name, c := range cases {
		w, err := Freeze{From: c.from, To: c.to, TZ: c.zone}.parse()
		if err != nil {
			t.Fatal(err)
		}
		starts, _ := time.Parse(time.RFC3339, c.starts)
		ends, _ := time.Parse(time.RFC3339, c.ends)
		for _, at := range []struct {
			moment time.Time
			inside bool
			until  time.Time
		}{
			{starts.Add(-time.Second), false, starts},
			{starts, true, ends},
			{ends.Add(-time.Second), true, ends},
		} {
			if inside, until := w.at(at.moment); inside != at.inside || !until.Equal(at.until) {
				t.Errorf("%s: at %s inside %v until %s, expected %v until %s", name, utc(at.moment), inside, utc(until), at.inside, utc(at.until))
			}
		}
		if inside, until := w.at(ends); inside || !until.After(ends) {
			t.Errorf("%s: at its end %s inside %v until %s", name, utc(ends), inside, utc(until))
		}
	}
}

// A window that the clocks skip altogether is none in that week.
func TestAWindowThatTheClocksSkip(t *testing.T) {
	t.Parallel()
	w, err := Freeze{From: "Sun 02:10", To: "Sun 02:50", TZ: "Europe/Vienna"}.parse()
	if err != nil {
		t.Fatal(err)
	}
	next := time.Date(2026, 4, 5, 0, 10, 0, 0, time.UTC)
	for _, at := range []time.Time{time.Date(2026, 3, 28, 12, 0, 0, 0, time.UTC), time.Date(2026, 3, 29, 1, 0, 0, 0, time.UTC)} {
		if inside, until := w.at(at); inside || !until.Equal(next) {
			t.Errorf("at %s: inside %v until %s", utc(at), inside, utc(until))
		}
	}
}

func TestWindowsAlwaysChangeLater(t *testing.T) {
	t.Parallel()
	w, err := Freeze{From: "Sat 23:30", To: "Sun 02:30", TZ: "America/New_York"}.parse()
	if err != nil {
		t.Fatal(err)
	}
	for at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC); at.Year() == 2026; at = at.Add(37 * time.Minute) {
		if _, until := w.at(at); !until.After(at) || until.Sub(at) > 8*24*time.Hour {
			t.Fatalf("at %s it changes at %s", at, until)
		}
	}
}

func TestWindowsThatAreNone(t *testing.T) {
	t.Parallel()
	for _, f := range []Freeze{
		{}, {From: "Fri 18:00"}, {From: "Fri", To: "Mon 06:00"}, {From: "Fri 25:00", To: "Mon 06:00"},
		{From: "Fri 6:00", To: "Mon 06:00"}, {From: "Fri 18:00", To: "Fri 18:00"},
		{From: "Fri 18:00", To: "Mon 06:00", TZ: "Local"}, {From: "Fri 18:00", To: "Mon 06:00", TZ: "../../etc/passwd"},
	} {
		if f.Validate() == nil {
			t.Errorf("%+v is taken for a window", f)
		}
		if _, _, err := frozen([]Freeze{f}, time.Time{}); err == nil {
			t.Errorf("%+v: nobody can say whether it is frozen", f)
		}
	}
}

func TestDeployWindows(t *testing.T) {
	t.Parallel()
	two := []Freeze{{From: "Mon 08:00", To: "Mon 16:00"}, {From: "Wed 08:00", To: "Wed 16:00"}}
	monday := time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)
	cases := map[string]struct {
		after time.Duration
		open  bool
		next  time.Duration
	}{
		"before both":  {7 * time.Hour, false, 8 * time.Hour},
		"in the first": {9 * time.Hour, true, 0},
		"between":      {17 * time.Hour, false, 56 * time.Hour},
		"after both":   {70 * time.Hour, false, (7*24 + 8) * time.Hour},
	}
	for name, c := range cases {
		open, next, err := opens(two, monday.Add(c.after))
		if err != nil || open != c.open || (!open && !next.Equal(monday.Add(c.next))) {
			t.Errorf("%s: open %v, next %s, %v", name, open, next, err)
		}
	}
	if open, _, err := opens(nil, monday); !open || err != nil {
		t.Error("no window at all means always")
	}
}
