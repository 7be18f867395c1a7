package broker

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"sync"
	"time"
)

// Given is a certificate that somebody else makes and renews, in two files.
type Given struct {
	cert, key string
	log       func(string)

	mu     sync.Mutex
	loaded *tls.Certificate
	stamp  [2]time.Time // of the files as loaded
}

// OpenGiven reads the certificate.
func OpenGiven(cert, key string, log func(string)) (*Given, error) {
	g := &Given{cert: cert, key: key, log: log}
	if err := g.load(); err != nil {
		return nil, fmt.Errorf("certificate of the bus: %w", err)
	}
	return g, nil
}

func (g *Given) load() error {
	stamp := g.stamps() // before the reading: what changes meanwhile is read again
	if stamp == g.stamp {
		return nil
	}
	pair, err := tls.LoadX509KeyPair(g.cert, g.key)
	if err != nil {
		return err
	}
	if pair.Leaf == nil {
		if pair.Leaf, err = x509.ParseCertificate(pair.Certificate[0]); err != nil {
			return err
		}
	}
	g.loaded, g.stamp = &pair, stamp
	return nil
}

func (g *Given) stamps() (s [2]time.Time) {
	for i, path := range []string{g.cert, g.key} {
		if info, err := os.Stat(path); err == nil {
			s[i] = info.ModTime()
		}
	}
	return s
}

// Certificate is what the files hold now. Where they can't be read, perhaps since
// only one of them has been replaced yet, it is what they held before.
func (g *Given) Certificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if err := g.load(); err != nil {
		g.log(fmt.Sprintf("the new certificate of the bus cannot be read, the old one stays: %v", err))
	}
	return g.loaded, nil
}

// Expires is when the certificate ends.
func (g *Given) Expires() time.Time {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.loaded.Leaf.NotAfter
}
