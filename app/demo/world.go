package demo

import (
	"context"
	"embed"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nixfleet/nixfleet/forge/forgetest"
)

// The repositories of the demo's world.
const (
	fleetRepo    = "demo/fleet"
	motdRepo     = "demo/motd"
	servicesRepo = "demo/services"
	updateBranch = "update_flake_lock_action" // the update-flake-lock action's own default
	robot        = "github-actions[bot]"
)

//go:embed world
var worldFiles embed.FS

// machine is one host of the world.
type machine struct {
	name, role string
	tags       []string
}

// machines are n hosts in three roles; the first of the first two roles are the
// canaries.
func machines(n int) []machine {
	roles := []string{"web", "db", "edge"}
	list := make([]machine, 0, n)
	for i := range n {
		m := machine{role: roles[i%len(roles)]}
		m.name = m.role + strconv.Itoa(i/len(roles)+1)
		m.tags = []string{m.role}
		if i < 2 {
			m.tags = append(m.tags, "canary")
		}
		list = append(list, m)
	}
	return list
}

// world is everything that is not NixFleet: github.com, the people on it, and
// the machines.
type world struct {
	hub      *forgetest.Server
	nix      nixWorld
	dir      string
	machines []machine
	opts     Options

	mu       sync.Mutex // one scenario at a time
	versions int        // of the inputs, so that each update changes something
	opened   int
	branches map[int]string // of the pull requests that were opened
}

// newWorld starts github.com and fills it: two inputs, and the flake whose lock a
// real `nix flake lock` made.
func newWorld(ctx context.Context, dir string, o Options) (_ *world, err error) {
	w := &world{dir: dir, machines: machines(o.Hosts), opts: o, branches: map[int]string{}}
	if w.nix, err = newNixWorld(filepath.Join(dir, "nix")); err != nil {
		return nil, err
	}
	w.hub, err = o.hub(forgetest.Options{Dir: filepath.Join(dir, "github"), Addr: o.GitHubAddr, Now: o.Now})
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			_ = w.hub.Close()
		}
	}()
	for _, repo := range []string{motdRepo, servicesRepo} {
		if _, err = w.hub.AddRepo(forgetest.Repo{Name: repo, NotInstalled: true}); err != nil {
			return nil, err
		}
	}
	// The inputs are old enough that the Lock compartment has something to say.
	old := o.Now().Add(-12 * 24 * time.Hour)
	if err = w.bumpInputs("", old); err != nil {
		return nil, err
	}
	if _, err = w.hub.AddRepo(forgetest.Repo{Name: fleetRepo}); err != nil {
		return nil, err
	}
	// People to sign in as: mallory is no collaborator, and may read the public repository
	// as everybody may.
	for login, permission := range map[string]string{"ada": "admin", "olga": "write", "vic": "read"} {
		if err = w.hub.SetPermission(fleetRepo, login, permission); err != nil {
			return nil, err
		}
	}
	w.hub.AddPerson("mallory")
	if err = w.firstCommit(ctx); err != nil {
		return nil, err
	}
	return w, nil
}

// bumpInputs commits a new version of both inputs. A host named in broken fails
// to start its service after a switch to it.
func (w *world) bumpInputs(broken string, at time.Time) error {
	w.versions++
	text := fmt.Sprintf("{ outputs = _: { text = \"Welcome. This is message %d.\"; }; }\n", w.versions)
	if _, err := w.hub.CommitFiles(motdRepo, forgetest.Commit{Files: map[string]string{"flake.nix": text}, Message: fmt.Sprintf("Message %d", w.versions), Date: at}); err != nil {
		return err
	}
	list := ""
	if broken != "" {
		list = strconv.Quote(broken)
	}
	services := fmt.Sprintf(`{
  outputs = _: {
    version = "1.%d";
    packages = {
      web = [ "nginx-1.%d" "php-8.4.%d" ];
      db = [ "postgresql-17.%d" ];
      edge = [ "haproxy-3.%d" "wireguard-tools-1.0" ];
    };
    broken = [ %s ];
  };
}
`, w.versions, 26+w.versions, w.versions, w.versions, w.versions, list)
	_, err := w.hub.CommitFiles(servicesRepo, forgetest.Commit{
		Files: map[string]string{"flake.nix": services}, Message: fmt.Sprintf("Services 1.%d", w.versions), Date: at,
	})
	return err
}

// firstCommit makes the flake and its lock and pushes both.
func (w *world) firstCommit(ctx context.Context) error {
	roles := map[string]string{}
	for _, m := range w.machines {
		roles[m.name] = m.role
	}
	hosts, err := json.MarshalIndent(roles, "", "  ")
	if err != nil {
		return err
	}
	dir := filepath.Join(w.dir, "flake")
	files := map[string]string{
		"flake.nix": w.file("flake.nix"), "build.sh": w.file("build.sh"),
		".github/nixfleet.yml": w.file("nixfleet.yml"), "hosts.json": string(hosts) + "\n",
	}
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			return err
		}
	}
	if err := git(ctx, dir, "init", "-q", "-b", "main"); err != nil {
		return err
	}
	if err := git(ctx, dir, "add", "-A"); err != nil {
		return err
	}
	if err := w.nix.flake(ctx, dir, "lock"); err != nil {
		return err
	}
	return w.push(ctx, push{dir: dir, branch: "main", message: "Nine machines in three roles", as: "demo"})
}

func (w *world) file(name string) string {
	b, err := worldFiles.ReadFile("world/" + name)
	if err != nil {
		panic(err) // it is embedded
	}
	return strings.NewReplacer(
		"@GITHUB@", w.hub.URL(), "@SYSTEM@", system(), "@HOLD@", w.opts.Hold.String(),
		"@SOAK@", w.opts.Soak.String(), "@BUILD_SECONDS@", strconv.Itoa(int(w.opts.BuildTime/time.Second)),
	).Replace(string(b))
}

// push is a commit of everything in dir, pushed to a branch.
type push struct{ dir, branch, message, as string }

func (w *world) push(ctx context.Context, p push) error {
	if err := git(ctx, p.dir, "add", "-A"); err != nil {
		return err
	}
	who := []string{"-c", "user.name=" + p.as, "-c", "user.email=" + p.as + "@users.noreply.github.com"}
	if err := git(ctx, p.dir, append(who, "commit", "-q", "-m", p.message)...); err != nil {
		return err
	}
	_, err := w.hub.ImportBranch(fleetRepo, forgetest.Import{Dir: p.dir, Branch: p.branch, Pusher: p.as})
	return err
}

// git runs the program apart from the user's own settings.
func git(ctx context.Context, dir string, args ...string) error {
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null", "GIT_TERMINAL_PROMPT=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("git %s: %w\n%s", strings.Join(args, " "), err, out)
	}
	return nil
}
