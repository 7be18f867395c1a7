package app

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nixfleet/nixfleet/agentbus/bustest"
	"github.com/nixfleet/nixfleet/api"
	"github.com/nixfleet/nixfleet/db"
	"github.com/nixfleet/nixfleet/db/dbtest"
	"github.com/nixfleet/nixfleet/fleet"
)

// A backup is of use only if a server comes of it: the same fleet, the same keys, the
// same hosts.
func TestARestoredServerIsTheOneThatWasBackedUp(t *testing.T) {
	t.Parallel()
	cfg := settings(t)
	cfg.AdminTokenFile = filepath.Join(t.TempDir(), "token")
	must(t, os.WriteFile(cfg.AdminTokenFile, []byte(adminSecret), 0o600))
	first, err := Start(t.Context(), cfg)
	must(t, err)
	stopped := false
	defer func() {
		if !stopped {
			must(t, first.Stop())
		}
	}()
	bustest.Eventually(t, "the repository is known", func() bool {
		o, err := overview{first}.Overview(t.Context())
		return err == nil && len(o.Repos) == 1
	})
	client := &api.Client{Server: first.URL(), Token: adminSecret}
	if _, err := client.NewHost(t.Context(), api.NewHost{Name: "web1", Attr: "nixosConfigurations.web1"}); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "backup.tar")
	kept := Kept{DataDir: cfg.DataDir, DatabaseURL: cfg.DatabaseURL}
	m, err := Backup(t.Context(), kept, file, time.Now())
	must(t, err)
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 || m.Bytes == 0 || m.Files[0] != "keys.json" {
		t.Errorf("%v, %+v: %v", info.Mode(), m, err)
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(file), ".nixfleet-*")); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
	if _, err := Backup(t.Context(), kept, file, time.Now()); err == nil || !strings.Contains(err.Error(), "not overwritten") {
		t.Errorf("over an earlier one: %v", err)
	}
	if _, err := Restore(t.Context(), kept, file); err == nil || !strings.Contains(err.Error(), "empty directory") {
		t.Errorf("over a running server: %v", err)
	}
	id := first.keys.FleetID()
	must(t, first.Stop())
	stopped = true

	// On a machine that has no directory yet and uses a database elsewhere.
	elsewhere := Kept{DataDir: filepath.Join(t.TempDir(), "not", "yet"), DatabaseURL: dbtest.Server(t)}
	_, err = Restore(t.Context(), elsewhere, file)
	must(t, err)
	for _, name := range m.Files {
		was, err := os.ReadFile(filepath.Join(cfg.DataDir, name))
		must(t, err)
		is, err := os.ReadFile(filepath.Join(elsewhere.DataDir, name))
		if err != nil || string(is) != string(was) {
			t.Errorf("%s is not what it was: %v", name, err)
		}
	}
	if left, err := os.ReadDir(elsewhere.DataDir); err != nil || len(left) != len(m.Files) {
		t.Errorf("restored %v, want %q: %v", left, m.Files, err)
	}

	cfg.DataDir, cfg.DatabaseURL = filepath.Join(t.TempDir(), "new"), "" // and into a private Postgres
	if _, err := Restore(t.Context(), Kept{DataDir: cfg.DataDir}, file); err != nil {
		t.Fatal(err)
	}
	second, err := Start(t.Context(), cfg)
	must(t, err)
	defer func() { must(t, second.Stop()) }()
	if got := second.keys.FleetID(); got != id {
		t.Errorf("it is the fleet %s, want %s", got, id)
	}
	hosts, err := (&api.Client{Server: second.URL(), Token: adminSecret}).Hosts(t.Context(), fleet.HostFilter{})
	if err != nil || len(hosts) != 1 || hosts[0].Name != "web1" {
		t.Errorf("hosts: %+v, %v", hosts, err)
	}
}

func TestABackupThatIsNoneIsRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if _, err := Backup(t.Context(), Kept{DataDir: dir}, filepath.Join(dir, "b"), time.Now()); err == nil || !strings.Contains(err.Error(), "NIXFLEET_DATA_DIR") {
		t.Errorf("of nothing: %v", err)
	}
	for name, text := range map[string]string{"text": "hello", "empty": "", "zeroes": strings.Repeat("\x00", 2048)} {
		file := filepath.Join(dir, name)
		must(t, os.WriteFile(file, []byte(text), 0o600))
		if _, err := Restore(t.Context(), Kept{DataDir: filepath.Join(dir, "data")}, file); err == nil || !strings.Contains(err.Error(), "no backup") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "data")); err == nil {
		t.Error("a file that is no backup made a directory")
	}
	address := dbtest.Server(t)
	d, err := db.Open(t.Context(), db.Options{URL: address})
	must(t, err)
	d.Close()
	if err := db.Load(t.Context(), address, strings.NewReader("")); !errors.Is(err, db.ErrConflict) {
		t.Errorf("into a database with tables: %v", err)
	}
}
