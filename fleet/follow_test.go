package fleet_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nixfleet/nixfleet/fleet"
	"pgregory.net/rapid"
)

// noon is a Sunday, at which everything is at rest.
var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// follower is a host in the mode automatic that runs an old commit.
func follower(name string, change ...func(*fleet.Following)) fleet.Following {
	f := fleet.Following{Host: fleet.Host{
		Name: name, Mode: "automatic", EnrolledAt: noon.Add(-time.Hour), LastSeen: noon,
		Facts: fleet.HostFacts{At: noon, RunningCommit: "old"},
	}}
	for _, c := range change {
		c(&f)
	}
	return f
}

func tried(state fleet.HostState, code string) func(*fleet.Following) {
	return func(f *fleet.Following) {
		f.Tried = fleet.Order{ID: "T", State: state}
		if code != "" {
			f.Tried.Failure = &fleet.HostError{Code: code}
		}
	}
}

func TestWhoFollowsTheHead(t *testing.T) {
	t.Parallel()
	open := func(f *fleet.Following) { f.Open = true }
	for name, tt := range map[string]struct {
		host  fleet.Following
		facts fleet.FollowFacts
		why   string // empty: it is ordered
	}{
		"behind":                 {host: follower("a")},
		"at the head":            {host: follower("a", func(f *fleet.Following) { f.Host.Facts.RunningCommit = "head" }), why: "runs the head"},
		"in another mode":        {host: follower("a", func(f *fleet.Following) { f.Host.Mode = "fleet" }), why: "does not follow"},
		"not enrolled":           {host: follower("a", func(f *fleet.Following) { f.Host.EnrolledAt = time.Time{} }), why: "does not follow"},
		"revoked":                {host: follower("a", func(f *fleet.Following) { f.Host.RevokedAt = noon }), why: "does not follow"},
		"with an order":          {host: follower("a", open), why: "has an order"},
		"offline":                {host: follower("a", func(f *fleet.Following) { f.Host.LastSeen = noon.Add(-time.Hour) }), why: "offline"},
		"unheard of":             {host: follower("a", func(f *fleet.Following) { f.Host.Facts = fleet.HostFacts{} }), why: "not said"},
		"failed":                 {host: follower("a", tried(fleet.HostFailed, "build_failed")), why: "ended as failed"},
		"reverted":               {host: follower("a", tried(fleet.HostReverted, "unhealthy")), why: "ended as reverted"},
		"put off":                {host: follower("a", tried(fleet.HostDeferred, "")), why: "ended as deferred"},
		"brought back since":     {host: follower("a", tried(fleet.HostHealthy, "")), why: "ended as healthy"},
		"never took it up":       {host: follower("a", tried(fleet.HostFailed, "expired"))},
		"stopped by another":     {host: follower("a", tried(fleet.HostCancelled, ""))},
		"stopped by a person":    {host: follower("a", tried(fleet.HostCancelled, ""), func(f *fleet.Following) { f.Stopped = true }), why: "a person"},
		"in quarantine":          {host: follower("a"), facts: fleet.FollowFacts{Quarantine: "it broke web1"}, why: "quarantine: it broke web1"},
		"no head":                {host: follower("a"), facts: fleet.FollowFacts{Head: "none"}, why: "not read yet"},
		"outside of the windows": {host: follower("a"), facts: windows("Mon 08:00", "Fri 18:00"), why: "deploy.windows"},
		"in a freeze": {host: follower("a"), facts: fleet.FollowFacts{Deploy: fleet.DeployPolicy{
			Freeze: []fleet.Freeze{{From: "Sun 08:00", To: "Sun 18:00"}}}}, why: "the end of a freeze"},
		"inside of the windows":   {host: follower("a"), facts: windows("Sun 08:00", "Sun 18:00")},
		"others are under way":    {host: follower("a"), facts: fleet.FollowFacts{Hosts: []fleet.Following{follower("z", open)}}, why: "max_parallel"},
		"it failed on another":    {host: follower("a"), facts: fleet.FollowFacts{Hosts: []fleet.Following{follower("z", tried(fleet.HostReverted, ""))}}, why: "failed on 1"},
		"it was never taken up":   {host: follower("a"), facts: fleet.FollowFacts{Hosts: []fleet.Following{follower("z", tried(fleet.HostFailed, "expired"), open)}, Deploy: fleet.DeployPolicy{MaxParallel: 2}}},
		"the budget has room yet": {host: follower("a"), facts: fleet.FollowFacts{Hosts: []fleet.Following{follower("z", tried(fleet.HostFailed, "x"))}, Deploy: fleet.DeployPolicy{MaxFailures: fleet.Amount{N: 2}}}},
	} {
		f := tt.facts
		f.Hosts = append([]fleet.Following{tt.host}, f.Hosts...)
		f.Head = map[string]string{"": "head", "none": ""}[f.Head]
		got, err := fleet.Follow(f, noon)
		if err != nil {
			t.Fatal(err)
		}
		ordered := slices.Contains(got.Hosts, "a")
		if ordered != (tt.why == "") || !strings.Contains(got.Why["a"], tt.why) || ordered == (got.Why["a"] != "") {
			t.Errorf("%s: ordered %t, because %q; want %q", name, ordered, got.Why["a"], tt.why)
		}
	}
}

func windows(from, to string) fleet.FollowFacts {
	return fleet.FollowFacts{Deploy: fleet.DeployPolicy{Windows: []fleet.Freeze{{From: from, To: to, TZ: "UTC"}}}}
}

func TestAWindowThatIsNoneLetsNothingPass(t *testing.T) {
	t.Parallel()
	f := windows("whenever", "later")
	f.Head, f.Hosts = "head", []fleet.Following{follower("a")}
	if got, err := fleet.Follow(f, noon); err == nil || len(got.Hosts) > 0 {
		t.Errorf("ordered %v, %v", got.Hosts, err)
	}
}

// However many follow, no more than max_parallel are under way, and nobody is
// forgotten: each gets its order or a reason.
func TestFollowingKeepsToMaxParallel(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		f := fleet.FollowFacts{Head: "head", Deploy: fleet.DeployPolicy{MaxParallel: rapid.IntRange(0, 5).Draw(t, "max_parallel")}}
		under := 0
		for i := range rapid.IntRange(0, 12).Draw(t, "hosts") {
			h := follower(fmt.Sprintf("h%d", i))
			h.Open = rapid.Bool().Draw(t, "open")
			if rapid.Bool().Draw(t, "current") {
				h.Host.Facts.RunningCommit = "head"
			}
			if h.Open {
				under++
			}
			f.Hosts = append(f.Hosts, h)
		}
		got, err := fleet.Follow(f, noon)
		if err != nil {
			t.Fatal(err)
		}
		if n := under + len(got.Hosts); len(got.Hosts) > 0 && n > max(1, f.Deploy.MaxParallel) {
			t.Fatalf("%d are under way, %d allowed", n, f.Deploy.MaxParallel)
		}
		if len(got.Hosts)+len(got.Why) != len(f.Hosts) {
			t.Fatalf("%d ordered and %d with a reason, of %d", len(got.Hosts), len(got.Why), len(f.Hosts))
		}
	})
}
