package fleet

import (
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestWhenANoticeIsSent(t *testing.T) {
	t.Parallel()
	night := ReceiverRule{TZ: "Europe/Vienna", QuietFrom: "22:00", QuietTo: "07:00"}
	noon := ReceiverRule{QuietFrom: "12:00", QuietTo: "13:30"}
	daily := ReceiverRule{TZ: "Europe/Vienna", DigestAt: "08:00"}
	every := ReceiverRule{Every: 6}
	both := ReceiverRule{DigestAt: "06:00", QuietFrom: "22:00", QuietTo: "07:00"}
	with := func(r ReceiverRule, change func(*ReceiverRule)) ReceiverRule { change(&r); return r }
	cases := map[string]struct {
		rule      ReceiverRule
		severity  Severity
		at, due   string
		collected bool
	}{
		"no rule":                         {ReceiverRule{}, SeverityInfo, "2026-03-04T12:00:00Z", "2026-03-04T12:00:00Z", false},
		"before the quiet hours":          {night, SeverityInfo, "2026-03-04T20:59:59Z", "2026-03-04T20:59:59Z", false},
		"as they begin":                   {night, SeverityInfo, "2026-03-04T21:00:00Z", "2026-03-05T06:00:00Z", true},
		"after midnight":                  {night, SeverityWarning, "2026-03-05T03:00:00Z", "2026-03-05T06:00:00Z", true},
		"as they end":                     {night, SeverityInfo, "2026-03-05T06:00:00Z", "2026-03-05T06:00:00Z", false},
		"an error gets through":           {night, SeverityError, "2026-03-05T03:00:00Z", "2026-03-05T03:00:00Z", false},
		"unless nothing is urgent":        {with(night, func(r *ReceiverRule) { r.Patient = true }), SeverityError, "2026-03-05T03:00:00Z", "2026-03-05T06:00:00Z", true},
		"warnings too, if one says so":    {with(night, func(r *ReceiverRule) { r.Urgent = SeverityWarning }), SeverityWarning, "2026-03-05T03:00:00Z", "2026-03-05T03:00:00Z", false},
		"within a day":                    {noon, SeverityInfo, "2026-03-05T12:10:00Z", "2026-03-05T13:30:00Z", true},
		"the night that clocks go ahead":  {night, SeverityInfo, "2026-03-28T23:00:00Z", "2026-03-29T05:00:00Z", true},
		"the night that clocks go back":   {night, SeverityInfo, "2026-10-24T23:00:00Z", "2026-10-25T06:00:00Z", true},
		"a digest later today":            {daily, SeverityInfo, "2026-03-04T05:00:00Z", "2026-03-04T07:00:00Z", true},
		"a digest at its very moment":     {daily, SeverityInfo, "2026-03-04T07:00:00Z", "2026-03-04T07:00:00Z", true},
		"a digest tomorrow":               {daily, SeverityInfo, "2026-03-04T07:00:01Z", "2026-03-05T07:00:00Z", true},
		"errors are in no digest":         {daily, SeverityError, "2026-03-04T07:00:01Z", "2026-03-04T07:00:01Z", false},
		"every six hours":                 {every, SeverityInfo, "2026-03-04T07:00:01Z", "2026-03-04T12:00:00Z", true},
		"every six hours, over midnight":  {every, SeverityInfo, "2026-03-04T18:00:01Z", "2026-03-05T00:00:00Z", true},
		"a digest in quiet hours waits":   {both, SeverityInfo, "2026-03-04T15:00:00Z", "2026-03-05T07:00:00Z", true},
		"a rule that nobody understands":  {ReceiverRule{TZ: "Mars/Olympus", DigestAt: "08:00"}, SeverityInfo, "2026-03-04T15:00:00Z", "2026-03-04T15:00:00Z", false},
		"quiet hours that are not a time": {ReceiverRule{QuietFrom: "ten", QuietTo: "07:00"}, SeverityInfo, "2026-03-04T23:00:00Z", "2026-03-04T23:00:00Z", false},
	}
	for name, c := range cases {
		at, err := time.Parse(time.RFC3339, c.at)
		if err != nil {
			t.Fatal(err)
		}
		due, collected := c.rule.When(c.severity, at)
		if got := due.UTC().Format(time.RFC3339); got != c.due || collected != c.collected {
			t.Errorf("%s: at %s, collected %v; expected %s, %v", name, got, collected, c.due, c.collected)
		}
	}
}

func drawRule(t *rapid.T) ReceiverRule {
	clocks := rapid.SampledFrom([]string{"", "00:00", "02:30", "07:00", "12:00", "22:00", "23:59"})
	r := ReceiverRule{
		TZ:        rapid.SampledFrom([]string{"", "Europe/Vienna", "America/St_Johns", "Pacific/Apia", "Australia/Lord_Howe"}).Draw(t, "tz"),
		QuietFrom: clocks.Draw(t, "from"), QuietTo: clocks.Draw(t, "to"), DigestAt: clocks.Draw(t, "digest"),
		Every: rapid.IntRange(0, 12).Draw(t, "every"), Patient: rapid.Bool().Draw(t, "patient"),
		Urgent: rapid.SampledFrom(append(Severities(), "")).Draw(t, "urgent"),
	}
	return r
}

// Whatever the rule: nothing is lost and nothing comes twice, nothing comes before it
// happened or more than two days later, and nothing that is not urgent comes in quiet
// hours.
func TestNothingIsLostAndNothingComesTwice(t *testing.T) {
	t.Parallel()
	begin := time.Date(2026, 3, 27, 0, 0, 0, 0, time.UTC)
	rapid.Check(t, func(t *rapid.T) {
		rule := drawRule(t)
		type waiting struct {
			id        int
			due       time.Time
			collected bool
		}
		var queue []waiting
		happened := map[int]time.Time{}
		for i := range rapid.IntRange(0, 80).Draw(t, "n") {
			at := begin.Add(time.Duration(rapid.IntRange(0, 72*60).Draw(t, "minute")) * time.Minute)
			s := rapid.SampledFrom(Severities()).Draw(t, "severity")
			due, collected := rule.When(s, at)
			if due.Before(at) || due.Sub(at) > 49*time.Hour {
				t.Fatalf("what happens at %s is sent at %s", at, due)
			}
			if loc, _ := zone(rule.TZ); collected && !rule.quietUntil(loc, due).Equal(due) {
				t.Fatalf("%s lies in the quiet hours of %+v", due, rule)
			}
			happened[i], queue = at, append(queue, waiting{i, due, collected})
		}
		times := map[int]int{}
		for now := begin; len(queue) > 0; now = now.Add(time.Minute) {
			for {
				var due []waiting
				for _, w := range queue {
					if !w.due.After(now) {
						due = append(due, w)
					}
				}
				if len(due) == 0 {
					break
				}
				flags := make([]bool, len(due))
				for i, w := range due {
					flags[i] = w.collected
				}
				next := NextMessage(flags)
				if len(next) == 0 || len(next) > togetherMost {
					t.Fatalf("%d notices are due and the next message is about %d", len(due), len(next))
				}
				for _, i := range next {
					times[due[i].id]++
					queue = slices.DeleteFunc(queue, func(w waiting) bool { return w.id == due[i].id })
				}
			}
		}
		for id := range happened {
			if times[id] != 1 {
				t.Fatalf("notice %d was sent %d times", id, times[id])
			}
		}
	})
}

func TestWhatGoesIntoOneMessage(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		alone, collected int
		want             int
	}{
		"nothing":             {0, 0, 0},
		"one":                 {1, 0, 1},
		"a few go alone":      {4, 9, 1},
		"a flood is one":      {5, 9, 5},
		"a digest":            {0, 9, 9},
		"a digest that great": {0, 90, togetherMost},
	} {
		flags := append(make([]bool, c.alone), slices.Repeat([]bool{true}, c.collected)...)
		if got := NextMessage(flags); len(got) != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestWhoIsToldWhat(t *testing.T) {
	t.Parallel()
	ops := Receiver{ID: 1, Name: "ops", Enabled: true, Rule: ReceiverRule{On: []NoticeKind{NoticeMerged, NoticeFailed}, Repos: []string{"aurora/nixcfg"}}}
	merged := Notice{Repo: "aurora/nixcfg", Kinds: []NoticeKind{NoticeMerged}}
	off, severe, silent := ops, ops, ops
	off.Enabled, severe.Rule.Least, silent.Rule.On = false, SeverityError, nil
	for name, c := range map[string]struct {
		r     Receiver
		n     Notice
		rules []NotifyRule
		want  NoticeKind
	}{
		"what it asks for":                      {ops, merged, nil, NoticeMerged},
		"what it does not ask for":              {ops, Notice{Repo: "aurora/nixcfg", Kinds: []NoticeKind{NoticeReady}}, nil, ""},
		"of another repository":                 {ops, Notice{Repo: "aurora/other", Kinds: []NoticeKind{NoticeMerged}}, nil, ""},
		"of no repository":                      {ops, Notice{Kinds: []NoticeKind{NoticeFailed}}, nil, NoticeFailed},
		"below its severity":                    {severe, merged, nil, ""},
		"it is off":                             {off, merged, []NotifyRule{{To: "ops"}}, ""},
		"a policy names it":                     {silent, merged, []NotifyRule{{To: "ops", On: []string{"merged"}}}, NoticeMerged},
		"a policy names it, for everything":     {silent, merged, []NotifyRule{{To: "ops"}}, NoticeMerged},
		"a policy names it, for something else": {silent, merged, []NotifyRule{{To: "ops", On: []string{"failed"}}}, ""},
		"a policy names another":                {silent, merged, []NotifyRule{{To: "dev"}}, ""},
		"two things at once, the first":         {ops, Notice{Kinds: []NoticeKind{NoticeFailed, NoticeMerged}}, nil, NoticeFailed},
		"two things at once, the other":         {ops, Notice{Kinds: []NoticeKind{NoticeReady, NoticeMerged}}, nil, NoticeMerged},
		"its own test, also while off":          {off, Notice{Kinds: []NoticeKind{NoticeTest}, Receiver: 1}, nil, NoticeTest},
		"another's test":                        {ops, Notice{Kinds: []NoticeKind{NoticeTest}, Receiver: 2}, []NotifyRule{{To: "ops"}}, ""},
	} {
		if got, ok := c.r.Wants(c.n, c.rules); got != c.want || ok != (c.want != "") {
			t.Errorf("%s: told as %q", name, got)
		}
	}
}

func TestRulesAreValidated(t *testing.T) {
	t.Parallel()
	if faults := (ReceiverRule{On: UsualNotices(), TZ: "Europe/Vienna", QuietFrom: "22:00", QuietTo: "07:00", DigestAt: "08:00", Repos: []string{"a/b"}, Title: "{{upper .Event}}: {{.Title}}"}).Validate(); len(faults) > 0 {
		t.Errorf("a good rule has %v", faults)
	}
	for name, c := range map[string]struct {
		rule  ReceiverRule
		field string
		says  string
	}{
		"an unknown event":        {ReceiverRule{On: []NoticeKind{"everything"}}, "on", "there are opened"},
		"a test can't be asked":   {ReceiverRule{On: []NoticeKind{NoticeTest}}, "on", "no event"},
		"an unknown severity":     {ReceiverRule{Least: "fatal"}, "least", "info, warning and error"},
		"a zone":                  {ReceiverRule{TZ: "Local"}, "tz", "Europe/Vienna"},
		"half of quiet hours":     {ReceiverRule{QuietFrom: "22:00"}, "quiet_to", "time of day"},
		"quiet hours of nothing":  {ReceiverRule{QuietFrom: "22:00", QuietTo: "22:00"}, "quiet_to", "the same"},
		"two kinds of digest":     {ReceiverRule{DigestAt: "08:00", Every: 2}, "digest_every", "not both"},
		"a digest once a week":    {ReceiverRule{Every: 168}, "digest_every", "1 to 12"},
		"a repository":            {ReceiverRule{Repos: []string{"nixcfg"}}, "repos", "owner/name"},
		"a template's syntax":     {ReceiverRule{Body: "{{.Title"}, "body", "unclosed"},
		"a template's field":      {ReceiverRule{Title: "{{.Nothing}}"}, "title", "Nothing"},
		"a template that loops":   {ReceiverRule{Body: "{{range 1000000000}}{{end}}"}, "body", "range is not needed"},
		"a loop within":           {ReceiverRule{Body: "{{if .Repo}}{{with .Repo}}{{range 9}}{{end}}{{end}}{{end}}"}, "body", "range is not needed"},
		"a template of templates": {ReceiverRule{Body: `{{define "a"}}{{template "a"}}{{end}}{{template "a"}}`}, "body", "one is enough"},
		"a title of nothing":      {ReceiverRule{Title: "{{if false}}x{{end}}"}, "title", "empty"},
		"a template too long":     {ReceiverRule{Body: strings.Repeat("x", 5000)}, "body", "at most"},
		"a padding too wide":      {ReceiverRule{Body: `{{printf "%200000d" 1}}`}, "body", "no receiver takes"},
	} {
		faults := c.rule.Validate()
		if len(faults) != 1 || faults[0].Field != c.field || !strings.Contains(faults[0].Text, c.says) {
			t.Errorf("%s: %v", name, faults)
		}
	}
}
