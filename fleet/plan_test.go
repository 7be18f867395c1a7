package fleet

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var noon = time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)

// enrolled makes n hosts h1 … that are enrolled and were heard just now; the first
// two are canaries.
func enrolled(n int, now time.Time) []Host {
	var hosts []Host
	for i := range n {
		h := Host{Name: fmt.Sprintf("h%d", i+1), Attr: "nixosConfigurations.h", EnrolledAt: now.Add(-time.Hour), LastSeen: now}
		if i < 2 {
			h.Tags = []string{"canary"}
		}
		hosts = append(hosts, h)
	}
	return hosts
}

func waveNames(p Plan) map[string]string {
	names := map[string]string{}
	for _, w := range p.Waves {
		names[w.Name] = strings.Join(w.Hosts, " ")
	}
	return names
}

func TestPlans(t *testing.T) {
	t.Parallel()
	nine := enrolled(9, noon)
	cases := map[string]struct {
		change func(*DeployPolicy)
		hosts  []Host
		want   map[string]string
	}{
		"the default: canaries, half of all, the rest": {
			hosts: nine,
			want:  map[string]string{"canary": "h1 h2", "half": "h3 h4 h5 h6 h7", "rest": "h8 h9"},
		},
		"each host goes into the first wave that names it": {
			change: func(p *DeployPolicy) {
				p.Waves = []WavePolicy{{Name: "a", Hosts: "h3 or h4"}, {Name: "b", Hosts: "h3 or tag:canary"}, {Name: "c", Hosts: "2"}}
			},
			hosts: nine[:6],
			want:  map[string]string{"a": "h3 h4", "b": "h1 h2", "c": "h5 h6"},
		},
		"hosts that no wave names follow in one of their own": {
			change: func(p *DeployPolicy) { p.Waves = []WavePolicy{{Name: "a", Hosts: "h2"}} },
			hosts:  nine[:3],
			want:   map[string]string{"a": "h2", "remaining": "h1 h3"},
		},
		"no waves at all": {
			change: func(p *DeployPolicy) { p.Waves = nil },
			hosts:  nine[:2],
			want:   map[string]string{"remaining": "h1 h2"},
		},
		"percentages are of all hosts, rounded up": {
			change: func(p *DeployPolicy) {
				p.Waves = []WavePolicy{{Name: "a", Hosts: "10%"}, {Name: "b", Hosts: "34%"}}
			},
			hosts: nine[:3],
			want:  map[string]string{"a": "h1", "b": "h2 h3"},
		},
		"waves that end up empty are kept": {
			change: func(p *DeployPolicy) {
				p.Waves = []WavePolicy{{Name: "a", Hosts: "tag:none"}, {Name: "b", Hosts: "all"}}
			},
			hosts: nine[:1],
			want:  map[string]string{"a": "", "b": "h1"},
		},
		"the selector says who takes part": {
			change: func(p *DeployPolicy) { p.Hosts, p.Waves = "not tag:canary", nil },
			hosts:  nine[:4],
			want:   map[string]string{"remaining": "h3 h4"},
		},
		"nobody": {
			change: func(p *DeployPolicy) { p.Waves = nil },
			want:   map[string]string{},
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := DefaultPolicy().Deploy
			if c.change != nil {
				c.change(&p)
			}
			plan, progress, err := MakePlan(p, c.hosts)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, waveNames(plan)); diff != "" {
				t.Errorf("waves (-want +got):\n%s", diff)
			}
			for _, h := range progress {
				if h.State != HostWaiting || !strings.Contains(" "+strings.Join(plan.Waves[h.Wave].Hosts, " ")+" ", " "+h.Host+" ") {
					t.Errorf("%+v does not belong to its wave", h)
				}
			}
		})
	}
}

