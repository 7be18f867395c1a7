package agent

import (
	"bytes"
	"compress/gzip"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nixfleet/nixfleet/agentbus"
)

// nix runs a program of the tests' own store in dir.
func (r *rig) nix(dir string, args ...string) {
	r.t.Helper()
	cmd := exec.Command("nix", args...)
	cmd.Dir, cmd.Env = dir, environ(nixEnv...)
	if out, err := cmd.CombinedOutput(); err != nil {
		r.t.Fatalf("nix %v: %v\n%s", args, err, out)
	}
}

// input is a repository that a flake can name, and how to change it.
func (r *rig) input() (url string, change func() (rev string)) {
	r.t.Helper()
	dir := r.t.TempDir()
	n := 0
	change = func() string {
		n++
		if err := os.WriteFile(filepath.Join(dir, "flake.nix"), fmt.Appendf(nil, "{ outputs = _: { n = %d; }; }\n", n), 0o644); err != nil {
			r.t.Fatal(err)
		}
		here := &rig{t: r.t, repo: dir}
		here.git("add", "--all")
		here.git("-c", "user.name=nobody", "-c", "user.email=nobody@example.com", "commit", "--quiet", "-m", "change")
		return here.git("rev-parse", "HEAD")
	}
	(&rig{t: r.t, repo: dir}).git("init", "--quiet", "--initial-branch=main")
	change()
	return "git+file://" + dir, change
}

// revs are the revisions of the root inputs in a lock that an answer brought.
func revs(t *testing.T, a agentbus.Answer) map[string]string {
	t.Helper()
	z, err := gzip.NewReader(bytes.NewReader(a.Lock))
	if err != nil {
		t.Fatalf("lock of %+v: %v", a, err)
	}
	data, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Nodes map[string]struct{ Locked struct{ Rev string } }
	}
	if err := json.Unmarshal(data, &file); err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for name, n := range file.Nodes {
		if n.Locked.Rev != "" {
			out[name] = n.Locked.Rev
		}
	}
	return out
}

func TestInputsAreUpdatedInAThrowAwayCheckout(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	a, changeA := r.input()
	b, changeB := r.input()
	// The flake is in a directory of its repository, and tries to set what Nix does.
	r.put(map[string]string{"nix/flake.nix": fmt.Sprintf(`{
  nixConfig.substituters = [ "http://127.0.0.1:1" ];
  inputs = { a.url = "%s"; b.url = "%s"; };
  outputs = _: { };
}
`, a, b)})
	r.nix(filepath.Join(r.repo, "nix"), "flake", "lock")
	commit := r.put(nil)
	newA, newB := changeA(), changeB()
	r.start()
	update := func(inputs ...string) agentbus.Order {
		return r.send(agentbus.KindUpdateInputs, commit, func(o *agentbus.Order) { o.LockFile, o.Inputs = "nix/flake.lock", inputs })
	}

	got := r.await(update("a"), agentbus.StepHealthy)
	if now := revs(t, got); now["a"] != newA || now["b"] == newB || now["b"] == "" || got.Note != "updated a" {
		t.Errorf("note %q, inputs %v; want a at %s, b as it was", got.Note, now, newA)
	}
	all := update()
	got = r.await(all, agentbus.StepHealthy)
	if now := revs(t, got); now["a"] != newA || now["b"] != newB || got.Note != "updated a, b" {
		t.Errorf("note %q, inputs %v; want %s and %s", got.Note, now, newA, newB)
	}
	if steps := r.steps(all); steps != "received fetching building healthy" {
		t.Errorf("steps %q", steps)
	}
	// Nothing of it stays on the host, and its own checkout was not touched.
	if left, err := os.ReadDir(r.path("state", throwAwayDir)); err != nil || len(left) > 0 || got.Facts.CheckoutCommit != "" {
		t.Errorf("left %v (%v), checkout at %q", left, err, got.Facts.CheckoutCommit)
	}

	r.nix(filepath.Join(r.repo, "nix"), "flake", "update")
	commit = r.put(nil)
	if got = r.await(update(), agentbus.StepHealthy); got.Note != "all inputs are current" || len(got.Lock) > 0 {
		t.Errorf("nothing to update: note %q, lock of %d bytes", got.Note, len(got.Lock))
	}
}

