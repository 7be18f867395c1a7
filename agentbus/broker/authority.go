package broker

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// Lifetimes of the private certificates. A host learns of a new authority when it
// renews its own certificate, twice a month, so a year is time enough.
const (
	authorityLife = 10 * 365 * 24 * time.Hour
	announceNext  = 2 * 365 * 24 * time.Hour // before the end of the newest, the next is made and told
	signUntil     = 365 * 24 * time.Hour     // before its end, an authority signs nothing more
	leafLife      = 90 * 24 * time.Hour
	renewLeaf     = 30 * 24 * time.Hour // before its end
)

// Authority is a private CA in a file. It certifies the broker to hosts, which
// pin it when they enrol.
type Authority struct {
	path  string
	names []string
	now   func() time.Time

	mu   sync.Mutex
	cas  []authority // the oldest first
	leaf *tls.Certificate
}

type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// OpenAuthority reads the authority in the file at path, mode 0600, and makes it
// where there is none. What it certifies is valid for names: host names and IP
// addresses.
func OpenAuthority(path string, names []string, now func() time.Time) (*Authority, error) {
	a := &Authority{path: path, names: names, now: now}
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		first, err := newAuthority(now())
		if err == nil {
			err = a.write([]authority{first}, os.Link) // unlike a rename, never replaces
		}
		if err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, fmt.Errorf("make the authority of the bus: %w", err)
		}
	}
	if err := a.read(); err != nil {
		return nil, fmt.Errorf("read the authority of the bus %s: %w", path, err)
	}
	if _, err := a.Certificate(nil); err != nil {
		return nil, err
	}
	return a, nil
}

func (a *Authority) read() error {
	info, err := os.Stat(a.path)
	if err != nil {
		return err
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return fmt.Errorf("its mode is %#o, so others may read it; set it to 0600", mode)
	}
	data, err := os.ReadFile(a.path)
	if err != nil {
		return err
	}
	for {
		cert, rest := pem.Decode(data)
		if cert == nil {
			break
		}
		key, rest := pem.Decode(rest)
		if key == nil {
			return errors.New("a certificate has no key behind it")
		}
		data = rest
		var ca authority
		if ca.cert, err = x509.ParseCertificate(cert.Bytes); err != nil {
			return err
		}
		if ca.key, err = x509.ParseECPrivateKey(key.Bytes); err != nil {
			return errors.New("a key cannot be read") // the reason may quote it
		}
		a.cas = append(a.cas, ca)
	}
	if len(a.cas) == 0 {
		return errors.New("it holds no certificate")
	}
	return nil
}

// write puts cas into the file, whole or not at all.
func (a *Authority) write(cas []authority, place func(from, to string) error) error {
	var out bytes.Buffer
	for _, ca := range cas {
		key, err := x509.MarshalECPrivateKey(ca.key)
		if err != nil {
			return err
		}
		_ = pem.Encode(&out, &pem.Block{Type: "CERTIFICATE", Bytes: ca.cert.Raw})
		_ = pem.Encode(&out, &pem.Block{Type: "EC PRIVATE KEY", Bytes: key})
	}
	tmp, err := os.CreateTemp(filepath.Dir(a.path), ".authority-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.Write(out.Bytes())
	if err = errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return err
	}
	return place(tmp.Name(), a.path)
}

// CA is what hosts pin, in PEM: more than one certificate while the authority
// changes.
func (a *Authority) CA() []byte {
	a.mu.Lock()
	defer a.mu.Unlock()
	var out bytes.Buffer
	for _, ca := range a.cas {
		if a.now().Before(ca.cert.NotAfter) {
			_ = pem.Encode(&out, &pem.Block{Type: "CERTIFICATE", Bytes: ca.cert.Raw})
		}
	}
	return out.Bytes()
}

// Expires is when the certificate that the broker presents ends, if it is not
// renewed before, which it is.
func (a *Authority) Expires() time.Time {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.leaf.Leaf.NotAfter
}

// Certificate is what the broker presents to a new connection: made anew in time,
// while the connections there are go on. Its key is never written down.
func (a *Authority) Certificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := a.now()
	if a.leaf != nil && now.Before(a.leaf.Leaf.NotAfter.Add(-renewLeaf)) {
		return a.leaf, nil
	}
	if newest := a.cas[len(a.cas)-1]; now.After(newest.cert.NotAfter.Add(-announceNext)) {
		next, err := newAuthority(now)
		if err == nil {
			err = a.write(append(a.cas[:len(a.cas):len(a.cas)], next), os.Rename)
		}
		if err != nil {
			return nil, fmt.Errorf("make the next authority of the bus: %w", err)
		}
		a.cas = append(a.cas, next)
	}
	signer := a.cas[len(a.cas)-1]
	for _, ca := range a.cas {
		if now.Before(ca.cert.NotAfter.Add(-signUntil)) {
			signer = ca
			break
		}
	}
	leaf, err := signer.certify(a.names, now)
	if err != nil {
		return nil, fmt.Errorf("certify the bus: %w", err)
	}
	a.leaf = leaf
	return leaf, nil
}

func newAuthority(now time.Time) (authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return authority{}, err
	}
	template := certificate("NixFleet bus", now, authorityLife)
	template.IsCA, template.BasicConstraintsValid, template.MaxPathLenZero = true, true, true
	template.KeyUsage = x509.KeyUsageCertSign
	raw, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return authority{}, err
	}
	cert, err := x509.ParseCertificate(raw)
	return authority{cert, key}, err
}

func (ca authority) certify(names []string, now time.Time) (*tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := certificate("nixfleet", now, leafLife)
	template.KeyUsage, template.ExtKeyUsage = x509.KeyUsageDigitalSignature, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	for _, name := range names {
		if ip := net.ParseIP(name); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, name)
		}
	}
	raw, err := x509.CreateCertificate(rand.Reader, template, ca.cert, &key.PublicKey, ca.key)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(raw)
	return &tls.Certificate{Certificate: [][]byte{raw}, PrivateKey: key, Leaf: cert}, err
}

// certificate begins an hour ago, for hosts whose clock is behind.
func certificate(name string, now time.Time, life time.Duration) *x509.Certificate {
	serial, _ := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127)) // never fails, see crypto/rand
	return &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: name},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(life),
	}
}
