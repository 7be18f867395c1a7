package handlers

import (
	"crypto/sha256"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nixfleet/nixfleet/fleet"
)

// examples are GitHub's own webhook examples; the tree holds only a few of them.
const examples = "../../shared/github/webhooks"

func payload(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

var (
	hello      = fleet.Repo{ID: 186853002, Owner: "Codertocat", Name: "Hello-World", DefaultBranch: "master"}
	helloOf1   = fleet.Repo{ID: 186853002, Installation: 1, Owner: "Codertocat", Name: "Hello-World", DefaultBranch: "master"}
	octocoders = fleet.Repo{ID: 186853261, Owner: "Octocoders", Name: "Hello-World", DefaultBranch: "master"}
)

const (
	sha1st = "ec26c3e57ca3a959ca5aad62de7213c562f8c821"
	sha2nd = "6113728f27ae82c7b1a177c8d03f9e96e0adf246"
)

func TestInterpretGitHubsExamples(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		app  int64
		want []fleet.Fact
	}{
		"pull_request.opened.12":      {want: []fleet.Fact{fleet.PullTouched{Repo: helloOf1, Number: 2, Cause: "pull_request.opened"}}},
		"pull_request.synchronize.22": {want: []fleet.Fact{fleet.PullTouched{Repo: helloOf1, Number: 2, Cause: "pull_request.synchronize"}}},
		"pull_request.assigned.2":     {want: nil},
		"check_run.completed.2":       {want: []fleet.Fact{fleet.CommitTouched{Repo: hello, SHA: sha1st, Cause: "check_run.completed"}}},
		"check_suite.completed.0":     {want: []fleet.Fact{fleet.CommitTouched{Repo: hello, SHA: sha1st, Cause: "check_suite.completed"}}},
		"status.event.0":              {want: []fleet.Fact{fleet.CommitTouched{Repo: hello, SHA: sha2nd, Cause: "status"}}},
		"push.event.0":                {want: nil}, // a tag
		"push.event.2":                {want: nil}, // a tag, deleted
		"ping.event.0":                {want: nil},
		"check_run.requested_action.6": {app: 25811, want: []fleet.Fact{fleet.Pressed{
			Repo:    fleet.Repo{ID: 9384267, Installation: 690857, Owner: "electron", Name: "electron", DefaultBranch: "master"},
			Numbers: []int{26764}, SHA: "5bd5f196a46b8222fb7484f05faba41a73cf34bd", Action: "lgtm|26764",
			By: fleet.Actor{ID: 2036040, Login: "codebytere", Type: "User"}, Cause: "check_run.requested_action",
		}}},
		"check_suite.rerequested.8": {app: 29310, want: []fleet.Fact{fleet.Pressed{
			Repo:    fleet.Repo{ID: 186853002, Installation: 957387, Owner: "Codertocat", Name: "Hello-World", DefaultBranch: "master"},
			Numbers: []int{2}, SHA: sha1st, Action: "rerun",
			By: fleet.Actor{ID: 49795351, Login: "octocoders-linter[bot]", Type: "Bot"}, Cause: "check_suite.rerequested",
		}}},
		"workflow_run.completed.0": {want: []fleet.Fact{fleet.CommitTouched{
			Repo: fleet.Repo{ID: 283462325, Owner: "Codertocat", Name: "Hello-World", DefaultBranch: "main"},
			SHA:  "5779607b49aab1200488439f02372c57b4f75444", Cause: "workflow_run.completed",
		}}},
		"installation.created.2": {want: []fleet.Fact{fleet.InstallationChanged{
			ID: 957387, Account: "Codertocat", Cause: "installation.created",
			Added: []fleet.Repo{{ID: 186853002, Installation: 957387, Owner: "Codertocat", Name: "Hello-World"}},
		}}},
		"installation.deleted.0": {want: []fleet.Fact{fleet.InstallationChanged{
			ID: 2, Account: "octocat", Removed: true, Cause: "installation.deleted",
			Dropped: []fleet.Repo{{ID: 1296269, Installation: 2, Owner: "octocat", Name: "Hello-World"}},
		}}},
		"installation_repositories.added.0": {want: []fleet.Fact{fleet.InstallationChanged{
			ID: 957387, Account: "Codertocat", Cause: "installation_repositories.added",
			Added: []fleet.Repo{{ID: 186853007, Installation: 957387, Owner: "Codertocat", Name: "Space"}},
		}}},
		"installation_repositories.removed.2": {want: []fleet.Fact{fleet.InstallationChanged{
			ID: 2, Account: "octocat", Cause: "installation_repositories.removed",
			Dropped: []fleet.Repo{{ID: 1296269, Installation: 2, Owner: "octocat", Name: "Hello-World"}},
		}}},
		"issue_comment.created.0":   {want: nil}, // on an issue
		"repository.transferred.10": {want: []fleet.Fact{fleet.RepositoryChanged{Repo: octocoders, Cause: "repository.transferred"}}},
		"repository.edited.4":       {want: []fleet.Fact{fleet.RepositoryChanged{Repo: octocoders, Cause: "repository.edited"}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			event, _, _ := strings.Cut(name, ".")
			got, err := Interpreter{AppID: c.app}.Interpret(event, payload(t, name))
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(c.want, got); d != "" {
				t.Errorf("facts (-want +got):\n%s", d)
			}
		})
	}
}

