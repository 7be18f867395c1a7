package app

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/rs/zerolog"
)

// Build names the source revision that the programs were made from. It is set
// at link time and shown in the footer, so that an open page of an older build
// notices.
var Build = "dev"

// Version is the release, and the agent version that hosts are expected to run.
const Version = "0.1.0"

// Config is every setting of `nixfleet serve`. The tags are read by kong: each
// setting has a flag, an environment variable and a key in the configuration
// file; secrets come from files only.
type Config struct {
	Listen  string `help:"Address that the server listens on." env:"NIXFLEET_LISTEN" default:"127.0.0.1:8080"`
	URL     string `help:"Public address of the server, for links, webhooks and agents. Default: http:// and the listen address." env:"NIXFLEET_URL"`
	DataDir string `help:"Where keys, the private Postgres and the embedded NATS keep their data." env:"NIXFLEET_DATA_DIR" default:"/var/lib/nixfleet" type:"path"`

	DatabaseURL string `help:"Address of a Postgres database. Default: a private Postgres in the data directory." env:"NIXFLEET_DATABASE_URL"`
	NATSURL     string `help:"Addresses of a NATS cluster, separated by commas. Default: embedded." env:"NIXFLEET_NATS_URL" name:"nats-url"`
	NATSListen  string `help:"Where the embedded NATS listens for agents." env:"NIXFLEET_NATS_LISTEN" default:"127.0.0.1:4222" name:"nats-listen"`

	NATSPublicURLs  string `help:"Addresses of NATS that hosts are told, separated by commas: tls:// or nats:// for TCP, wss:// or ws:// for WebSockets. Default: the embedded NATS and the way through this server, or else NIXFLEET_NATS_URL." env:"NIXFLEET_NATS_PUBLIC_URLS" name:"nats-public-urls"`
	NATSTLS         string `help:"Whether the embedded NATS encrypts with a certificate of its own making: auto does unless it listens on this machine only; off speaks in the clear, for a network that is private." enum:"auto,on,off" env:"NIXFLEET_NATS_TLS" default:"auto" name:"nats-tls"`
	NATSTLSCertFile string `help:"File with the certificate (PEM, chain included) that the embedded NATS presents instead; read again when it changes." env:"NIXFLEET_NATS_TLS_CERT_FILE" name:"nats-tls-cert-file" type:"path"`
	NATSTLSKeyFile  string `help:"File with the key of that certificate." env:"NIXFLEET_NATS_TLS_KEY_FILE" name:"nats-tls-key-file" type:"path"`
	NATSTLSCAFile   string `help:"File with the authority (PEM) that hosts shall pin for NATS, when its certificate is neither of the server's making nor of a public authority." env:"NIXFLEET_NATS_TLS_CA_FILE" name:"nats-tls-ca-file" type:"path"`

	GitHubAPIURL         string `help:"GitHub's API; set it for GitHub Enterprise Server." env:"NIXFLEET_GITHUB_API_URL" default:"https://api.github.com/" name:"github-api-url"`
	GitHubWebURL         string `help:"GitHub's pages; set it for GitHub Enterprise Server." env:"NIXFLEET_GITHUB_WEB_URL" default:"https://github.com/" name:"github-web-url"`
	GitHubAppID          int64  `help:"Id of the GitHub App." env:"NIXFLEET_GITHUB_APP_ID" name:"github-app-id"`
	GitHubPrivateKeyFile string `help:"File with the App's private key (PEM)." env:"NIXFLEET_GITHUB_PRIVATE_KEY_FILE" name:"github-private-key-file" type:"path"`
	GitHubSecretFile     string `help:"File with the webhook secret, one a line: two are live during a rotation." env:"NIXFLEET_GITHUB_WEBHOOK_SECRET_FILE" name:"github-webhook-secret-file" type:"path"`

	GitHubClientID         string `help:"Client id of the GitHub App, with which people sign in. Default: that of the App that the set-up created." env:"NIXFLEET_GITHUB_CLIENT_ID" name:"github-client-id"`
	GitHubClientSecretFile string `help:"File with a client secret of the GitHub App." env:"NIXFLEET_GITHUB_CLIENT_SECRET_FILE" name:"github-client-secret-file" type:"path"`

	TrustedProxies string `help:"Addresses and networks of proxies, separated by commas, whose X-Forwarded-For says where a request comes from. Default: none is believed." env:"NIXFLEET_TRUSTED_PROXIES"`

	ReceiversFile string `help:"File with addresses of receivers of notifications that must not be in the database, one NAME ADDRESS a line; read anew for each message." env:"NIXFLEET_RECEIVERS_FILE" type:"path"`

	SealKeyFile string `help:"File with the key that seals the App's credentials and the addresses of receivers in the database; replicas need the same. Default: github-app.key in the data directory, made on first use." env:"NIXFLEET_SEAL_KEY_FILE" type:"path"`

	KeepHistory int `help:"Days for which the history (who did what, when and why) is kept: at least 90, or 0 for ever." env:"NIXFLEET_KEEP_HISTORY_DAYS" name:"keep-history-days" default:"730"`

	AdminTokenFile string `help:"File with a token that signs in with the admin role." env:"NIXFLEET_ADMIN_TOKEN_FILE" type:"path"`

	OTLPURL string         `help:"Address of an OpenTelemetry collector that takes traces by OTLP over HTTP, such as http://localhost:4318. The OTEL_EXPORTER_OTLP_ variables for headers and certificates are read, too. Default: no traces." env:"NIXFLEET_OTLP_URL" name:"otlp-url"`
	trusted []netip.Prefix // TrustedProxies, read

	Now func() time.Time `kong:"-" json:"-"` // tests inject the clock; nil means the real one
	Log zerolog.Logger   `kong:"-" json:"-"`
}

