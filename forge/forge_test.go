package forge

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"github.com/nixfleet/nixfleet/fleet"
	"github.com/nixfleet/nixfleet/forge/forgetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	fleetRepo = "octo/fleet"
	inputRepo = "octo/input"
	botLogin  = "github-actions[bot]"
	botID     = 41898282
)

// site is an imitated github.com with a fleet's repository, one of its inputs, and
// a door to it.
type site struct {
	*forgetest.Server
	t       *testing.T
	ctx     context.Context
	forge   *Forge
	repo    fleet.Repo
	oldRev  string // of the input
	newRev  string
	newDate time.Time
}

func must[T any](v T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func newSite(t *testing.T, o forgetest.Options) *site {
	t.Helper()
	server := forgetest.NewForTest(t, o)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	s := &site{Server: server, t: t, ctx: ctx, newDate: time.Date(2026, 4, 2, 10, 0, 0, 0, time.UTC)}
	must(s.AddRepo(forgetest.Repo{Name: inputRepo, Org: true, NotInstalled: true}))(t)
	s.oldRev = s.commit(inputRepo, forgetest.Commit{Files: map[string]string{"a": "1"}, Date: s.newDate.AddDate(0, -1, 0)})
	s.newRev = s.commit(inputRepo, forgetest.Commit{Files: map[string]string{"a": "2"}, Date: s.newDate})
	id := must(s.AddRepo(forgetest.Repo{Name: fleetRepo, Org: true}))(t)
	s.commit(fleetRepo, forgetest.Commit{Files: map[string]string{"flake.lock": s.lock(s.oldRev, s.newDate.AddDate(0, -1, 0)), "flake.nix": "{}\n"}})
	s.repo = fleet.Repo{ID: id, Installation: s.InstallationID(fleetRepo), Owner: "octo", Name: "fleet", DefaultBranch: "main"}
	s.forge = s.open(time.Now, nil)
	return s
}

// open makes another door, with a clock and perhaps a transport of its own.
func (s *site) open(now func() time.Time, transport http.RoundTripper) *Forge {
	s.t.Helper()
	f, err := New(Config{
		APIURL: s.APIURL(), AppID: s.AppID, PrivateKey: s.PrivateKeyPEM, UserAgent: "nixfleet-test",
		Now: now, Transport: transport, Log: zerolog.Nop(),
	})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(f.Close)
	return f
}

func (s *site) commit(repo string, c forgetest.Commit) string {
	s.t.Helper()
	if c.Message == "" {
		c.Message = "Change\n"
	}
	return must(s.CommitFiles(repo, c))(s.t)
}

// lock is a flake.lock with one input at rev.
func (s *site) lock(rev string, date time.Time) string {
	return fmt.Sprintf(`{
  "nodes": {
    "input": {
      "locked": {"lastModified": %d, "narHash": "sha256-%043d=", "owner": "octo", "repo": "input", "rev": "%s", "type": "github"},
      "original": {"owner": "octo", "repo": "input", "type": "github"}
    },
    "root": {"inputs": {"input": "input"}}
  },
  "root": "root",
  "version": 7
}
`, date.Unix(), date.Unix(), rev)
}

const updateBranch = "update_flake_lock_action"

// update opens the pull request that update-flake-lock opens; extra files go along.
func (s *site) update(extra map[string]string) (number int, head string) {
	s.t.Helper()
	files := map[string]string{"flake.lock": s.lock(s.newRev, s.newDate)}
	for path, content := range extra {
		files[path] = content
	}
	head = s.commit(fleetRepo, forgetest.Commit{Branch: updateBranch, Author: botLogin, Files: files, Message: "flake.lock: Update\n"})
	return must(s.OpenPull(fleetRepo, forgetest.Pull{Head: updateBranch, Title: "flake.lock: Update"}))(s.t), head
}

func (s *site) snapshot(number int) fleet.Snapshot {
	s.t.Helper()
	return must(s.forge.Snapshot(s.ctx, s.repo, number, Kept{}))(s.t)
}

// readCounts adds up the calls since the last ResetCalls.
func (s *site) readCounts() (full, notModified int) {
	for _, c := range s.Calls() {
		full, notModified = full+c.Full, notModified+c.NotModified
	}
	return full, notModified
}

// testKey is a throw-away key of an App.
func testKey(t *testing.T) []byte {
	t.Helper()
	key := must(rsa.GenerateKey(rand.Reader, 2048))(t)
	return pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})
}
