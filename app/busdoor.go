package app

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/nixfleet/nixfleet/agentbus/broker"
)

// tunnelPath is where hosts reach the bus when only the port of the server itself
// is open to them.
const tunnelPath = "/bus"

// maxTunnels bounds how many hosts come in through the server's own port. Each
// costs two connections and two goroutines.
const maxTunnels = 20_000

// busDoor is how hosts get to the bus and how they know it.
type busDoor struct {
	urls    []string         // what they are told, TCP first
	ca      func() []byte    // what they pin, in PEM; nil where the system's roots count
	expires func() time.Time // when the broker's certificate ends; nil where it is not ours to know
	tunnel  string           // host:port of the embedded NATS for WebSockets; empty for none
}

// authorities are the certificates that hosts pin for the bus.
func (d busDoor) authorities() string {
	if d.ca == nil {
		return ""
	}
	return string(d.ca())
}

// secureBus returns what the embedded NATS presents; nil means that it speaks in
// the clear.
func (a *App) secureBus() (*tls.Config, error) {
	if a.cfg.NATSTLSCertFile != "" {
		given, err := broker.OpenGiven(a.cfg.NATSTLSCertFile, a.cfg.NATSTLSKeyFile, func(line string) { a.log.Error().Str("part", "nats").Msg(line) })
		if err != nil {
			return nil, fmt.Errorf("NIXFLEET_NATS_TLS_CERT_FILE: %w", err)
		}
		a.door.expires = given.Expires
		return &tls.Config{GetCertificate: given.Certificate, MinVersion: tls.VersionTLS12}, nil
	}
	if !a.cfg.encryptBus() {
		return nil, nil
	}
	authority, err := broker.OpenAuthority(a.cfg.path("bus-ca.pem"), a.cfg.busNames(), a.cfg.Now)
	if err != nil {
		return nil, err
	}
	a.door.ca, a.door.expires = authority.CA, authority.Expires
	return &tls.Config{GetCertificate: authority.Certificate, MinVersion: tls.VersionTLS12}, nil
}

// pinGiven has hosts pin the authority that the settings name, if any.
func (a *App) pinGiven() (*x509.CertPool, error) {
	if a.cfg.NATSTLSCAFile == "" {
		return nil, nil
	}
	ca, err := os.ReadFile(a.cfg.NATSTLSCAFile)
	if err != nil {
		return nil, fmt.Errorf("NIXFLEET_NATS_TLS_CA_FILE: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(ca) {
		return nil, fmt.Errorf("NIXFLEET_NATS_TLS_CA_FILE: %s holds no certificate in PEM", a.cfg.NATSTLSCAFile)
	}
	a.door.ca = func() []byte { return ca }
	return pool, nil
}

// encryptBus reports whether the embedded NATS makes itself a certificate. Between
// processes of one machine there is nobody to read along.
func (c *Config) encryptBus() bool {
	if c.NATSTLS != "auto" && c.NATSTLS != "" {
		return c.NATSTLS == "on"
	}
	host, _, err := net.SplitHostPort(c.NATSListen)
	return err == nil && host != "localhost" && !net.ParseIP(host).IsLoopback()
}

// busNames are the names under which hosts may look for the embedded NATS.
func (c *Config) busNames() []string {
	names := []string{"localhost", "127.0.0.1", "::1"}
	add := func(name string) {
		if ip := net.ParseIP(name); name != "" && (ip == nil || !ip.IsUnspecified()) {
			names = append(names, name)
		}
	}
	for _, text := range append(c.publicBus(), c.URL) {
		if u, err := url.Parse(text); err == nil {
			add(u.Hostname())
		}
	}
	if host, _, err := net.SplitHostPort(c.NATSListen); err == nil {
		add(host)
	}
	return names
}

// publicBus are the addresses that the settings tell hosts.
func (c *Config) publicBus() []string {
	return strings.FieldsFunc(c.NATSPublicURLs, func(r rune) bool { return r == ',' || r == ' ' })
}

// busAddresses are what hosts are told of the embedded NATS: its own port, and
// the way through the server's.
func (c *Config) busAddresses(direct string) []string {
	if public := c.publicBus(); len(public) > 0 {
		return public
	}
	tunnel := "ws" + strings.TrimPrefix(c.URL, "http") + tunnelPath // http: ws, https: wss
	if direct == "" {
		return []string{tunnel}
	}
	return []string{reachable(direct, c.URL), tunnel}
}

// reachable is the bus's address as hosts can use it: one that listens on all
// interfaces is found at the host of the server's public address.
func reachable(bus, public string) string {
	b, err := url.Parse(bus)
	if err != nil {
		return bus
	}
	p, err := url.Parse(public)
	if ip := net.ParseIP(b.Hostname()); err == nil && ip != nil && ip.IsUnspecified() {
		b.Host = net.JoinHostPort(p.Hostname(), b.Port())
	}
	return b.String()
}

// checkBus finds fault with the settings of the bus.
func (c *Config) checkBus() (faults []error) {
	if (c.NATSTLSCertFile == "") != (c.NATSTLSKeyFile == "") {
		faults = append(faults, errors.New("NIXFLEET_NATS_TLS_CERT_FILE and NIXFLEET_NATS_TLS_KEY_FILE: set both or none"))
	}
	if c.NATSTLSCertFile != "" && c.NATSTLS == "off" {
		faults = append(faults, errors.New("NIXFLEET_NATS_TLS: off, beside a certificate; leave out one of the two"))
	}
	if c.NATSTLSCertFile != "" && c.NATSURL != "" {
		faults = append(faults, errors.New("NIXFLEET_NATS_TLS_CERT_FILE: it is for the embedded NATS, and NIXFLEET_NATS_URL names another"))
	}
	for _, text := range c.publicBus() {
		if u, err := url.Parse(text); err != nil || u.Hostname() == "" || !strings.Contains(" tls nats wss ws ", " "+u.Scheme+" ") {
			faults = append(faults, fmt.Errorf("NIXFLEET_NATS_PUBLIC_URLS: %q does not begin with tls://, nats://, wss:// or ws://", text))
		}
	}
	return faults
}

// passThrough hands the WebSockets of hosts to the embedded NATS, which knows hosts
// from strangers: it closes who does not sign in within seconds.
func (a *App) passThrough() http.Handler {
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL = &url.URL{Scheme: "http", Host: a.door.tunnel, Path: "/"}
			r.Out.Host = a.door.tunnel
			r.Out.Header.Del("Cookie")
			r.Out.Header.Del("Authorization")
			r.SetXForwarded()
		},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			a.log.Debug().Err(err).Str("part", "nats").Msg("a host's way through the server broke")
			w.WriteHeader(http.StatusBadGateway)
		},
	}
	var open atomic.Int64
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer open.Add(-1) // also where the way breaks, for which the proxy panics
		switch n := open.Add(1); {
		case !strings.EqualFold(r.Header.Get("Upgrade"), "websocket"):
			w.Header().Set("Upgrade", "websocket")
			problem(w, http.StatusUpgradeRequired, "Hosts reach the bus here, over a WebSocket.")
		case r.Header.Get("Origin") != "":
			problem(w, http.StatusForbidden, "The bus is for hosts, not for web pages.")
		case n > maxTunnels:
			problem(w, http.StatusServiceUnavailable, "Too many hosts are connected this way. Open the port of the bus to them.")
		default:
			proxy.ServeHTTP(w, r)
		}
	})
}