func TestInterpretWhatTheExamplesLack(t *testing.T) {
	t.Parallel()
	const app = 4711
	sha := strings.Repeat("ab", 20)
	repo := fleet.Repo{ID: 5, Installation: 9, Owner: "o", Name: "r"}
	const head = `"repository":{"id":5,"full_name":"o/r"},"installation":{"id":9},"sender":{"id":3,"login":"eve","type":"User"}`
	eve := fleet.Actor{ID: 3, Login: "eve", Type: "User"}
	run := func(action string, app string) string {
		return `{"action":"` + action + `","check_run":{"head_sha":"` + sha + `","app":{"id":` + app + `},"pull_requests":[` +
			`{"number":1,"base":{"repo":{"id":5}}},{"number":2,"base":{"repo":{"id":6}}}]},"requested_action":{"identifier":"merge"},` + head + `}`
	}
	for name, c := range map[string]struct {
		event, payload string
		want           []fleet.Fact
	}{
		"our own check run is an echo":            {"check_run", run("completed", "4711"), nil},
		"a foreign button is not for us":          {"check_run", run("requested_action", "1"), nil},
		"a run without an app touches its commit": {"check_run", run("created", "0"), []fleet.Fact{fleet.CommitTouched{Repo: repo, SHA: sha, Cause: "check_run.created"}}},
		"our button, without the fork's pull request": {"check_run", run("requested_action", "4711"),
			[]fleet.Fact{fleet.Pressed{Repo: repo, Numbers: []int{1}, SHA: sha, Action: "merge", By: eve, Cause: "check_run.requested_action"}}},
		"our run asked for again": {"check_run", run("rerequested", "4711"),
			[]fleet.Fact{fleet.Pressed{Repo: repo, Numbers: []int{1}, SHA: sha, Action: "rerun", By: eve, Cause: "check_run.rerequested"}}},
		"our own suite is an echo": {"check_suite", `{"action":"requested","check_suite":{"head_sha":"` + sha + `","app":{"id":4711}},` + head + `}`, nil},
		"a branch moved": {"push", `{"ref":"refs/heads/a/b","after":"` + sha + `",` + head + `}`,
			[]fleet.Fact{fleet.BranchMoved{Repo: repo, Branch: "a/b", SHA: sha, Cause: "push"}}},
		"a branch was deleted": {"push", `{"ref":"refs/heads/a","deleted":true,"after":"0000000000000000000000000000000000000000",` + head + `}`,
			[]fleet.Fact{fleet.BranchMoved{Repo: repo, Branch: "a", Cause: "push"}}},
		"a comment on a pull request": {"issue_comment", `{"action":"created","issue":{"number":7,"pull_request":{}},"comment":{"id":8,"body":"Hm.\n/nixfleet hold","user":{"id":3,"login":"eve","type":"User"}},` + head + `}`,
			[]fleet.Fact{fleet.Commented{Repo: repo, Number: 7, Comment: 8, By: eve, Cause: "issue_comment.created"}}},
		"talk between people":                {"issue_comment", `{"action":"created","issue":{"number":7,"pull_request":{}},"comment":{"id":8,"body":"what does /nixfleet hold do?","user":{"id":3,"login":"eve","type":"User"}},` + head + `}`, nil},
		"an edited comment":                  {"issue_comment", `{"action":"edited","issue":{"number":7,"pull_request":{}},"comment":{"id":8,"body":"/nixfleet hold"},` + head + `}`, nil},
		"a comment of a bot":                 {"issue_comment", `{"action":"created","issue":{"number":7,"pull_request":{}},"comment":{"id":8,"body":"/nixfleet hold","user":{"type":"Bot"}},` + head + `}`, nil},
		"a comment through an App":           {"issue_comment", `{"action":"created","issue":{"number":7,"pull_request":{}},"comment":{"id":8,"body":"/nixfleet hold","performed_via_github_app":{"id":1}},` + head + `}`, nil},
		"a suspended installation":           {"installation", `{"action":"suspend","installation":{"id":9,"account":{"login":"o"}}}`, []fleet.Fact{fleet.InstallationChanged{ID: 9, Account: "o", Suspended: true, Cause: "installation.suspend"}}},
		"a resumed installation":             {"installation", `{"action":"unsuspend","installation":{"id":9,"account":{"login":"o"},"suspended_at":"2020"}}`, []fleet.Fact{fleet.InstallationChanged{ID: 9, Account: "o", Cause: "installation.unsuspend"}}},
		"an archived repository":             {"repository", `{"action":"archived",` + head + `}`, []fleet.Fact{fleet.RepositoryChanged{Repo: repo, Removed: true, Cause: "repository.archived"}}},
		"an action not invented yet":         {"pull_request", `{"action":"dreamt","pull_request":{"number":7},` + head + `}`, []fleet.Fact{fleet.PullTouched{Repo: repo, Number: 7, Cause: "pull_request.dreamt"}}},
		"a review":                           {"pull_request_review", `{"action":"submitted","pull_request":{"number":7},` + head + `}`, []fleet.Fact{fleet.PullTouched{Repo: repo, Number: 7, Cause: "pull_request_review.submitted"}}},
		"an event that nobody handles":       {"dolphin_sighted", `{}`, nil},
		"control characters are not kept":    {"repository", `{"action":"\u0000","repository":{"id":5,"full_name":"o\u0000/r\u001b"},"installation":{"id":9}}`, []fleet.Fact{fleet.RepositoryChanged{Repo: repo, Cause: "repository"}}},
		"names are cut where GitHub's stop":  {"push", `{"ref":"refs/heads/` + strings.Repeat("é", 200) + `","after":"` + sha + `",` + head + `}`, []fleet.Fact{fleet.BranchMoved{Repo: repo, Branch: strings.Repeat("é", 127), SHA: sha, Cause: "push"}}},
		"the catch-all is not an event name": {catchAll, `{}`, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := Interpreter{AppID: app}.Interpret(c.event, []byte(c.payload))
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(c.want, got); d != "" {
				t.Errorf("facts (-want +got):\n%s", d)
			}
		})
	}
}

