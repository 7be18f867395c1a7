package agent

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/nixfleet/nixfleet/agentbus"
	"github.com/nixfleet/nixfleet/agentbus/bustest"
)

// enrolServer is the server's door for hosts, with one good token.
func enrolServer(t *testing.T, bus *bustest.Bus, ttl time.Duration) *httptest.Server {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var req agentbus.EnrollRequest
		if r.URL.Path != enrollPath || json.NewDecoder(r.Body).Decode(&req) != nil || req.Verify(time.Now()) != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		if req.Token == "elsewhere" {
			http.Redirect(w, r, "http://127.0.0.1:1/", http.StatusTemporaryRedirect)
			return
		}
		if req.Token != "good" && req.Token != "" {
			w.Header().Set("Content-Type", "application/problem+json")
			w.WriteHeader(http.StatusForbidden)
			_, _ = w.Write([]byte(`{"title":"Forbidden","detail":"the token is used up"}`))
			return
		}
		token, err := bus.Control.IssueHost(req.Host, req.PublicKey, ttl)
		if err != nil {
			t.Error(err)
		}
		gen := uint64(7)
		if req.Token == "" {
			gen = 99
		}
		_ = json.NewEncoder(w).Encode(agentbus.EnrollReply{
			Fleet: bus.Keys.FleetID(), Host: req.Host, JWT: token, URLs: []string{bus.Broker.URL()},
			OrderKeys: bus.Keys.OrderKeys(), LastGen: gen,
		})
	}))
	t.Cleanup(srv.Close)
	return srv
}

func TestEnroll(t *testing.T) {
	t.Parallel()
	bus := bustest.Start(t)
	srv := enrolServer(t, bus, time.Hour)
	dir := t.TempDir()
	if _, err := LoadIdentity(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("identity before enrolment: %v", err)
	}
	id, err := Enroll(t.Context(), Enrolment{Server: srv.URL + "/", Token: "good", Host: "web1", StateDir: dir})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{seedFile, identityFile} {
		if info, err := os.Stat(statePath(dir, name)); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", name, info.Mode(), err)
		}
	}
	loaded, err := LoadIdentity(dir)
	if err != nil || string(loaded.Seed) != string(id.Seed) || loaded.JWT != id.JWT || loaded.Server != srv.URL {
		t.Errorf("loaded %+v, %v", loaded, err)
	}
	if err := agentbus.FreshRoundTrip(t.Context(), loaded.Bus()); err != nil {
		t.Errorf("the bus does not know the host: %v", err)
	}
	if left := time.Until(loaded.renewAt()); left < 25*time.Minute || left > 31*time.Minute {
		t.Errorf("renewal in %s, want half an hour", left)
	}
	renewed, err := Enroll(t.Context(), Enrolment{Server: srv.URL, Host: "web1", StateDir: dir})
	if err != nil || string(renewed.Seed) != string(id.Seed) || renewed.LastGen != 7 {
		t.Errorf("renewed %d, %v; the key and the first generation stay", renewed.LastGen, err)
	}
}

func TestEnrollRefusals(t *testing.T) {
	t.Parallel()
	srv := enrolServer(t, bustest.Start(t), time.Hour)
	for _, tt := range []struct{ name, server, token, want string }{
		{"spent token", srv.URL, "used", "the token is used up"},
		{"redirect", srv.URL, "elsewhere", "307"},
		{"not a server", "127.0.0.1", "good", "not a URL"},
		{"token in the clear", "http://fleet.example.com", "good", "must begin with https://"},
		{"nobody there", "http://127.0.0.1:1", "good", "refused"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			_, err := Enroll(t.Context(), Enrolment{Server: tt.server, Token: tt.token, Host: "web1", StateDir: dir})
			if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), tt.token) && tt.token != "used" {
				t.Errorf("error %v, want %q", err, tt.want)
			}
			if _, err := LoadIdentity(dir); err == nil {
				t.Error("an identity was kept")
			}
		})
	}
}

func TestServeRenewsTheCertificate(t *testing.T) {
	t.Parallel()
	bus := bustest.Start(t)
	srv := enrolServer(t, bus, 4*time.Second)
	dir := t.TempDir()
	cfg := hostConfig(dir)
	first, err := Enroll(t.Context(), Enrolment{Server: srv.URL, Token: "good", Host: "web1", StateDir: cfg.StateDir})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- Serve(ctx, first, cfg) }()
	eventually(t, "a new certificate for the same key", func() bool {
		now, err := LoadIdentity(cfg.StateDir)
		return err == nil && now.JWT != first.JWT && string(now.Seed) == string(first.Seed)
	})
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