func TestPlansLeaveOutWhoMayNotBeOrdered(t *testing.T) {
	t.Parallel()
	hosts := enrolled(6, noon)
	hosts[0].Mode = "manual"
	hosts[1].Mode = "automatic"
	hosts[2].Mode = "fleet"
	hosts[3].RevokedAt = noon
	hosts[4].EnrolledAt = time.Time{}
	_, progress, err := MakePlan(DefaultPolicy().Deploy, append(hosts, hosts[5]))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, p := range progress {
		names = append(names, p.Host)
	}
	if diff := cmp.Diff([]string{"h3", "h6"}, names); diff != "" {
		t.Errorf("manual, automatic, revoked and not enrolled hosts, and doubles (-want +got):\n%s", diff)
	}
}

func TestPlansResolveTheirNumbers(t *testing.T) {
	t.Parallel()
	cases := []struct {
		failures Amount
		hosts    int
		want     int
	}{
		{Amount{N: 0}, 9, 1}, {Amount{N: 1}, 9, 1}, {Amount{N: 4}, 9, 4},
		{Amount{N: 25, Percent: true}, 9, 2}, {Amount{N: 10, Percent: true}, 9, 1}, {Amount{N: 100, Percent: true}, 9, 9}, {Amount{N: 0, Percent: true}, 9, 1},
	}
	for _, c := range cases {
		p := DefaultPolicy().Deploy
		p.MaxFailures, p.MaxParallel = c.failures, 0
		plan, _, err := MakePlan(p, enrolled(c.hosts, noon))
		if err != nil || plan.MaxFailures != c.want || plan.MaxParallel != 1 {
			t.Errorf("%+v of %d hosts: %d failures, %d at a time, %v, expected %d and 1", c.failures, c.hosts, plan.MaxFailures, plan.MaxParallel, err, c.want)
		}
	}
}

func TestPlansThatCannotBeMade(t *testing.T) {
	t.Parallel()
	cases := map[string]func(*DeployPolicy){
		"deploy.hosts: at character 1":           func(p *DeployPolicy) { p.Hosts = "and" },
		"deploy.waves[0].hosts: at character 5":  func(p *DeployPolicy) { p.Waves = []WavePolicy{{Hosts: "all all"}} },
		"deploy.waves[0].hosts: found \"0\"":     func(p *DeployPolicy) { p.Waves = []WavePolicy{{Hosts: "0"}} },
		"deploy.windows[0].from: found \"noon\"": func(p *DeployPolicy) { p.Windows = []Freeze{{From: "noon"}} },
		"deploy.reboot_windows[0].to: found":     func(p *DeployPolicy) { p.RebootWindows = []Freeze{{From: "Sun 02:00"}} },
		"updates.freeze[0].from: found":          func(p *DeployPolicy) { p.Freeze = []Freeze{{From: "noon"}} },
	}
	for want, change := range cases {
		p := DefaultPolicy().Deploy
		change(&p)
		if _, _, err := MakePlan(p, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, expected %q", err, want)
		}
	}
}

func TestOrdersExpire(t *testing.T) {
	t.Parallel()
	p := Plan{Offline: "skip", Timeouts: Timeouts{Build: 2 * time.Hour}}
	want := 5*time.Minute + 2*time.Hour + 10*time.Minute + 3*time.Minute + 10*time.Minute
	if got := p.OrderLifetime(); got != want {
		t.Errorf("lifetime %s, expected %s", got, want)
	}
	long := p
	long.Settle, long.Reboot = 7*time.Minute, "when_needed"
	if got := long.OrderLifetime(); got != want+7*time.Minute+rebootTime {
		t.Errorf("lifetime with a settle and a restart %s", got)
	}
	if got := p.OrderExpires(noon); !got.Equal(noon.Add(want)) {
		t.Errorf("skip: expires %s", got)
	}
	p.Offline = "catch_up"
	if got := p.OrderExpires(noon); !got.Equal(noon.Add(catchUpWithin)) {
		t.Errorf("catch_up: expires %s", got)
	}
}