func TestInterpretSaysWhatIsMissing(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ event, payload, says string }{
		"not JSON":           {"pull_request", `{`, "interpret pull_request: parse payload"},
		"another type":       {"push", `{"ref":7}`, "interpret push: parse payload"},
		"no repository":      {"status", `{}`, "names no repository"},
		"no pull request":    {"pull_request", `{"repository":{"id":1}}`, "names no pull request"},
		"no commit":          {"status", `{"repository":{"id":1},"sha":"HEAD"}`, "names no commit"},
		"no commit pushed":   {"push", `{"repository":{"id":1},"ref":"refs/heads/a"}`, "names no commit"},
		"no installation":    {"installation", `{}`, "names no installation"},
		"no comment":         {"issue_comment", `{"action":"created","repository":{"id":1},"issue":{"pull_request":{}},"comment":{"body":"/nixfleet hold"}}`, "names no comment"},
		"an id beyond int64": {"status", `{"repository":{"id":99999999999999999999}}`, "parse payload"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			facts, err := Interpreter{}.Interpret(c.event, []byte(c.payload))
			if err == nil || !strings.Contains(err.Error(), c.says) || facts != nil {
				t.Errorf("= %v, %v; want no facts and an error with %q", facts, err, c.says)
			}
		})
	}
}

func TestInterpretSurvivesAHandlerThatPanics(t *testing.T) {
	readers["test_panic"] = func(string, int64, []byte) ([]fleet.Fact, error) { panic("boom") }
	registered["test_panic"] = true
	t.Cleanup(func() { delete(readers, "test_panic"); delete(registered, "test_panic") })
	if _, err := (Interpreter{}).Interpret("test_panic", nil); err == nil || !strings.Contains(err.Error(), "boom") {
		t.Errorf("err = %v, want the panic as an error", err)
	}
}

// TestEveryExampleIsStoredAndUnderstood sends all of GitHub's examples through the
// real door, then interprets what was stored.
func TestEveryExampleIsStoredAndUnderstood(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(filepath.Join(examples, "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 {
		t.Skipf("SKIPPED: GitHub's webhook examples are not at %s; only those in testdata were tested", examples)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			body, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			event, _, _ := strings.Cut(filepath.Base(file), ".")
			inbox := &memory{}
			r := delivery(event, string(body), func(r *http.Request) {
				r.Header.Set("X-Hub-Signature-256", sign(sha256.New, "sha256", secret, string(body)))
			})
			if w := serve(newHook(t, inbox), r); w.Code != http.StatusAccepted {
				t.Fatalf("answer = %d %s, want 202", w.Code, w.Body)
			}
			for _, d := range inbox.stored {
				if string(d.Payload) != string(body) {
					t.Error("stored other bytes than were sent")
				}
				if _, err := (Interpreter{AppID: 29310}).Interpret(d.Event, d.Payload); err != nil {
					t.Error(err)
				}
			}
			if len(inbox.stored) != 1 {
				t.Errorf("stored %d deliveries, want 1", len(inbox.stored))
			}
		})
	}
}

func FuzzInterpret(f *testing.F) {
	files, err := filepath.Glob("testdata/*.json")
	if err != nil || len(files) == 0 {
		f.Fatalf("no seeds: %v", err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		event, _, _ := strings.Cut(filepath.Base(file), ".")
		f.Add(event, data)
	}
	f.Fuzz(func(t *testing.T, event string, data []byte) {
		facts, err := Interpreter{AppID: 29310}.Interpret(event, data)
		if err != nil && strings.Contains(err.Error(), "panicked") {
			t.Fatal(err)
		}
		if err != nil && facts != nil {
			t.Errorf("both facts %v and error %v", facts, err)
		}
		actionOf(data)
	})
}
