package broker_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nixfleet/nixfleet/agentbus/broker"
)

const day = 24 * time.Hour

// verified reports whether a host that pinned ca accepts what the broker presents.
func verified(t *testing.T, ca []byte, cert *tls.Certificate, name string, now time.Time) bool {
	t.Helper()
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(ca)
	_, err := cert.Leaf.Verify(x509.VerifyOptions{Roots: pool, DNSName: name, CurrentTime: now})
	return err == nil
}

// Over thirty years, a host that renews once a month what it pins always accepts
// what is presented to it, also right before it renews.
func TestHostsFollowTheAuthorityForDecades(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "ca.pem")
	now := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	clock := func() time.Time { return now }
	a, err := broker.OpenAuthority(path, []string{"fleet.example.com", "192.0.2.1"}, clock)
	if err != nil {
		t.Fatal(err)
	}
	first, pinned := a.CA(), a.CA()
	end := now.Add(30 * 365 * day)
	for began := now; now.Before(end); now = now.Add(15 * day) {
		cert, err := a.Certificate(nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"fleet.example.com", "192.0.2.1"} {
			if !verified(t, pinned, cert, name, now) {
				t.Fatalf("after %v: a host does not accept %s", now.Sub(began), name)
			}
		}
		if verified(t, pinned, cert, "elsewhere.example.com", now) {
			t.Fatal("it is good for other names")
		}
		if cert.Leaf.NotAfter.Before(now.Add(15 * day)) {
			t.Fatalf("it ends at %v already", cert.Leaf.NotAfter)
		}
		if n := bytes.Count(a.CA(), []byte("BEGIN CERTIFICATE")); n > 2 {
			t.Fatalf("hosts are to pin %d authorities", n)
		}
		if now.Sub(began)%(360*day) == 0 { // a server that starts anew goes on with the same
			if a, err = broker.OpenAuthority(path, []string{"fleet.example.com", "192.0.2.1"}, clock); err != nil {
				t.Fatal(err)
			}
		}
		pinned = a.CA()
	}
	if bytes.Contains(pinned, first) {
		t.Error("the first authority is pinned after thirty years")
	}
}

func TestTheAuthorityIsKeptSecret(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "ca.pem")
	a, err := broker.OpenAuthority(path, nil, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if strings.Contains(string(a.CA()), "PRIVATE") {
		t.Error("hosts are told a key")
	}
	for name, spoil := range map[string]func() error{
		"0600":      func() error { return os.Chmod(path, 0o640) },
		"no key":    func() error { return os.WriteFile(path, a.CA(), 0o600) },
		"no certif": func() error { return os.WriteFile(path, nil, 0o600) },
		"x509": func() error {
			return os.WriteFile(path, []byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n-----BEGIN EC PRIVATE KEY-----\nAAAA\n-----END EC PRIVATE KEY-----\n"), 0o600)
		},
	} {
		t.Run(name, func(t *testing.T) {
			if err := spoil(); err != nil {
				t.Fatal(err)
			}
			defer os.Chmod(path, 0o600)
			if _, err := broker.OpenAuthority(path, nil, time.Now); err == nil || !strings.Contains(err.Error(), name) {
				t.Errorf("error %v", err)
			}
		})
	}
}

// Whoever renews the certificate replaces two files, one after the other.
func TestAGivenCertificateIsReadAgain(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	now := time.Now()
	put := func(minute int, files ...string) (expires time.Time) {
		t.Helper()
		a, err := broker.OpenAuthority(filepath.Join(t.TempDir(), "ca.pem"), []string{"localhost"}, func() time.Time { return now.Add(time.Duration(minute) * time.Minute) })
		if err != nil {
			t.Fatal(err)
		}
		made, err := a.Certificate(nil)
		if err != nil {
			t.Fatal(err)
		}
		raw, err := x509.MarshalPKCS8PrivateKey(made.PrivateKey)
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range files {
			block := pem.Block{Type: "CERTIFICATE", Bytes: made.Certificate[0]}
			if path == key {
				block = pem.Block{Type: "PRIVATE KEY", Bytes: raw}
			}
			at := now.Add(time.Duration(minute) * time.Minute)
			if err := os.WriteFile(path, pem.EncodeToMemory(&block), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Chtimes(path, at, at); err != nil {
				t.Fatal(err)
			}
		}
		return made.Leaf.NotAfter
	}
	first := put(1, cert, key)
	var said []string
	g, err := broker.OpenGiven(cert, key, func(line string) { said = append(said, line) })
	if err != nil {
		t.Fatal(err)
	}
	put(2, cert)
	if c, err := g.Certificate(nil); err != nil || !c.Leaf.NotAfter.Equal(first) || len(said) != 1 {
		t.Errorf("with half of a new one: %v, %v, %q", c.Leaf.NotAfter, err, said)
	}
	second := put(3, cert, key)
	if c, err := g.Certificate(nil); err != nil || !c.Leaf.NotAfter.Equal(second) || !g.Expires().Equal(second) {
		t.Errorf("with all of it: %v, %v", c.Leaf.NotAfter, err)
	}
	if _, err := broker.OpenGiven(cert, cert, nil); err == nil {
		t.Error("a certificate without its key was taken")
	}
}
