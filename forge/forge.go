package forge

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/bradleyfalzon/ghinstallation/v2"
	"github.com/google/go-github/v60/github"
	"github.com/gregjones/httpcache"
	"github.com/rs/zerolog"

	"github.com/nixfleet/nixfleet/fleet"
)

const (
	// callTimeout bounds one call, the fetching of a token included.
	callTimeout = 10 * time.Second

	// callsAtOnce bounds calls under way. GitHub allows 100 at once.
	callsAtOnce = 64

	// cacheSize bounds the remembered answers of one installation, in bytes: about
	// a thousand open updates with their locks.
	cacheSize = 64 << 20
)

// Config is what the door needs.
type Config struct {
	APIURL     string // REST root; empty means https://api.github.com/
	AppID      int64
	PrivateKey []byte // PEM
	Enterprise bool   // a GitHub Enterprise Server, which can't speak for what lies on github.com
	UserAgent  string
	Now        func() time.Time
	Transport  http.RoundTripper                         // nil means one of our own
	Watch      func(http.RoundTripper) http.RoundTripper // put around Transport, to see every call; nil for nobody
	Log        zerolog.Logger
}

// Forge talks to GitHub as one App. Its methods may be called from any goroutine.
type Forge struct {
	config Config
	base   *url.URL
	wire   http.RoundTripper
	slots  chan struct{}
	app    *client

	mu            sync.Mutex
	installations map[int64]*shared
	grants        map[int64]grants
	doors         map[door]*client

	pulls pulls
}

// New checks the configuration. It makes no call.
func New(c Config) (*Forge, error) {
	if c.AppID <= 0 {
		return nil, errors.New("open forge: no App id")
	}
	f, err := open(c)
	if err != nil {
		return nil, err
	}
	auth, err := f.appAuth()
	if err != nil {
		return nil, err
	}
	f.app = f.client(auth, &shared{cache: newCache(cacheSize)})
	return f, nil
}

// open is what works without being an App.
func open(c Config) (*Forge, error) {
	if c.Now == nil {
		return nil, errors.New("open forge: no clock")
	}
	if c.APIURL == "" {
		c.APIURL = "https://api.github.com/"
	}
	base, err := url.Parse(strings.TrimSuffix(c.APIURL, "/") + "/")
	if err != nil || base.Host == "" {
		return nil, fmt.Errorf("open forge: %q is no address of a GitHub API, e.g. https://github.example.org/api/v3/", c.APIURL)
	}
	if c.Transport == nil {
		t := http.DefaultTransport.(*http.Transport).Clone()
		t.MaxIdleConnsPerHost = callsAtOnce
		c.Transport = t
	}
	wire := c.Transport
	if c.Watch != nil {
		wire = c.Watch(wire)
	}
	return &Forge{
		config: c, base: base, wire: bounded{wire},
		slots: make(chan struct{}, callsAtOnce), installations: map[int64]*shared{},
		grants: map[int64]grants{}, doors: map[door]*client{},
	}, nil
}

// Close lets go of idle connections. Calls under way are not cut; their contexts
// do that.
func (f *Forge) Close() {
	if t, ok := f.config.Transport.(interface{ CloseIdleConnections() }); ok {
		t.CloseIdleConnections()
	}
}

// appAuth signs requests as the App itself (JWT). Each installation gets its own,
// because ghinstallation writes to it while it fetches a token.
func (f *Forge) appAuth() (*ghinstallation.AppsTransport, error) {
	auth, err := ghinstallation.NewAppsTransport(f.wire, f.config.AppID, f.config.PrivateKey)
	if err != nil {
		return nil, errors.New("open forge: the App's private key is not an RSA key in PEM; download a new one from the App's settings page")
	}
	auth.BaseURL = strings.TrimSuffix(f.base.String(), "/")
	return auth, nil
}

// shared is what all clients of one installation have in common.
type shared struct {
	cache    *cache
	limits   limits
	noPolicy memo[struct{}]                     // "repository id@commit" that have no policy file
	lineages memo[fleet.Reading[fleet.Lineage]] // see lineageFresh
}

// client puts the layers together: cache, revalidation, authorization, wire. The
// cache is outside of the authorization, so that its entries outlive the hourly
// token; it belongs to one installation, so nobody reads another's.
func (f *Forge) client(auth http.RoundTripper, in *shared) *client {
	via := &http.Client{
		Transport: &httpcache.Transport{
			Transport:           revalidated{auth},
			Cache:               in.cache,
			MarkCachedResponses: true,
		},
		CheckRedirect: f.redirect,
	}
	gh := func() *github.Client {
		gh := github.NewClient(via)
		gh.BaseURL, gh.UserAgent = f.base, f.config.UserAgent
		return gh
	}
	return &client{gh: gh, now: f.config.Now, slots: f.slots, log: f.config.Log, shared: in, enterprise: f.config.Enterprise}
}

// redirect follows reads of renamed repositories, on the same host only: the
// authorization goes along. Writes are never repeated by themselves.
func (f *Forge) redirect(to *http.Request, via []*http.Request) error {
	switch {
	case via[0].Method != http.MethodGet:
		return http.ErrUseLastResponse
	case to.URL.Host != f.base.Host || to.URL.Scheme != f.base.Scheme:
		return errors.New("GitHub redirects to another host")
	case len(via) > 3:
		return errors.New("GitHub redirects in circles")
	}
	return nil
}
