package app

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func file(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestSettingsNameEveryFaultAtOnce(t *testing.T) {
	t.Parallel()
	c := Config{Listen: "nowhere", URL: "ftp://x", AdminTokenFile: "/does/not/exist", GitHubPrivateKeyFile: "/neither", KeepHistory: 30}
	_, err := c.prepare()
	if err == nil {
		t.Fatal("accepted")
	}
	for _, want := range []string{
		"NIXFLEET_LISTEN", "NIXFLEET_URL", "NIXFLEET_DATA_DIR", "NIXFLEET_ADMIN_TOKEN_FILE",
		"NIXFLEET_KEEP_HISTORY_DAYS", "NIXFLEET_GITHUB_APP_ID", "NIXFLEET_GITHUB_PRIVATE_KEY_FILE", "NIXFLEET_GITHUB_WEBHOOK_SECRET_FILE",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not named in:\n%v", want, err)
		}
	}
}

func TestWebhookSecretsAreOneALineAndAtMostTwo(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		text string
		live int
		ok   bool
	}{
		"one":        {"first\n", 1, true},
		"a rotation": {"new\nold\n", 2, true},
		"none":       {"\n", 0, false},
		"three":      {"a\nb\nc\n", 3, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := Config{
				Listen: "127.0.0.1:0", DataDir: t.TempDir(), GitHubAppID: 1,
				GitHubPrivateKeyFile: file(t, "key"), GitHubSecretFile: file(t, tt.text),
			}
			s, err := c.prepare()
			if (err == nil) != tt.ok || len(s.webhook) != tt.live {
				t.Errorf("%d secrets, error %v", len(s.webhook), err)
			}
			if err != nil && strings.Contains(err.Error(), "first") {
				t.Error("a secret is in the error")
			}
		})
	}
}

func TestHostsGetABusAddressThatTheyCanReach(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ bus, public, want string }{
		{"nats://0.0.0.0:4222", "https://fleet.example.com", "nats://fleet.example.com:4222"},
		{"nats://[::]:4222", "http://[fd00::1]:8080", "nats://[fd00::1]:4222"},
		{"nats://10.1.2.3:4222", "https://fleet.example.com", "nats://10.1.2.3:4222"},
		{"nats://127.0.0.1:4222", "http://127.0.0.1:8080", "nats://127.0.0.1:4222"},
	} {
		if got := reachable(tt.bus, tt.public); got != tt.want {
			t.Errorf("%s behind %s: %s, want %s", tt.bus, tt.public, got, tt.want)
		}
	}
}