func TestUpdatesOfInputsThatFail(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	victim := r.path("victim")
	r.touch(victim)
	url, _ := r.input()
	flake := fmt.Sprintf(`{ inputs.a.url = "%s"; outputs = _: { }; }`, url)
	r.put(map[string]string{"flake.nix": flake})
	r.nix(r.repo, "flake", "lock")
	lock, err := os.ReadFile(filepath.Join(r.repo, "flake.lock"))
	if err != nil {
		t.Fatal(err)
	}
	r.start()
	for _, c := range []struct {
		name  string
		files map[string]string
		edit  func(*agentbus.Order)
		code  string
		says  string
	}{
		{"an input that is not there", map[string]string{"flake.lock": string(lock)}, func(o *agentbus.Order) { o.Inputs = []string{"b"} }, "unknown_input", "there are: a"},
		{"an input out of reach", map[string]string{"flake.nix": strings.Replace(flake, url, "git+file:///nowhere", 1)}, nil, "update_failed", "nowhere"},
		{"a lock elsewhere", nil, func(o *agentbus.Order) { o.LockFile = "sub/flake.lock" }, "no_lock", "no such file"},
		{"a lock that is a link out of it", map[string]string{"flake.nix": flake, "flake.lock": "->" + victim}, nil, "no_lock", ""},
	} {
		commit := r.put(c.files)
		o := r.send(agentbus.KindUpdateInputs, commit, func(o *agentbus.Order) {
			if c.edit != nil {
				c.edit(o)
			}
		})
		a := r.await(o, agentbus.StepFailed)
		if c.code != "" && a.Error.Code != c.code || !strings.Contains(a.Error.Message+a.Error.LogTail, c.says) || len(a.Lock) > 0 {
			t.Errorf("%s: %+v", c.name, a.Error)
		}
	}
	if data, err := os.ReadFile(victim); err != nil || len(data) > 0 {
		t.Errorf("a file of the host now says %q (%v)", data, err)
	}
}

func TestALinkedLockIsNotRead(t *testing.T) {
	t.Parallel()
	c := checkout{dir: t.TempDir()}
	for name, to := range map[string]string{"inside": "real", "outside": "/etc/passwd"} {
		if err := os.Symlink(to, filepath.Join(c.dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(c.dir, "real"), []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"inside", "outside", "../x", "missing"} {
		if data, err := c.plain(name); err == nil {
			t.Errorf("%s: read as %q", name, data)
		}
	}
	if data, err := c.plain("real"); err != nil || string(data) != "{}" {
		t.Errorf("a plain one: %q, %v", data, err)
	}
}

func TestUpdateOrdersThatAreRefused(t *testing.T) {
	t.Parallel()
	good := testOrder(1, agentbus.KindUpdateInputs)
	for _, file := range []string{"", "flake.lock", "nix/hosts/flake.lock"} {
		if good.LockFile = file; checkOrder(good, NixOS) != nil {
			t.Errorf("%q is refused: %s", file, checkOrder(good, NixOS).Message)
		}
	}
	for _, file := range []string{"/etc/flake.lock", "../flake.lock", "a/../flake.lock", "a//flake.lock", ".", "-f", ".git/config", "a/.GIT/x", "a\nb", `a\b`, "a:b"} {
		o := good
		o.LockFile = file
		if bad := checkOrder(o, NixOS); bad == nil || bad.Code != agentbus.RefusedMalformed {
			t.Errorf("the lock file %q: %+v", file, bad)
		}
	}
	for _, input := range []string{"", "--option", "-a", "a/b", "a b", "a\x00", strings.Repeat("a", 101)} {
		o := good
		o.Inputs = []string{"nixpkgs", input}
		if bad := checkOrder(o, NixOS); bad == nil || bad.Code != agentbus.RefusedMalformed {
			t.Errorf("the input %q: %+v", input, bad)
		}
	}
}

func TestNixIsAskedInTheWordsOfItsVersion(t *testing.T) {
	t.Parallel()
	for version, want := range map[string]bool{
		"nix (Nix) 2.8.0": false, "nix (Nix) 2.18.9": false, "nix (Nix) 2.19.0": true, "nix (Nix) 2.31.2\n": true, "nix (Nix) 3.0.0": true,
		"nix (Nix) 2.20.0pre20231110_abcdef": true, "nix (Lix, like Nix) 2.91.1": true, "nix (Determinate Nix 3.6.2) 2.29.0": true,
	} {
		if got, err := takesNames(version); err != nil || got != want {
			t.Errorf("%s: %v, %v; want %v", version, got, err, want)
		}
	}
	if _, err := takesNames("nix"); err == nil {
		t.Error("what is no version is taken for one")
	}
}

func TestALockThatNoAnswerTakesIsRefusedInWords(t *testing.T) {
	t.Parallel()
	noise := make([]byte, 300<<10)
	_, _ = rand.Read(noise)
	if _, err := pack(noise); err == nil || !strings.Contains(err.Error(), "the new lock has 307200 bytes") {
		t.Errorf("noise: %v", err)
	}
	// Half of a lock is hashes, which don't pack; the other half is words that do.
	var lock bytes.Buffer
	for lock.Len() < 300<<10 {
		var rev, hash [20]byte
		_, _ = rand.Read(rev[:])
		_, _ = rand.Read(hash[:])
		fmt.Fprintf(&lock, `"nixpkgs_%d": {"locked": {"lastModified": 1700000000, "narHash": "sha256-%x", "owner": "NixOS", "repo": "nixpkgs", "rev": "%x", "type": "github"}},`, lock.Len(), hash, rev)
	}
	if packed, err := pack(lock.Bytes()); err != nil {
		t.Error(err)
	} else {
		t.Logf("a lock of %d bytes is packed into %d", lock.Len(), len(packed))
	}
}
