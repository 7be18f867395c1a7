package app

import (
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nixfleet/nixfleet/agentbus/bustest"
	"github.com/nixfleet/nixfleet/db/dbtest"
	"github.com/nixfleet/nixfleet/forge/forgetest"
	"github.com/rs/zerolog"
	"go.uber.org/goleak"
)

// settings are those of a server against an imitated github.com with one
// repository, on a Postgres that is there already.
func settings(t *testing.T) Config {
	t.Helper()
	hub := forgetest.NewForTest(t, forgetest.Options{})
	_, err := hub.AddRepo(forgetest.Repo{Name: "o/nixcfg"})
	must(t, err)
	_, err = hub.CommitFiles("o/nixcfg", forgetest.Commit{Files: map[string]string{"flake.nix": "{}\n"}, Message: "First"})
	must(t, err)
	dir := t.TempDir()
	file := func(name, content string) string {
		path := filepath.Join(dir, name)
		must(t, os.WriteFile(path, []byte(content), 0o600))
		return path
	}
	return Config{
		Listen: "127.0.0.1:0", NATSListen: "127.0.0.1:0", DataDir: filepath.Join(dir, "data"), DatabaseURL: dbtest.Server(t),
		GitHubAPIURL: hub.APIURL(), GitHubWebURL: hub.URL(), GitHubAppID: hub.AppID,
		GitHubPrivateKeyFile: file("app.pem", string(hub.PrivateKeyPEM)), GitHubSecretFile: file("webhook", webhookSecret),
		Log: zerolog.New(zerolog.NewTestWriter(t)).Level(zerolog.WarnLevel),
	}
}

// The tests in this file count goroutines, so they don't run beside others.

func TestAStoppedServerLeavesNothingBehind(t *testing.T) {
	cfg := settings(t)
	before := goleak.IgnoreCurrent()
	a, err := Start(t.Context(), cfg)
	must(t, err)
	bustest.Eventually(t, "the loops have looked at the repository", func() bool {
		o, err := overview{a}.Overview(t.Context())
		return err == nil && len(o.Repos) == 1 && o.Repos[0].HeadSHA != ""
	})
	client := &http.Client{Transport: &http.Transport{}}
	for _, path := range []string{"/healthz", "/readyz", "/login", "/metrics"} {
		resp, err := client.Get(a.URL() + path)
		must(t, err)
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			t.Errorf("%s: %s", path, resp.Status)
		}
	}
	client.CloseIdleConnections()
	must(t, a.Stop())
	if err := a.Stop(); err != nil {
		t.Errorf("stopped twice: %v", err)
	}
	select {
	case err := <-a.Failed():
		t.Errorf("stopping counts as a failure: %v", err)
	default:
	}
	goleak.VerifyNone(t, before)
	for what, address := range map[string]string{"HTTP": a.listener.Addr().String(), "NATS": strings.TrimPrefix(a.door.urls[0], "nats://")} {
		if !free(t, address) {
			t.Errorf("the port of %s, %s, is still taken", what, address)
		}
	}

	again, err := Start(t.Context(), cfg)
	must(t, err)
	defer func() { must(t, again.Stop()) }()
	if o, err := (overview{again}).Overview(t.Context()); err != nil || len(o.Repos) != 1 {
		t.Errorf("after the next start: %+v, %v, want what was there before", o.Repos, err)
	}
}

func free(t *testing.T, address string) bool {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		return false
	}
	must(t, l.Close())
	return true
}

func TestAStartThatFailsLeavesNothingBehind(t *testing.T) {
	cfg := settings(t)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	t.Cleanup(func() { _ = taken.Close() })
	before := goleak.IgnoreCurrent()
	for name, tt := range map[string]struct {
		spoil func(*Config)
		says  []string
	}{
		"busy port":      {func(c *Config) { c.Listen = taken.Addr().String() }, []string{taken.Addr().String(), "NIXFLEET_LISTEN"}},
		"busy NATS port": {func(c *Config) { c.NATSListen = taken.Addr().String() }, []string{"nats", taken.Addr().String()}},
		"no such database": {func(c *Config) { c.DatabaseURL = strings.Replace(c.DatabaseURL, "test_", "absent_", 1) },
			[]string{"database", "absent_"}},
		"a private key that is none": {func(c *Config) { c.GitHubPrivateKeyFile = c.GitHubSecretFile }, []string{"github", "key"}},
	} {
		t.Run(name, func(t *testing.T) {
			spoiled := cfg
			spoiled.Listen = "127.0.0.1:0"
			tt.spoil(&spoiled)
			a, err := Start(t.Context(), spoiled)
			if err == nil {
				t.Fatal("started", a.Stop())
			}
			for _, s := range tt.says {
				if !strings.Contains(err.Error(), s) {
					t.Errorf("the error %q does not say %q", err, s)
				}
			}
			if strings.Contains(err.Error(), webhookSecret) {
				t.Errorf("the error holds the secret: %v", err)
			}
			goleak.VerifyNone(t, before)
		})
	}

	a, err := Start(t.Context(), cfg) // nothing of the failed ones is in the way
	must(t, err)
	must(t, a.Stop())
}
