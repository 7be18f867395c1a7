package demo

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/nixfleet/nixfleet/api"
	"github.com/nixfleet/nixfleet/app"
	"github.com/nixfleet/nixfleet/fleet"
	"github.com/nixfleet/nixfleet/forge/forgetest"
	"github.com/rs/zerolog"
)

// Options are the flags of `nixfleet demo`.
type Options struct {
	Hosts         int
	Hold          time.Duration // of the policy in the demo's repository
	Addr          string        // of the server
	GitHubAddr    string        // of the imitated github.com
	Dir           string        // kept when set; a temporary directory otherwise
	UntilDeployed bool          // open one update, wait until it runs everywhere, end
	JSON          bool          // print the summary as JSON

	Soak      time.Duration // after the canary wave
	BuildTime time.Duration // of one host's system
	CITime    time.Duration // of the imitated CI workflow

	Out   io.Writer // what people read
	Log   zerolog.Logger
	Now   func() time.Time
	Agent RunAgent

	hub func(forgetest.Options) (*forgetest.Server, error) // tests add validation
}

// RunAgent enrols and runs one agent until ctx ends. It is the one seam between
// the demo and the program that runs on hosts.
type RunAgent func(ctx context.Context, a AgentSpec) error

// AgentSpec is what one agent of the demo needs to know.
type AgentSpec struct {
	Server, Token, Name string
	Dir                 string   // its whole machine: state, profile and the running system's link
	Env                 []string // for Nix
	Log                 zerolog.Logger
}

// operator is who presses buttons and opens the first deploy.
var operator = fleet.Actor{Login: "you", Type: "local"}

// demo is the product and its world, running.
type demo struct {
	o      Options
	world  *world
	app    *app.App
	agents sync.WaitGroup
	talk   *narrator
	token  string // that the command line asks with
}

// Run starts everything and blocks until ctx ends, or, with UntilDeployed, until
// one update runs on all hosts.
func Run(ctx context.Context, o Options) (err error) {
	o.defaults()
	dir, cleanup, err := workplace(o.Dir)
	if err != nil {
		return err
	}
	defer cleanup()
	d := &demo{o: o, talk: &narrator{out: o.Out, now: o.Now, quiet: o.JSON}}

	ctx, stop := context.WithCancel(ctx)
	defer func() {
		stop()
		d.agents.Wait()
		err = errors.Join(err, d.close())
	}()
	if err := d.start(ctx, dir); err != nil {
		return err
	}
	if o.UntilDeployed {
		return d.untilDeployed(ctx)
	}
	return d.untilStopped(ctx)
}

func (o *Options) defaults() {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.hub == nil {
		o.hub = forgetest.New
	}
}

// workplace is where the demo keeps everything. Without a name it is a fresh
// directory that is removed at the end.
func workplace(dir string) (string, func(), error) {
	if dir != "" {
		abs, err := filepath.Abs(dir)
		if err != nil {
			return "", nil, err
		}
		if _, err := os.Stat(filepath.Join(abs, "server")); err == nil {
			return "", nil, fmt.Errorf("%s holds an earlier demo, whose github.com is gone; name another directory or remove it", abs)
		}
		return abs, func() {}, os.MkdirAll(abs, 0o755)
	}
	tmp, err := os.MkdirTemp("", "nixfleet-demo-")
	if err != nil {
		return "", nil, err
	}
	// The private Postgres may run as another user, who must be able to pass.
	return tmp, func() { _ = remove(tmp) }, os.Chmod(tmp, 0o755)
}

func (d *demo) start(ctx context.Context, dir string) (err error) {
	if d.world, err = newWorld(ctx, dir, d.o); err != nil {
		return fmt.Errorf("imitated github.com: %w", err)
	}
	cfg, err := d.settings(filepath.Join(dir, "server"))
	if err != nil {
		return err
	}
	if d.app, err = app.Start(ctx, cfg); err != nil {
		return err
	}
	d.world.hub.SetWebhook(d.app.URL()+"/api/github/hook", webhookSecret)
	d.world.hub.SetCallbacks(d.app.URL() + "/login/github/callback")
	if err := d.introduce(ctx); err != nil {
		return err
	}
	if err := d.enrol(ctx, dir); err != nil {
		return err
	}
	return d.firstDeploy(ctx)
}

// webhookSecret is shared by the server and the imitated github.com, which both
// live in this process.
const webhookSecret = "the demo's webhook secret"

