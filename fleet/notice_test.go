package fleet

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestWhatHistoryIsToPeople(t *testing.T) {
	t.Parallel()
	for line, c := range map[string]struct {
		h    Happened
		want []NoticeKind
	}{
		"a new update that waits":       {Happened{Kind: "update.checks", From: "observed", First: true}, []NoticeKind{NoticeOpened}},
		"a new update that is blocked":  {Happened{Kind: "update.blocked", From: "observed", First: true}, []NoticeKind{NoticeBlocked, NoticeOpened}},
		"a new update that was merged":  {Happened{Kind: "update.merged", From: "observed", First: true}, []NoticeKind{NoticeMerged}},
		"one that is looked at again":   {Happened{Kind: "update.checks", From: "observed"}, nil},
		"a refusal of GitHub's":         {Happened{Kind: "update.observed", From: "merging"}, []NoticeKind{NoticeMergeRefused}},
		"a merge that is asked for":     {Happened{Kind: "update.merging", From: "holding"}, nil},
		"a person's wish":               {Happened{Kind: "update.merge_requested"}, nil},
		"a rollout that begins":         {Happened{Kind: "rollout.running", From: "planned"}, []NoticeKind{NoticeStarted}},
		"a rollout that goes on":        {Happened{Kind: "rollout.running", From: "paused"}, []NoticeKind{NoticeResumed}},
		"a rollout that is planned":     {Happened{Kind: "rollout.planned"}, nil},
		"a host left out":               {Happened{Kind: "rollout.host_excluded"}, nil},
		"an order that failed":          {Happened{Kind: "order.failed"}, []NoticeKind{NoticeHostFailed}},
		"an order that went well":       {Happened{Kind: "order.healthy"}, nil},
		"a host that went back":         {Happened{Kind: "order.reverted"}, []NoticeKind{NoticeHostReverted}},
		"a quarantine":                  {Happened{Kind: "quarantine.set"}, []NoticeKind{NoticeQuarantined}},
		"a quarantine that was lifted":  {Happened{Kind: "quarantine.lifted"}, nil},
		"trouble":                       {Happened{Kind: "trouble.webhooks_lost"}, []NoticeKind{NoticeWebhooksLost}},
		"the end of trouble":            {Happened{Kind: "trouble.recovered"}, []NoticeKind{NoticeRecovered}},
		"a test":                        {Happened{Kind: "receiver.tested"}, []NoticeKind{NoticeTest}},
		"something that nobody foresaw": {Happened{Kind: "moon.landed"}, nil},
	} {
		if got := NoticesOf(c.h); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, not %v", line, got, c.want)
		}
	}
	for _, s := range AllRolloutStates() {
		if kinds := NoticesOf(Happened{Kind: "rollout." + string(s)}); len(kinds) == 0 && s != RolloutPlanned && s != RolloutSuperseded {
			t.Errorf("nobody is told that a rollout is %s", s)
		}
	}
}

// Every word that a policy or a form may hold has its texts, and they say something.
func TestEveryKindHasWords(t *testing.T) {
	t.Parallel()
	r := Receiver{Name: "ops"}
	for _, k := range append(NoticeKinds(), NoticeKindInfo{Kind: NoticeTest, Severity: SeverityInfo}) {
		n := SampleNotice(k.Kind)
		m := r.Message(n, k.Kind, "https://fleet.example.org/")
		if m.Title == "" || m.Title == string(k.Kind) || m.Body == "" || m.Severity != k.Severity || !strings.HasPrefix(m.Link, "https://fleet.example.org/") {
			t.Errorf("%s is told as %+v", k.Kind, m)
		}
		if strings.Contains(m.Title+m.Body, "<no value>") || strings.Contains(m.Title, "\n") || strings.Contains(m.Body, "\n\n") {
			t.Errorf("%s is told as %q %q", k.Kind, m.Title, m.Body)
		}
		bare := r.Message(Notice{Kinds: []NoticeKind{k.Kind}, At: n.At}, k.Kind, "")
		if bare.Title == "" {
			t.Errorf("%s has no title where nothing is known", k.Kind)
		}
	}
}

func TestTheUsualWords(t *testing.T) {
	t.Parallel()
	r := Receiver{Name: "ops"}
	for kind, want := range map[NoticeKind]string{
		NoticeSucceeded: `Deployed 3/3 hosts
aurora/nixcfg #42: flake.lock: Update
– nixpkgs 4c1d9e0 → 9f8e7d6 (6 days newer)
– home-manager 0a1b2c3 → 5f4e3d2 (7 days newer)
https://fleet.example.org/rollouts/01K0000000000000000000SAMPLE`,
		NoticeHalted: `Deployment halted: 1 of 3 hosts failed
as many hosts failed as the policy allows
Failed:
– db1: builder for 'nginx.drv' failed with exit code 1
aurora/nixcfg #42: flake.lock: Update
– nixpkgs 4c1d9e0 → 9f8e7d6 (6 days newer)
– home-manager 0a1b2c3 → 5f4e3d2 (7 days newer)
https://fleet.example.org/rollouts/01K0000000000000000000SAMPLE`,
		NoticeMerged: `Merged update #42
aurora/nixcfg #42: flake.lock: Update
– nixpkgs 4c1d9e0 → 9f8e7d6 (6 days newer)
– home-manager 0a1b2c3 → 5f4e3d2 (7 days newer)
By alice.
https://fleet.example.org/updates/aurora/nixcfg/42`,
		NoticeHostFailed: `web1 failed to deploy (build)
builder for 'nginx.drv' failed with exit code 1
aurora/nixcfg at 9f8e7d6
https://fleet.example.org/hosts/web1`,
	} {
		m := r.Message(SampleNotice(kind), kind, "https://fleet.example.org")
		if got := m.Title + "\n" + m.Body + "\n" + m.Link; got != want {
			t.Errorf("%s is told as\n%s\n\nnot as\n%s", kind, got, want)
		}
	}
}