// secrets are the contents of the files that Config names.
type secrets struct {
	privateKey []byte
	webhook    []string
	adminToken string

	clientSecret string
}

// prepare fills in what was left out and reads the secrets. It reports every
// fault at once, each with the setting to change.
func (c *Config) prepare() (secrets, error) {
	var s secrets
	var faults []error
	if c.Now == nil {
		c.Now = time.Now
	}
	if _, _, err := net.SplitHostPort(c.Listen); err != nil {
		faults = append(faults, fmt.Errorf("NIXFLEET_LISTEN: %q is not host:port: %w", c.Listen, err))
	}
	if u, err := url.Parse(c.URL); c.URL != "" && (err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https")) {
		faults = append(faults, fmt.Errorf("NIXFLEET_URL: %q is not an http or https address", c.URL))
	}
	if u, err := url.Parse(c.OTLPURL); c.OTLPURL != "" && (err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https")) {
		faults = append(faults, fmt.Errorf("NIXFLEET_OTLP_URL: %q is not an http or https address", c.OTLPURL))
	}
	c.URL = strings.TrimSuffix(c.URL, "/")
	if c.KeepHistory != 0 && c.KeepHistory < 90 || c.KeepHistory > 36500 {
		faults = append(faults, fmt.Errorf("NIXFLEET_KEEP_HISTORY_DAYS: found %d, expected 0 (for ever) or 90 to 36500", c.KeepHistory))
	}
	if c.DataDir == "" {
		faults = append(faults, errors.New("NIXFLEET_DATA_DIR: must not be empty"))
	}
	read := func(setting, file string) string {
		if file == "" {
			return ""
		}
		b, err := os.ReadFile(file)
		if err != nil {
			faults = append(faults, fmt.Errorf("%s: %w", setting, err))
		}
		return strings.TrimSpace(string(b))
	}
	s.privateKey = []byte(read("NIXFLEET_GITHUB_PRIVATE_KEY_FILE", c.GitHubPrivateKeyFile))
	for line := range strings.Lines(read("NIXFLEET_GITHUB_WEBHOOK_SECRET_FILE", c.GitHubSecretFile)) {
		if line = strings.TrimSpace(line); line != "" {
			s.webhook = append(s.webhook, line)
		}
	}
	s.clientSecret = read("NIXFLEET_GITHUB_CLIENT_SECRET_FILE", c.GitHubClientSecretFile)
	if (c.GitHubClientID == "") != (s.clientSecret == "") {
		faults = append(faults, errors.New("NIXFLEET_GITHUB_CLIENT_ID and NIXFLEET_GITHUB_CLIENT_SECRET_FILE: one of them is missing or empty; both are on the App's settings page"))
	}
	var err error
	if c.trusted, err = proxies(c.TrustedProxies); err != nil {
		faults = append(faults, err)
	}
	s.adminToken = read("NIXFLEET_ADMIN_TOKEN_FILE", c.AdminTokenFile)
	faults = append(faults, c.checkBus()...)
	faults = append(faults, c.checkGitHub(s)...)
	if len(faults) > 0 {
		return s, errors.Join(faults...)
	}
	// 0755: the private Postgres may run as another user, who must be able to pass.
	if err := os.MkdirAll(c.DataDir, 0o755); err != nil {
		return s, fmt.Errorf("NIXFLEET_DATA_DIR: %w", err)
	}
	return s, nil
}

// checkGitHub wants all of an App, or nothing of it: then the set-up creates one. A
// webhook secret alone stands in for that of the created App.
func (c *Config) checkGitHub(s secrets) (faults []error) {
	if len(s.webhook) > 2 {
		faults = append(faults, fmt.Errorf("NIXFLEET_GITHUB_WEBHOOK_SECRET_FILE: %d secrets found, at most two may be live", len(s.webhook)))
	}
	if c.GitHubAppID == 0 && c.GitHubPrivateKeyFile == "" {
		if c.GitHubSecretFile != "" && len(s.webhook) == 0 {
			faults = append(faults, errors.New("NIXFLEET_GITHUB_WEBHOOK_SECRET_FILE: empty; leave the setting out to use the secret of the App that the set-up created"))
		}
		return faults
	}
	if c.GitHubAppID == 0 {
		faults = append(faults, errors.New("NIXFLEET_GITHUB_APP_ID: missing beside the private key; it is on the App's settings page"))
	}
	if len(s.privateKey) == 0 {
		faults = append(faults, errors.New("NIXFLEET_GITHUB_PRIVATE_KEY_FILE: missing or empty; generate a private key on the App's settings page"))
	}
	// An empty secret would make unsigned webhooks acceptable to the library.
	if len(s.webhook) == 0 {
		faults = append(faults, errors.New("NIXFLEET_GITHUB_WEBHOOK_SECRET_FILE: missing or empty; set the same secret here and on the App's settings page"))
	}
	return faults
}

// enterprise reports whether the API is another one than github.com's, which can't
// speak for the inputs that lie there. On this machine it is an imitation, and can.
func (c *Config) enterprise() bool {
	u, err := url.Parse(c.GitHubAPIURL)
	if err != nil || c.GitHubAPIURL == "" || u.Hostname() == "api.github.com" || u.Hostname() == "localhost" {
		return false
	}
	ip, err := netip.ParseAddr(u.Hostname())
	return err != nil || !ip.IsLoopback()
}

func (c *Config) path(parts ...string) string {
	return filepath.Join(append([]string{c.DataDir}, parts...)...)
}
