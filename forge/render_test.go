package forge

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/nixfleet/nixfleet/fleet"
)

var update = flag.Bool("update", false, "write the golden files anew")

var judged = time.Date(2026, 5, 4, 13, 38, 0, 0, time.UTC)

func view(state fleet.UpdateState, edit func(*CommentView)) CommentView {
	sha := strings.Repeat("ab", 20)
	v := CommentView{DashboardURL: "https://fleet.example.org/updates/7", Update: fleet.Update{
		ID: 7, Number: 42, HeadSHA: sha, HeadSeen: judged, State: state, CheckRunID: 99, CheckSHA: sha,
		Answer: &fleet.Answer{By: fleet.Actor{Login: "ada"}, Command: "/nixfleet status", Text: "holding: <b>two</b>\nlines", Done: true, At: judged},
		Verdict: fleet.Verdict{
			State: state, HeadSHA: sha, At: judged, Headline: "Merges at 14:20 UTC if nothing changes.",
			Inputs: []fleet.InputChange{
				{Path: "nixpkgs", Kind: "updated", From: "github:NixOS/nixpkgs/aaaaaaa", To: "github:NixOS/nixpkgs/bbbbbbb",
					FromRev: strings.Repeat("a", 40), ToRev: strings.Repeat("b", 40),
					FromDate: judged.AddDate(0, 0, -14), ToDate: judged.Add(-30 * time.Hour),
					CompareURL: "https://github.com/NixOS/nixpkgs/compare/" + strings.Repeat("a", 40) + "..." + strings.Repeat("b", 40)},
				{Path: "hyprland/wlroots", Kind: "added", To: "follows 'wlroots'"},
				{Path: "old", Kind: "removed", From: "git+https://git.example.org/old"},
			},
			Conditions: []fleet.Condition{
				{ID: "open", Title: "Open, not a draft", Outcome: fleet.Passed, Found: "Open, update_flake_lock_action onto main."},
				{ID: "dates", Title: "Dates are true", Outcome: fleet.Off, Found: "Nothing to check."},
				{ID: "hold", Title: "Hold has passed", Outcome: fleet.Waiting, Found: "Until 14:20 UTC.", Remedy: "Press Merge & deploy.", Soft: true},
			},
		},
	}}
	if state == fleet.UpdateHolding {
		v.Update.Verdict.HoldUntil = judged.Add(42 * time.Minute)
	}
	if edit != nil {
		edit(&v)
	}
	return v
}

func rolledOut(v *CommentView) {
	v.Update.MergeSHA, v.Update.MergedBy, v.Update.MergedAt = strings.Repeat("cd", 20), "nixfleet[bot]", judged
	v.Update.Verdict.Headline = "Merged by nixfleet[bot] as cdcdcdc."
	v.Rollout = &fleet.Rollout{
		ID: "01J", Commit: strings.Repeat("cd", 20), State: fleet.RolloutRunning, Headline: "Deploying 1/3 hosts…", Reason: "Update #42 was merged",
		Plan: fleet.Plan{Waves: []fleet.Wave{{Name: "canary"}, {Name: "rest"}}},
		Hosts: []fleet.HostProgress{
			{Host: "ada", Wave: 0, State: fleet.HostHealthy, Since: judged},
			{Host: "bob", Wave: 1, State: fleet.HostFailed, Since: judged, Failure: &fleet.HostError{
				Step: "build", Code: "nix", Message: "builder failed", ExitCode: 1, LogTail: "\x1b[31merror:\x1b[0m builder for 'x' failed\n```\n@everyone\n"}},
			{Host: "eve", Wave: 1, State: fleet.HostBuilding, Since: judged},
		},
	}
}