func TestAReceiversOwnWords(t *testing.T) {
	t.Parallel()
	r := Receiver{Name: "ops", Rule: ReceiverRule{Title: "[{{upper .Severity}}] {{.Title}}", Body: `{{join .Inputs ", "}} by {{.Actor}}`}}
	m := r.Message(SampleNotice(NoticeMerged), NoticeMerged, "https://x")
	if m.Title != "[INFO] Merged update #42" || m.Body != "nixpkgs 4c1d9e0 → 9f8e7d6 (6 days newer), home-manager 0a1b2c3 → 5f4e3d2 (7 days newer) by alice" {
		t.Errorf("told as %q, %q", m.Title, m.Body)
	}
	r.Rule.Body = "{{index .Inputs 7}}" // can't be, for this notice
	if m := r.Message(SampleNotice(NoticeMerged), NoticeMerged, "https://x"); !strings.HasPrefix(m.Body, "aurora/nixcfg #42") {
		t.Errorf("in place of a template that fails stands %q", m.Body)
	}
}

func TestStrangersCallNobody(t *testing.T) {
	t.Parallel()
	n := SampleNotice(NoticeBlocked)
	n.Title, n.Reason = "@everyone \x1b[31mlook <!channel>", "@here"
	m := Receiver{}.Message(n, NoticeBlocked, "")
	for _, bad := range []string{"@everyone", "@here", "<!channel", "\x1b"} {
		if strings.Contains(m.Title+m.Body, bad) {
			t.Errorf("the message holds %q: %q", bad, m.Body)
		}
	}
}

func TestADigestListsWhatHappened(t *testing.T) {
	t.Parallel()
	m := Receiver{}.Digest([]Told{{SampleNotice(NoticeMerged), NoticeMerged}, {SampleNotice(NoticeHalted), NoticeHalted}, {SampleNotice(NoticeBlocked), NoticeBlocked}}, "https://x")
	want := "2 Jan 15:04  Merged update #42 (aurora/nixcfg)\n2 Jan 15:04  Deployment halted: 1 of 3 hosts failed (aurora/nixcfg)\n2 Jan 15:04  Update #42 is blocked (aurora/nixcfg)"
	if m.Title != "NixFleet: 3 notices, 1 error and 1 warning among them" || m.Body != want || m.Severity != SeverityError || m.Link != "https://x/activity" {
		t.Errorf("told as %+v", m)
	}
	many := slices.Repeat([]Told{{SampleNotice(NoticeHalted), NoticeHalted}}, 50)
	if m := (Receiver{}).Digest(many, ""); len(m.Body) > maxNoticeBody || !strings.Contains(m.Body, "more") && strings.Count(m.Body, "\n") != 49 {
		t.Errorf("%d characters: %s", len(m.Body), m.Body)
	}
}

func TestTroubles(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)
	o := Overview{
		At: now, GitHub: Hearing{Lost: 2},
		Repos: []RepoView{
			{Repo: Repo{Owner: "a", Name: "good"}, HeadAt: now.Add(-time.Minute)},
			{Repo: Repo{Owner: "a", Name: "broken"}, HeadAt: now, PolicyError: "3:1: no"},
			{Repo: Repo{Owner: "a", Name: "old"}, HeadAt: now.Add(-16 * time.Minute)},
		},
		Hosts: []HostView{
			{Host: Host{Name: "here", LastSeen: now}}, {Host: Host{Name: "asleep", LastSeen: now.Add(-23 * time.Hour)}},
			{Host: Host{Name: "gone", LastSeen: now.Add(-25 * time.Hour)}}, {Host: Host{Name: "never"}},
			{Host: Host{Name: "revoked", LastSeen: now.Add(-90 * time.Hour), RevokedAt: now}},
		},
	}
	var keys []string
	for _, x := range Troubles(o) {
		keys = append(keys, x.Key())
		if x.Reason == "" {
			t.Errorf("%s has no reason", x.Key())
		}
	}
	want := []string{"github_unreadable repo/a/old", "host_offline host/gone", "policy_broken repo/a/broken", "webhooks_lost github"}
	if !slices.Equal(keys, want) {
		t.Errorf("found %v, not %v", keys, want)
	}
}

// The page names every event, as the code knows them.
func TestTheNotificationsPageListsEveryEvent(t *testing.T) {
	t.Parallel()
	const path, from, to = "../docs/notifications.md", "<!-- events -->\n", "<!-- /events -->"
	var b strings.Builder
	b.WriteString("| event | severity | it comes when | a new receiver gets it |\n| --- | --- | --- | --- |\n")
	for _, k := range NoticeKinds() {
		b.WriteString("| `" + string(k.Kind) + "` | " + string(k.Severity) + " | " + k.About + " | " + map[bool]string{true: "yes", false: "no"}[k.Usual] + " |\n")
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(text), from)
	got, after, ok2 := strings.Cut(rest, to)
	if !ok || !ok2 {
		t.Fatalf("%s has no place for the events", path)
	}
	if *updateDocs && got != b.String() {
		if err := os.WriteFile(path, []byte(before+from+b.String()+to+after), 0o644); err != nil {
			t.Fatal(err)
		}
		got = b.String()
	}
	if got != b.String() {
		t.Errorf("the events in %s are not those of the code; run go test ./fleet -run NotificationsPage -update", path)
	}
}
