package app

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nixfleet/nixfleet"
	"github.com/nixfleet/nixfleet/forge"
	"github.com/nixfleet/nixfleet/handlers"
)

// backs lists which permission GitHub wants for an event, at least to read.
// https://docs.github.com/en/webhooks/webhook-events-and-payloads
var backs = map[string]string{
	"check_run": "checks", "check_suite": "checks", "issue_comment": "issues", "pull_request": "pull_requests",
	"pull_request_review": "pull_requests", "push": "contents", "repository": "metadata", "status": "statuses", "workflow_run": "actions",
}

func TestTheManifestAsksForWhatIsUsedAndNoMore(t *testing.T) {
	t.Parallel()
	m, err := nixfleet.AppManifest()
	must(t, err)
	if d := cmp.Diff(handlers.Events(), m.Events); d != "" {
		t.Errorf("app.yml subscribes to other events than are handled (-handled +app.yml):\n%s", d)
	}
	for _, event := range m.Events {
		if p, known := backs[event]; !known || m.Permissions[p] == "" {
			t.Errorf("the event %s needs a permission that app.yml does not ask for (%q); GitHub would refuse the manifest", event, p)
		}
	}
	if d := cmp.Diff(forge.Needs(), m.Permissions); d != "" {
		t.Errorf("app.yml asks for other permissions than the calls to GitHub need (-needed +app.yml):\n%s", d)
	}
	for name, missed := range m.Optional {
		if m.Permissions[name] == "" || !strings.HasSuffix(missed, ".") {
			t.Errorf("optional permission %s: asked for as %q, without it: %q", name, m.Permissions[name], missed)
		}
	}
	for _, never := range []string{"workflows", "members", "secrets"} {
		if m.Permissions[never] != "" {
			t.Errorf("app.yml asks for %s, which would let a fault of ours do too much", never)
		}
	}
}

func TestTheManifestIsCompletedForItsServer(t *testing.T) {
	t.Parallel()
	m, err := nixfleet.AppManifest()
	must(t, err)
	text, err := json.Marshal(m.At("https://fleet.example.org/"))
	must(t, err)
	var got map[string]any
	must(t, json.Unmarshal(text, &got))
	want := map[string]any{
		"name": "NixFleet fleet.example.org", "url": "https://fleet.example.org", "public": false, "setup_on_update": false,
		"callback_urls": []any{"https://fleet.example.org/login/github/callback"}, "request_oauth_on_install": false,
		"redirect_url": "https://fleet.example.org/setup/callback", "setup_url": "https://fleet.example.org/setup",
		"hook_attributes": map[string]any{"url": "https://fleet.example.org/api/github/hook", "active": true},
	}
	for key, w := range want {
		if d := cmp.Diff(w, got[key]); d != "" {
			t.Errorf("%s (-want +got):\n%s", key, d)
		}
	}
	if _, sent := got["optional"]; sent {
		t.Error("GitHub would be sent a key that it does not know")
	}
	if long := m.At("https://" + strings.Repeat("a", 40) + ".example.org").Name; len(long) > 34 {
		t.Errorf("the name %q is longer than GitHub allows", long)
	}
	if !slices.IsSorted(m.Events) {
		t.Error("the events are not in order")
	}
}
