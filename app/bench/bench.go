package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/rs/zerolog"

	"github.com/nixfleet/nixfleet/agentbus"
	"github.com/nixfleet/nixfleet/agentbus/crowd"
	"github.com/nixfleet/nixfleet/app"
	"github.com/nixfleet/nixfleet/db"
	"github.com/nixfleet/nixfleet/fleet"
	"github.com/nixfleet/nixfleet/forge/forgetest"
)

const (
	repoName    = "bench/fleet"
	connections = 64 // that the simulated hosts share
	rounds      = 3  // of each measurement; the median counts
)

// Options say what to measure.
type Options struct {
	Hosts int            // simulated, at least 1
	Dir   string         // for Postgres, the bus and the imitated github.com; it must be empty
	Say   func(string)   // one line for people about what is going on
	Log   zerolog.Logger // of the server
}

// stand is a server with its fleet.
type stand struct {
	o      Options
	cfg    app.Config
	hub    *forgetest.Server
	pg     *db.Private
	db     *db.DB
	app    *app.App
	keys   *agentbus.Keyring
	bus    *agentbus.Control // to certify hosts
	names  []string
	commit string
	down   []func() error
}

// Run sets a server up, lets a simulated fleet join it, and measures.
func Run(ctx context.Context, o Options) (r Report, err error) {
	s := &stand{o: o}
	defer func() { err = errors.Join(err, s.close()) }()
	if err := s.build(ctx); err != nil {
		return r, err
	}
	r = Report{Hosts: o.Hosts, Connections: connections}
	return r, s.measure(ctx, &r)
}

// build starts Postgres, the imitated github.com and the server, and enrols the hosts.
func (s *stand) build(ctx context.Context) error {
	s.o.Say("starting Postgres, the bus, an imitated github.com and the server")
	var err error
	if s.pg, err = db.StartPrivate(ctx, db.PrivateOptions{Dir: filepath.Join(s.o.Dir, "postgres")}); err != nil {
		return fmt.Errorf("private postgres: %w", err)
	}
	s.later(func() error { return s.pg.Stop(context.WithoutCancel(ctx)) })
	if err := s.settings(); err != nil {
		return err
	}
	if err := s.start(ctx); err != nil {
		return err
	}
	if s.db, err = db.Open(ctx, db.Options{URL: s.pg.URL()}); err != nil {
		return fmt.Errorf("database: %w", err)
	}
	s.later(func() error { s.db.Close(); return nil })
	if s.keys, err = agentbus.LoadOrCreateKeyring(filepath.Join(s.cfg.DataDir, "keys.json")); err != nil {
		return err
	}
	if s.bus, err = agentbus.ConnectControl(ctx, agentbus.ControlOptions{URLs: s.app.BusURLs()[:1], Keys: s.keys}); err != nil {
		return err
	}
	s.later(func() error { s.bus.Close(); return nil })
	return s.enrol(ctx)
}

// settings writes the server's, with the secrets of the imitated github.com.
func (s *stand) settings() (err error) {
	if s.hub, err = forgetest.New(forgetest.Options{Dir: filepath.Join(s.o.Dir, "github")}); err != nil {
		return fmt.Errorf("imitated github.com: %w", err)
	}
	s.later(s.hub.Close)
	if _, err := s.hub.AddRepo(forgetest.Repo{Name: repoName}); err != nil {
		return err
	}
	if s.commit, err = s.hub.CommitFiles(repoName, forgetest.Commit{Files: map[string]string{"flake.nix": "{}\n"}, Message: "First"}); err != nil {
		return err
	}
	dir := filepath.Join(s.o.Dir, "server")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	key, hook := filepath.Join(dir, "app.pem"), filepath.Join(dir, "webhook")
	err = errors.Join(os.WriteFile(key, s.hub.PrivateKeyPEM, 0o600), os.WriteFile(hook, []byte("of this measurement only"), 0o600))
	s.cfg = app.Config{
		Listen: "127.0.0.1:0", NATSListen: "127.0.0.1:0", DataDir: dir, DatabaseURL: s.pg.URL(),
		GitHubAPIURL: s.hub.APIURL(), GitHubWebURL: s.hub.URL(), GitHubAppID: s.hub.AppID,
		GitHubPrivateKeyFile: key, GitHubSecretFile: hook, Now: time.Now, Log: s.o.Log,
	}
	return err
}

func (s *stand) start(ctx context.Context) (err error) {
	s.app, err = app.Start(ctx, s.cfg)
	return err
}

// enrol records the hosts once the repository is known.
func (s *stand) enrol(ctx context.Context) error {
	var repo int64
	err := s.app.Await(ctx, "the server to see its repository", func(o fleet.Overview) bool {
		if len(o.Repos) == 0 || o.Repos[0].HeadSHA == "" {
			return false
		}
		repo = o.Repos[0].Repo.ID
		return true
	})
	if err != nil {
		return err
	}
	s.o.Say(fmt.Sprintf("enrolling %d simulated hosts", s.o.Hosts))
	for i := range s.o.Hosts {
		s.names = append(s.names, fmt.Sprintf("host-%06d", i))
	}
	return s.db.EnrolCrowd(ctx, repo, s.names, time.Now())
}

// join connects the whole fleet.
func (s *stand) join() (*crowd.Crowd, error) {
	return crowd.Join(crowd.Options{Keys: s.keys, URL: s.app.BusURLs()[0], Hosts: s.names, Connections: connections})
}

func (s *stand) later(f func() error) { s.down = append(s.down, f) }

func (s *stand) close() error {
	var errs []error
	if s.app != nil {
		errs = append(errs, s.app.Stop())
	}
	for i := len(s.down) - 1; i >= 0; i-- {
		errs = append(errs, s.down[i]())
	}
	return errors.Join(errs...)
}
