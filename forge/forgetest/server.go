package forgetest

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// Options configure a [Server]. The zero value is usable except for Dir.
type Options struct {
	// Dir is where the bare git repositories live; it is created if missing.
	Dir string
	// Addr is the listen address; default 127.0.0.1:0.
	Addr string
	// Now dates commits, comments and everything else that people can see;
	// default is the system clock.
	Now func() time.Time
	// AuthNow judges JWTs and token expiry; default is the system clock. It
	// is apart from Now because App clients sign with the system clock.
	AuthNow func() time.Time
	// WebhookURL and WebhookSecret are the App's hook. Without a URL no
	// webhook is made. See also [Server.SetWebhook].
	WebhookURL, WebhookSecret string
	// AppSlug names the App; default "nixfleet". Its bot is "<slug>[bot]".
	AppSlug string
	// Permissions that installations grant; default is the set that NixFleet
	// asks for (research: contents, pull_requests, checks write, …).
	Permissions map[string]string
	// MergeableDelay is how many reads of a pull request answer
	// `mergeable: null` after its head or base changed; default 1, negative
	// for none.
	MergeableDelay int
	// Report receives violations of GitHub's description; nil ignores them.
	// [NewForTest] sets it.
	Report func(format string, args ...any)

	checks *checks
}

// Server is one imitated github.com with one GitHub App. All methods may be
// called from any goroutine.
type Server struct {
	// AppID and HookID identify the App and its webhook on the wire.
	AppID, HookID int64
	// PrivateKeyPEM is the App's key, PKCS#1, as GitHub hands it out.
	PrivateKeyPEM []byte
	// ClientID and ClientSecret are the App's for people who sign in.
	ClientID, ClientSecret string

	opts    Options
	key     *rsa.PrivateKey
	url     string
	http    *http.Server
	served  chan struct{}
	closing chan struct{}
	once    sync.Once
	hooks   *hookQueue
	faults  faultSet

	mu sync.Mutex // guards everything below
	state
}

// appKey is one key per process: making one takes longer than most tests.
var appKey = sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 2048) })

// New starts an imitated github.com. Close it when done.
func New(o Options) (*Server, error) {
	if o.Dir == "" {
		return nil, errors.New("start imitated github.com: Options.Dir is empty; name a directory for its repositories")
	}
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return nil, fmt.Errorf("start imitated github.com: %w", err)
	}
	o.Dir = dir
	if _, err := exec.LookPath("git"); err != nil {
		return nil, fmt.Errorf("start imitated github.com: install git: %w", err)
	}
	if err := os.MkdirAll(o.Dir, 0o755); err != nil {
		return nil, fmt.Errorf("start imitated github.com: %w", err)
	}
	o.setDefaults()
	key, err := appKey()
	if err != nil {
		return nil, fmt.Errorf("make the App's key: %w", err)
	}
	listener, err := net.Listen("tcp", o.Addr)
	if err != nil {
		return nil, fmt.Errorf("listen for imitated github.com: %w", err)
	}
	s := &Server{
		AppID: 424242, HookID: 515151, opts: o, key: key,
		PrivateKeyPEM: pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}),
		ClientID:      "Iv1.forgetest", ClientSecret: randomHex(20),
		url:    "http://" + listener.Addr().String(),
		served: make(chan struct{}), closing: make(chan struct{}),
	}
	s.state = newState(s.AppID, o.AppSlug, o.Now())
	s.routes = compileRoutes(s.routeTable())
	s.hooks = newHookQueue(s)
	s.hookURL, s.hookSecret = o.WebhookURL, o.WebhookSecret
	s.http = &http.Server{Handler: http.HandlerFunc(s.serve), ReadHeaderTimeout: 10 * time.Second}
	go func() {
		defer close(s.served)
		_ = s.http.Serve(listener) // always ErrServerClosed after Close
	}()
	return s, nil
}

func (o *Options) setDefaults() {
	if o.Addr == "" {
		o.Addr = "127.0.0.1:0"
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.AuthNow == nil {
		o.AuthNow = time.Now
	}
	if o.AppSlug == "" {
		o.AppSlug = "nixfleet"
	}
	if o.MergeableDelay == 0 {
		o.MergeableDelay = 1
	}
	if o.Permissions == nil {
		o.Permissions = map[string]string{
			"metadata": "read", "contents": "write", "pull_requests": "write", "checks": "write",
			"statuses": "read", "issues": "read", "actions": "write", "administration": "read",
			"deployments": "write",
		}
	}
}

// Close ends the server: open requests are cut, undelivered webhooks dropped,
// and every goroutine is waited for. The repositories stay on disk.
func (s *Server) Close() error {
	var err error
	s.once.Do(func() {
		close(s.closing)
		s.hooks.close()
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err = s.http.Shutdown(ctx); err != nil {
			err = s.http.Close()
		}
		<-s.served
	})
	return err
}

// URL is the root: web pages and git. The REST API answers below it too.
func (s *Server) URL() string { return s.url }

// APIURL is the REST API in GitHub Enterprise form, ending in "/api/v3/". All
// links in answers use it.
func (s *Server) APIURL() string { return s.url + "/api/v3/" }

// CloneURL is where git fetches the repository ("owner/name") from.
func (s *Server) CloneURL(repo string) string { return s.url + "/" + repo + ".git" }

// SetWebhook changes the App's webhook from now on, as its settings page does.
func (s *Server) SetWebhook(url, secret string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hookURL, s.hookSecret = url, secret
}

func (s *Server) now() time.Time { return s.opts.Now().UTC().Truncate(time.Second) }

// api is a link into the REST API; web one to a page.
func (s *Server) api(format string, args ...any) string {
	return s.url + "/api/v3" + fmt.Sprintf(format, args...)
}

func (s *Server) web(format string, args ...any) string {
	return s.url + fmt.Sprintf(format, args...)
}

func (s *Server) report(format string, args ...any) {
	if s.opts.Report != nil {
		s.opts.Report(format, args...)
	}
}

// find returns the repository "owner/name" by its present name.
func (s *state) find(fullName string) (*repository, error) {
	if id, ok := s.byName[strings.ToLower(fullName)]; ok {
		return s.repos[id], nil
	}
	return nil, fmt.Errorf("no repository %q on the imitated github.com: add it with AddRepo", fullName)
}
