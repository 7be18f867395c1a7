package fleet

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestWhoHasToGoBack(t *testing.T) {
	t.Parallel()
	old, since := System{Path: "old", Commit: "c0"}, noon
	seen := func(running, profile string, at time.Time) Host {
		return Host{Name: "h1", Facts: HostFacts{At: at, RunningPath: running, ProfilePath: profile}}
	}
	onNew := seen("new", "new", since)
	at := func(state HostState, switched bool) HostProgress {
		return HostProgress{Host: "h1", State: state, Switched: switched, Before: old, Since: since, Order: "o"}
	}
	silent := at(HostFailed, false)
	silent.Failure = &HostError{Code: "expired"}
	unanswered := at(HostFailed, false)
	unanswered.Failure = &HostError{Code: "no_answer"}
	nowhere := at(HostHealthy, true)
	nowhere.Before = System{}
	for name, c := range map[string]struct {
		p    HostProgress
		host Host
		back bool
	}{
		"it runs the new system":                   {at(HostHealthy, true), onNew, true},
		"it failed after the switch":               {at(HostFailed, true), onNew, true},
		"it was put off, and is cancelled now":     {at(HostCancelled, true), onNew, true},
		"it starts with the new system next time":  {at(HostCancelled, true), seen("old", "new", since), true},
		"it runs the new one, and starts with old": {at(HostCancelled, true), seen("new", "old", since), true},
		"nobody knows what it runs":                {at(HostFailed, true), seen("", "", since), true},
		"it told what it runs before that":         {at(HostFailed, true), seen("old", "old", since.Add(-time.Second)), true},
		"it may switch at any moment":              {at(HostBuilding, false), seen("old", "old", since), true},
		"it was not heard to the end":              {silent, seen("old", "old", since.Add(-time.Second)), true},
		"it took its order up and fell silent":     {unanswered, seen("old", "old", since.Add(-time.Second)), true},
		"it was not heard to the end, and is back": {silent, seen("old", "old", since.Add(time.Second)), false},
		"its order was taken back in the dark":     {at(HostCancelled, false), seen("old", "old", since.Add(-time.Second)), true},
		"it cancelled before it switched":          {at(HostCancelled, false), seen("old", "old", since), false},
		"somebody brought it back":                 {at(HostHealthy, true), seen("old", "old", since.Add(time.Minute)), false},
		"on a platform that has no profile":        {at(HostHealthy, true), seen("old", "", since.Add(time.Minute)), false},
		"it went back by itself":                   {at(HostReverted, true), onNew, false},
		"it failed before the switch":              {at(HostFailed, false), seen("old", "old", since.Add(-time.Second)), false},
		"a person left it out":                     {at(HostExcluded, true), onNew, false},
		"it never had an order":                    {HostProgress{Host: "h1", State: HostWaiting}, onNew, false},
		"nobody knows what it ran":                 {nowhere, onNew, false},
		"it is not ours any more":                  {at(HostHealthy, true), Host{}, false},
		"it was revoked":                           {at(HostHealthy, true), Host{Name: "h1", RevokedAt: noon}, false},
	} {
		plan, hosts := MakeRestore(Rollout{Hosts: []HostProgress{c.p}}, map[string]Host{"h1": c.host})
		if (len(hosts) == 1) != c.back {
			t.Errorf("%s: goes back %v, expected %v", name, len(hosts) == 1, c.back)
		}
		if plan.MaxFailures != len(hosts)+1 {
			t.Errorf("%s: %d failures of %d hosts stop it", name, plan.MaxFailures, len(hosts))
		}
	}
}

func TestTheWayBackIsTheReverse(t *testing.T) {
	t.Parallel()
	policy := DefaultPolicy().Deploy
	policy.Windows = []Freeze{{From: "Mon 08:00", To: "Mon 09:00"}}
	policy.Health = []HealthCheck{{Unit: "new.service"}}
	policy.Reboot, policy.Offline, policy.OnFailure = "window", "skip", "rollback"
	policy.Anchors, policy.Unreachable = []string{"a:1"}, "rollback"
	plan, progress, err := MakePlan(policy, enrolled(5, noon))
	if err != nil {
		t.Fatal(err)
	}
	hosts := map[string]Host{}
	for i := range progress {
		p := &progress[i]
		hosts[p.Host] = Host{Name: p.Host}
		p.State, p.Switched, p.Before = HostHealthy, true, System{Path: "before " + p.Host}
		p.EndedAt = noon.Add(time.Duration(i%2) * time.Minute)
	}
	back, got := MakeRestore(Rollout{Plan: plan, Hosts: progress}, hosts)
	want := Plan{
		Waves: []Wave{
			{Name: "half", Hosts: []string{"h4", "h3", "h5"}},
			{Name: "canary", Hosts: []string{"h2", "h1"}},
		},
		MaxParallel: 3, MaxFailures: 6, OnFailure: "halt", Offline: "catch_up", Timeouts: policy.Timeouts,
		Reboot: "window", RebootWindows: policy.Windows, Unreachable: "rollback", Anchors: policy.Anchors, Settle: policy.Settle,
	}
	if diff := cmp.Diff(want, back); diff != "" {
		t.Errorf("plan (-want +got):\n%s", diff)
	}
	for _, p := range got {
		if p.Target.Path != "before "+p.Host || p.Before.Path != "" || p.Switched {
			t.Errorf("%+v", p)
		}
	}
}