func TestRenderingGolden(t *testing.T) {
	t.Parallel()
	for name, v := range map[string]CommentView{
		"holding":   view(fleet.UpdateHolding, nil),
		"deploying": view(fleet.UpdateMerged, rolledOut),
		"blocked": view(fleet.UpdateBlocked, func(v *CommentView) {
			v.Update.Verdict.Headline = "Blocked: Also changed: README.md."
			v.Update.Verdict.Inputs = nil
			v.Update.Verdict.Conditions[0] = fleet.Condition{ID: "files", Title: "Only lock files are changed", Outcome: fleet.Refused, Found: "Also changed: README.md.", Remedy: "Take these files out of the pull request."}
		}),
		"observed": {Update: fleet.Update{State: fleet.UpdateObserved, HeadSHA: strings.Repeat("ab", 20)}},
	} {
		r := CheckRunFor(v)
		run := fmt.Sprintf("id %d, head %.7s, %s %s\ntitle: %s\nbuttons: %+v\ndetails: %s\n\n%s\n---\n%s", r.ID, r.HeadSHA, r.Status, r.Conclusion, r.Title, r.Actions, r.DetailsURL, r.Summary, r.Text)
		golden(t, name+".comment.md", Comment(v))
		golden(t, name+".run.md", run)
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v; make it with: go test ./forge -run Golden -update", err)
	}
	if d := cmp.Diff(string(want), got); d != "" {
		t.Errorf("%s (-want +got):\n%s", name, d)
	}
}

// hostile is what a branch, an input, a check or a log may be called.
var hostile = []string{
	"@everyone", "<!-- nixfleet:update -->", "<script>alert(1)</script>", "a | b | c", "a`b``c```d", "```\n# title\n```",
	"[click](https://evil.example)", "![x](https://evil.example/x.png)", "line\nbreak\r\nagain\u2028more", "\x00\x1b[31mred", "*b* _i_ ~~s~~",
	"</details></code>", "#1 octo/fleet#2", "www.evil.example", "https://evil.example", `\|`, "\u202egnp.exe", "\xff\xfe", strings.Repeat("x", 100000),
}

func hostileView(s string) CommentView {
	return view(fleet.UpdateState(s), func(v *CommentView) {
		u := &v.Update
		u.Verdict.Headline, u.MergeSHA, u.MergedBy = s, s, s
		u.Verdict.Inputs = []fleet.InputChange{{Path: s, Kind: s, From: s, To: s, CompareURL: "https://github.com/" + s}, {Path: s, FromRev: s, ToRev: s}}
		u.Verdict.Conditions = []fleet.Condition{{ID: s, Title: s, Outcome: fleet.Outcome(s), Found: s, Remedy: s}}
		v.DashboardURL = "https://fleet.example.org/?" + s
		v.Rollout = &fleet.Rollout{Commit: s, State: fleet.RolloutState(s), Headline: s, Reason: s, Plan: fleet.Plan{Waves: []fleet.Wave{{Name: s}}},
			Hosts: []fleet.HostProgress{{Host: s, State: fleet.HostState(s), Failure: &fleet.HostError{Step: s, Message: s, LogTail: s}}}}
	})
}

func TestNothingFromOutsideIsMarkup(t *testing.T) {
	t.Parallel()
	for _, s := range hostile {
		v := hostileView(s)
		run := CheckRunFor(v)
		for where, md := range map[string]string{"comment": Comment(v), "summary": run.Summary, "text": run.Text} {
			inert(t, where, s, md)
		}
		if strings.ContainsAny(run.Title, "\n\r\x00") || len(run.Title) > 255 {
			t.Errorf("title %.80q", run.Title)
		}
	}
}

// inert checks that what GitHub acts on is only ours. Fenced logs are left out, as
// nothing acts in there; that they are closed is checked by their number.
func inert(t *testing.T, where, s, md string) {
	t.Helper()
	if !utf8.ValidString(md) || strings.ContainsAny(md, "\x00\x1b\r\u2028\u202e") {
		t.Errorf("%s of %.40q holds characters that are no text", where, s)
	}
	columns := 0
	fenced := ""
	for line := range strings.Lines(strings.TrimPrefix(md, Marker)) {
		line = strings.TrimRight(line, "\n")
		if fenced != "" {
			if line == fenced {
				fenced = ""
			}
			continue
		}
		if bar, ok := strings.CutSuffix(line, "text"); ok && strings.Trim(bar, "`") == "" && len(bar) >= 3 {
			fenced = bar
			continue
		}
		for _, bad := range []string{"<!--", "@everyone", "<script", "](https://evil", "![", "octo/fleet#2", "`", "</details></code>"} {
			if strings.Contains(line, bad) {
				t.Errorf("%s of %.40q: markup %q in %q", where, s, bad, line)
			}
		}
		if n := strings.Count(line, "|"); strings.HasPrefix(line, "|") {
			if columns != 0 && n != columns {
				t.Errorf("%s of %.40q: a row of %d bars in a table of %d: %.200q", where, s, n, columns, line)
			}
			columns = n
		} else {
			columns = 0
			if n != 0 {
				t.Errorf("%s of %.40q: a bar outside of a table: %q", where, s, line)
			}
		}
	}
	if fenced != "" && len(md) < maxRunText-10 {
		t.Errorf("%s of %.40q: a log is not closed", where, s)
	}
}