// settings are those of `nixfleet serve`: files for the secrets, addresses for
// the rest.
func (d *demo) settings(dir string) (app.Config, error) {
	secrets := filepath.Join(dir, "secrets")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return app.Config{}, err
	}
	if err := os.MkdirAll(secrets, 0o700); err != nil {
		return app.Config{}, err
	}
	key, secret, admin := filepath.Join(secrets, "app.pem"), filepath.Join(secrets, "webhook"), filepath.Join(secrets, "admin")
	client := filepath.Join(secrets, "client")
	d.token = rand.Text()
	if err := os.WriteFile(admin, []byte(d.token), 0o600); err != nil {
		return app.Config{}, err
	}
	if err := os.WriteFile(client, []byte(d.world.hub.ClientSecret), 0o600); err != nil {
		return app.Config{}, err
	}
	if err := os.WriteFile(key, d.world.hub.PrivateKeyPEM, 0o600); err != nil {
		return app.Config{}, err
	}
	if err := os.WriteFile(secret, []byte(webhookSecret), 0o600); err != nil {
		return app.Config{}, err
	}
	return app.Config{
		Listen: d.o.Addr, DataDir: dir, NATSListen: "127.0.0.1:0",
		GitHubAPIURL: d.world.hub.APIURL(), GitHubWebURL: d.world.hub.URL(), GitHubAppID: d.world.hub.AppID,
		GitHubClientID: d.world.hub.ClientID, GitHubClientSecretFile: client,
		GitHubPrivateKeyFile: key, GitHubSecretFile: secret, AdminTokenFile: admin, Now: d.o.Now, Log: d.o.Log,
	}, nil
}

// introduce serves the page with the buttons and prints where to look.
func (d *demo) introduce(ctx context.Context) error {
	if d.o.UntilDeployed {
		return nil
	}
	d.servePage(ctx)
	link, err := d.app.LoginLink(ctx, operator.Login, "operator")
	if err != nil {
		return err
	}
	d.talk.plain("")
	d.talk.plain("  NixFleet demo: the whole product on this machine, no account needed.")
	d.talk.plain("")
	d.talk.plain("  Dashboard    %s", link)
	d.talk.plain("               (signs you in once, within 15 minutes; later open %s", d.app.URL())
	d.talk.plain("               and be one of github.com's people: ada, olga, vic, or mallory)")
	d.talk.plain("  github.com   %s", d.world.hub.URL()+demoPath)
	d.talk.plain("               (imitated; open more updates there, also ones that must be refused)")
	d.talk.plain("  Terminal     export NIXFLEET_SERVER=%s NIXFLEET_TOKEN=%s", d.app.URL(), d.token)
	d.talk.plain("               (then nixfleet hosts, rollout watch latest, logs web1, order pull web1, …)")
	if d.o.Dir == "" {
		d.talk.plain("  Ctrl-C stops everything and removes %s.", d.world.dir)
	} else {
		d.talk.plain("  Ctrl-C stops everything; what it made stays in %s.", d.world.dir)
	}
	d.talk.plain("")
	return nil
}

// enrol adds the hosts as an operator would, and starts an agent for each.
func (d *demo) enrol(ctx context.Context, dir string) error {
	err := d.app.Await(ctx, "the App to see its repository", func(o fleet.Overview) bool { return len(o.Repos) > 0 && o.Repos[0].HeadSHA != "" })
	if err != nil {
		return err
	}
	for _, m := range d.world.machines {
		token, _, err := d.app.NewHost(ctx, operator, api.NewHost{Name: m.name, Attr: "nixosConfigurations." + m.name, Repo: fleetRepo, Tags: m.tags})
		if err != nil {
			return fmt.Errorf("enrol %s: %w", m.name, err)
		}
		spec := AgentSpec{
			Server: d.app.URL(), Token: token, Name: m.name, Dir: filepath.Join(dir, "hosts", m.name),
			Env: d.world.nix.env(), Log: d.o.Log.With().Str("agent", m.name).Logger(),
		}
		d.agents.Go(func() {
			if err := d.o.Agent(ctx, spec); err != nil && ctx.Err() == nil {
				d.talk.say("agent of %s ended: %v", spec.Name, err)
			}
		})
	}
	err = d.app.Await(ctx, "all hosts to enrol", func(o fleet.Overview) bool {
		online := 0
		for _, h := range o.Hosts {
			if h.Online {
				online++
			}
		}
		return online == len(d.world.machines)
	})
	if err == nil {
		d.talk.say("%d hosts are enrolled and online", len(d.world.machines))
	}
	return err
}

// firstDeploy brings the first commit to all hosts, so that they run something
// before the first update comes.
func (d *demo) firstDeploy(ctx context.Context) error {
	commit := d.world.hub.Head(fleetRepo, "main")
	names := make([]string, 0, len(d.world.machines))
	for _, m := range d.world.machines {
		names = append(names, m.name)
	}
	if err := d.app.Deploy(ctx, operator, app.DeployRequest{Hosts: names, Commit: commit, Reason: "first deploy"}); err != nil {
		return err
	}
	err := d.app.Await(ctx, "all hosts to run the first commit", func(o fleet.Overview) bool { return running(o, commit) == len(names) })
	if err == nil {
		d.talk.say("all of them run %.7s, the head of main", commit)
	}
	return err
}

func running(o fleet.Overview, commit string) int {
	n := 0
	for _, h := range o.Hosts {
		if h.Host.Facts.RunningCommit == commit && !h.Host.Facts.Working {
			n++
		}
	}
	return n
}

func (d *demo) close() error {
	var errs []error
	if d.app != nil {
		errs = append(errs, d.app.Stop())
	}
	if d.world != nil {
		errs = append(errs, d.world.hub.Close())
	}
	return errors.Join(errs...)
}