func TestRetryHosts(t *testing.T) {
	t.Parallel()
	var hosts []HostProgress
	for _, s := range AllHostStates() {
		hosts = append(hosts, HostProgress{Host: string(s), State: s})
	}
	if got := strings.Join(RetryHosts(Rollout{Hosts: hosts}), " "); got != "waiting failed reverted cancelled" {
		t.Errorf("another try concerns %q", got)
	}
}

func TestExclude(t *testing.T) {
	t.Parallel()
	for _, s := range AllHostStates() {
		p := HostProgress{Host: "h1", State: s}
		if s != HostWaiting && s != HostOffline {
			p.Order = "o1"
		}
		after, takeBack, err := Exclude(p, noon)
		switch s {
		case HostWaiting, HostOffline:
			if err != nil || after.State != HostExcluded || takeBack {
				t.Errorf("%s: %+v, takes back %v, %v", s, after, takeBack, err)
			}
		case HostOrdered, HostDeferred:
			if err != nil || after.State != HostExcluded || !takeBack || !after.EndedAt.Equal(noon) {
				t.Errorf("%s: %+v, takes back %v, %v", s, after, takeBack, err)
			}
		case HostExcluded:
			if err != nil || after != p || takeBack {
				t.Errorf("a second time: %+v, takes back %v, %v", after, takeBack, err)
			}
		default:
			if err == nil || after != p || takeBack || !strings.Contains(err.Error(), string(s)) {
				t.Errorf("%s: %+v, takes back %v, %v", s, after, takeBack, err)
			}
		}
	}
}

func TestHeadlinesOfEveryKind(t *testing.T) {
	t.Parallel()
	hosts := []HostProgress{{State: HostHealthy}, {State: HostHealthy}, {State: HostFailed}, {State: HostWaiting}, {State: HostWaiting}}
	for _, c := range []struct {
		kind  RolloutKind
		state RolloutState
		want  string
	}{
		{RolloutDeploy, RolloutRunning, "Deploying 2/5 hosts… (1 failed)"},
		{RolloutBackward, RolloutPlanned, "Planned for 5 hosts."},
		{RolloutBackward, RolloutRunning, "Taking back 2/5 hosts… (1 failed)"},
		{RolloutBackward, RolloutSucceeded, "Took back 2/5 hosts, 1 failed."},
		{RolloutBackward, RolloutFailed, "Failed: took back 2/5 hosts, 1 failed."},
		{RolloutBackward, RolloutHalted, "Halted at 2/5 hosts, 1 failed."},
		{RolloutRestore, RolloutPlanned, "Rollback planned for 5 hosts."},
		{RolloutRestore, RolloutRunning, "Rolling back 2/5 hosts… (1 failed)"},
		{RolloutRestore, RolloutPaused, "Rollback paused at 2/5 hosts, 1 failed."},
		{RolloutRestore, RolloutSucceeded, "Rolled back 2/5 hosts, 1 failed."},
		{RolloutRestore, RolloutFailed, "Rollback failed: 2/5 hosts went back, 1 failed."},
		{RolloutRestore, RolloutAborted, "Rollback aborted at 2/5 hosts, 1 failed."},
	} {
		if got := Headline(Rollout{Kind: c.kind, State: c.state, Hosts: hosts}, nil, time.Time{}); got != c.want {
			t.Errorf("%s, %s: %q, expected %q", c.kind, c.state, got, c.want)
		}
	}
	o := Overview{Rollouts: []Rollout{
		{ID: "2", Kind: RolloutRestore, Restores: "1", State: RolloutRunning, Hosts: hosts},
		{ID: "1", State: RolloutRollingBack, Hosts: hosts[:1]},
	}}
	Describe(&o, "")
	if got := o.Rollouts[1].Headline; got != "Rolling back 2/5 hosts… (1 failed)" {
		t.Errorf("one that goes back: %q", got)
	}
}
