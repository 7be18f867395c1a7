package fleet

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func outlookHosts(n int) []Host {
	var hosts []Host
	for i := range n {
		h := Host{Name: "web" + string(rune('a'+i)), Attr: "nixosConfigurations.x", Mode: "fleet", EnrolledAt: time.Unix(1, 0)}
		if i == 0 {
			h.Tags = []string{"canary"}
		}
		hosts = append(hosts, h)
	}
	return hosts
}

func TestAnOutlookSaysWhatWouldCome(t *testing.T) {
	t.Parallel()
	noon := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC) // a Sunday
	for name, c := range map[string]struct {
		change func(*Policy)
		hosts  int
		want   string
	}{
		// 60 min of hold; canary 5 min and 10 min of soak, 5 of 9 in two rounds, the rest in one.
		"as it is built in":   {func(*Policy) {}, 9, "A pull request opened now would merge at 13:00 UTC and reach all 9 hosts by about 13:30 UTC."},
		"a hold from checks":  {func(p *Policy) { p.Updates.AutoMerge.HoldFrom = "checks" }, 1, "would merge at 13:10 UTC and reach all 1 host by about 13:15 UTC."},
		"no hold":             {func(p *Policy) { p.Updates.AutoMerge.Hold = 0 }, 1, "would merge at 12:10 UTC and"},
		"revisions of an age": {func(p *Policy) { p.Updates.AutoMerge.MinInputAge = 48 * time.Hour }, 1, "would merge on 24 Nov 2026 at 12:00 UTC and"},
		"a freeze":            {func(p *Policy) { p.Updates.Freeze = []Freeze{{From: "Sat 00:00", To: "Mon 06:00"}} }, 1, "would merge on 23 Nov 2026 at 06:00 UTC and reach all 1 host by about 23 Nov 2026 at 06:05 UTC."},
		"windows":             {func(p *Policy) { p.Deploy.Windows = []Freeze{{From: "Mon 08:00", To: "Mon 17:00"}} }, 1, "would merge at 13:00 UTC and reach all 1 host by about 23 Nov 2026 at 08:05 UTC."},
		"nothing by itself":   {func(p *Policy) { p.Updates.AutoMerge.Enabled = false }, 9, "would wait until a person presses Merge & Deploy; then it goes to all 9 hosts."},
		"no deploy by itself": {func(p *Policy) { p.Deploy.Auto = false }, 9, "would merge at 13:00 UTC; nothing is deployed before a person starts that."},
		"nobody is picked":    {func(p *Policy) { p.Deploy.Hosts = "tag:none" }, 9, "and reach no host: none is picked."},
		"a lock from a host":  {func(p *Policy) { p.Updates.Strategy = "host" }, 1, "A lock that a host made now would merge"},
	} {
		p := DefaultPolicy()
		c.change(&p)
		o, err := Foresee(p, outlookHosts(c.hosts), noon)
		if err != nil || !strings.Contains(o.Says, c.want) {
			t.Errorf("%s: %q (%v), want %q", name, o.Says, err, c.want)
		}
	}
}

func TestAnOutlookNeverBreaksItsPolicy(t *testing.T) {
	t.Parallel()
	points := []string{"Sun 00:00", "Mon 08:00", "Wed 12:00", "Fri 18:00", "Sat 23:59"}
	rapid.Check(t, func(r *rapid.T) {
		window := rapid.Custom(func(r *rapid.T) Freeze {
			pair := rapid.Permutation(points).Draw(r, "ends")
			return Freeze{From: pair[0], To: pair[1], TZ: "Europe/Vienna"}
		})
		p := DefaultPolicy()
		p.Updates.Freeze = rapid.SliceOfN(window, 0, 2).Draw(r, "freeze")
		p.Deploy.Windows = rapid.SliceOfN(window, 0, 2).Draw(r, "windows")
		p.Updates.AutoMerge.Hold = time.Duration(rapid.IntRange(0, 100).Draw(r, "hold")) * time.Hour
		now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC).Add(time.Duration(rapid.IntRange(0, 200*60).Draw(r, "minutes")) * time.Minute)
		o, err := Foresee(p, outlookHosts(rapid.IntRange(1, 9).Draw(r, "hosts")), now)
		if err != nil {
			r.Fatal(err)
		}
		if o.MergeAt.Before(now.Add(p.Updates.AutoMerge.Hold)) || o.StartAt.Before(o.MergeAt) || o.DoneAt.Before(o.StartAt) {
			r.Fatalf("out of order: %+v", o)
		}
		if _, _, frozen := p.Updates.FrozenUntil(o.MergeAt); frozen && len(p.Updates.Freeze) == 1 {
			r.Fatalf("it merges in a freeze: %+v", o)
		}
	})
}