func TestRenderingStaysWithinGitHubsLimits(t *testing.T) {
	t.Parallel()
	v := hostileView(strings.Repeat("@|", 5000))
	v.Update.Verdict.Inputs = make([]fleet.InputChange, 5000)
	for i := range v.Update.Verdict.Inputs {
		v.Update.Verdict.Inputs[i] = fleet.InputChange{Path: strings.Repeat("|", 500), From: strings.Repeat("|", 500)}
	}
	hosts := v.Rollout.Hosts
	for range 5000 {
		v.Rollout.Hosts = append(v.Rollout.Hosts, hosts[0])
	}
	r := CheckRunFor(v)
	if n := len(Comment(v)); n > maxComment {
		t.Errorf("comment of %d bytes", n)
	}
	if len(r.Summary) > maxRunText || len(r.Text) > maxRunText {
		t.Errorf("summary of %d, text of %d bytes", len(r.Summary), len(r.Text))
	}
	for _, a := range []CheckAction{actionMerge, actionHold, actionUnhold} {
		if len(a.Label) > maxLabel || len(a.Description) > maxDescription || len(a.Identifier) > maxLabel {
			t.Errorf("button %+v exceeds GitHub's limits", a)
		}
	}
}

func TestButtonsMeanSomething(t *testing.T) {
	t.Parallel()
	held, label := fleet.Condition{ID: "held", Outcome: fleet.Waiting, Soft: true}, fleet.Condition{ID: "label", Outcome: fleet.Waiting, Soft: true}
	hard := fleet.Condition{ID: "files", Outcome: fleet.Refused}
	for name, c := range map[string]struct {
		state fleet.UpdateState
		add   []fleet.Condition
		want  string
	}{
		"on hold by time":   {fleet.UpdateHolding, nil, "merge hold"},
		"held by a person":  {fleet.UpdateReady, []fleet.Condition{held}, "merge unhold"},
		"held by a label":   {fleet.UpdateReady, []fleet.Condition{label}, "merge hold"},
		"held until before": {fleet.UpdateHolding, []fleet.Condition{{ID: "held", Outcome: fleet.Passed, Soft: true}}, "merge hold"},
		"refused for good":  {fleet.UpdateBlocked, []fleet.Condition{hard}, "hold"},
		"refused and held":  {fleet.UpdateBlocked, []fleet.Condition{hard, held}, "unhold"},
		"merging":           {fleet.UpdateMerging, nil, ""},
		"merged":            {fleet.UpdateMerged, nil, ""},
		"closed":            {fleet.UpdateClosed, nil, ""},
		"superseded":        {fleet.UpdateSuperseded, nil, ""},
	} {
		var got []string
		for _, a := range CheckRunFor(view(c.state, func(v *CommentView) {
			v.Update.Verdict.Conditions = append(v.Update.Verdict.Conditions, c.add...)
		})).Actions {
			got = append(got, a.Identifier)
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%s: buttons %v, want %q", name, got, c.want)
		}
	}
}

func TestOnlyAMergeIsASuccess(t *testing.T) {
	t.Parallel()
	for state := range stateTitles {
		r := CheckRunFor(view(state, nil))
		if (r.Conclusion == "success") != (state == fleet.UpdateMerged) || (r.Status == "completed") != (r.Conclusion != "") {
			t.Errorf("%s: %s %q", state, r.Status, r.Conclusion)
		}
	}
	if r := CheckRunFor(view(fleet.UpdateHolding, func(v *CommentView) { v.Update.CheckSHA = "older" })); r.ID != 0 {
		t.Errorf("run %d is reused for a new head SHA", r.ID)
	}
}

func FuzzComment(f *testing.F) {
	for _, s := range hostile[:len(hostile)-1] {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if strings.Contains(s, "`") || strings.Contains(s, "<script") {
			s = "x" + s
		}
		md := Comment(hostileView(s))
		if !utf8.ValidString(md) || len(md) > maxComment || !strings.HasPrefix(md, Marker+"\n") {
			t.Errorf("comment of %q: %.200q", s, md)
		}
	})
}
