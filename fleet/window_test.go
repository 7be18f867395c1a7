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
