package forge

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/nixfleet/nixfleet/forge/forgetest"
)

// create presses the button on GitHub's page for new Apps and returns the code that
// it sends back.
func create(t *testing.T, hub *forgetest.Server, permissions map[string]string, events ...string) string {
	t.Helper()
	manifest, err := json.Marshal(map[string]any{
		"name": "Fleet", "url": "https://fleet.example.org", "redirect_url": "https://fleet.example.org/setup/callback",
		"hook_attributes": map[string]any{"url": "https://fleet.example.org/api/github/hook"}, "default_permissions": permissions, "default_events": events,
	})
	if err != nil {
		t.Fatal(err)
	}
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.PostForm(hub.URL()+"/settings/apps/new?state=s", url.Values{"manifest": {string(manifest)}})
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	to, err := resp.Location()
	if err != nil {
		t.Fatalf("%s, %v", resp.Status, err)
	}
	return to.Query().Get("code")
}

func TestACodeBecomesAnAppOnce(t *testing.T) {
	t.Parallel()
	late := time.Now()
	hub := forgetest.NewForTest(t, forgetest.Options{AuthNow: func() time.Time { return late }})
	config := Config{APIURL: hub.APIURL(), Now: time.Now}
	permissions := map[string]string{"metadata": "read", "contents": "write"}
	code := create(t, hub, permissions, "push")
	made, err := Redeem(t.Context(), config, code)
	if err != nil {
		t.Fatal(err)
	}
	if made.ID != hub.AppID || made.Slug != "nixfleet" || made.ClientID == "" || made.ClientSecret == "" || made.Owner == "" || made.HTMLURL == "" {
		t.Errorf("made %+v", made)
	}
	for _, format := range []string{"%v", "%+v", "%#v", "%s"} {
		said := fmt.Sprintf(format, made)
		if strings.Contains(said, "PRIVATE KEY") || strings.Contains(said, made.WebhookSecret) || strings.Contains(said, made.ClientSecret) {
			t.Errorf("%s shows the secrets: %s", format, said)
		}
	}
	config.AppID, config.PrivateKey = made.ID, made.PrivateKey
	f := must(New(config))(t)
	t.Cleanup(f.Close)
	about := must(f.About(t.Context()))(t)
	if about.ID != made.ID || about.Permissions["contents"] != "write" || len(about.Permissions) != 2 || len(about.Events) != 1 {
		t.Errorf("GitHub has %+v, want what the manifest asked for", about)
	}
	if hook := must(f.Hook(t.Context()))(t); hook.URL != "https://fleet.example.org/api/github/hook" || hook.ContentType != "json" || hook.Insecure || !hook.Secret {
		t.Errorf("the webhook is %+v", hook)
	}
	if at := must(f.Clock(t.Context()))(t); time.Since(at).Abs() > time.Minute {
		t.Errorf("GitHub's clock says %v", at)
	}
	if grants := must(f.Grants(t.Context()))(t); len(grants) != 0 {
		t.Errorf("installed before anybody installed it: %+v", grants)
	}

	old := create(t, hub, permissions, "push")
	late = late.Add(time.Hour + time.Second)
	for name, bad := range map[string]string{"again": code, "too late": old, "made up": strings.Repeat("0", 40), "another address": "../../app", "none": ""} {
		_, err := Redeem(t.Context(), config, bad)
		if !errors.Is(err, ErrManifestCode) || (len(bad) > 8 && strings.Contains(err.Error(), bad)) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAnAppThatGitHubFailsToHandOutIsATypedError(t *testing.T) {
	t.Parallel()
	hub := forgetest.NewForTest(t, forgetest.Options{})
	code := create(t, hub, map[string]string{"contents": "read"}, "push")
	for name, fault := range map[string]forgetest.Fault{
		"5xx":        {Status: http.StatusBadGateway, Times: 1},
		"wrong JSON": {Status: http.StatusCreated, Body: []byte(`{"id":1,"pem":"-----BEGIN`), Times: 1},
		"half":       {Status: http.StatusCreated, Body: []byte(`{"id":1,"pem":"hidden"}`), Times: 1},
	} {
		hub.Inject(fault)
		_, err := Redeem(t.Context(), Config{APIURL: hub.APIURL(), Now: time.Now}, code)
		if e, ok := errors.AsType[*Error](err); !ok || strings.Contains(e.Error(), "BEGIN") || strings.Contains(e.Error(), "hidden") || strings.Contains(e.Error(), code) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
