package app

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// seal encrypts what the database must not hold in clear. Whoever has only the
// database, or only the key, has nothing.
type seal struct {
	aead cipher.AEAD
	file string
}

// errSealed says that something can't be opened with our key.
var errSealed = errors.New("it was sealed with another key, or altered")

// minSealKey is the shortest key file that is accepted, in characters: 128 bits as
// hexadecimal digits.
const minSealKey = 32

// openSeal reads the key from its file. A file of our own, in the data directory, is
// made on first use; one that the settings name has to be there, because other
// replicas must have the same.
func openSeal(file string, own bool) (*seal, error) {
	text, err := os.ReadFile(file)
	if own && errors.Is(err, fs.ErrNotExist) {
		text, err = makeKeyFile(file)
	}
	if err != nil {
		return nil, fmt.Errorf("read the sealing key: %w", err)
	}
	material := strings.TrimSpace(string(text))
	if len(material) < minSealKey {
		return nil, fmt.Errorf("the sealing key in %s has %d characters, at least %d are needed; make one with `openssl rand -hex 32`", file, len(material), minSealKey)
	}
	key, err := hkdf.Key(sha256.New, []byte(material), nil, "nixfleet github app credentials", 32)
	if err != nil {
		return nil, fmt.Errorf("derive the sealing key: %w", err)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("derive the sealing key: %w", err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, fmt.Errorf("derive the sealing key: %w", err)
	}
	return &seal{aead, file}, nil
}

// makeKeyFile writes a new key and returns it. Of two processes that do so at once,
// both end with the same: the link is made once.
func makeKeyFile(file string) ([]byte, error) {
	key := make([]byte, 32)
	_, _ = rand.Read(key)                                    // never fails, see crypto/rand
	temp, err := os.CreateTemp(filepath.Dir(file), ".key-*") // 0600
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.Remove(temp.Name()) }()
	_, err = temp.WriteString(hex.EncodeToString(key) + "\n")
	if err == nil {
		err = temp.Sync()
	}
	if err := errors.Join(err, temp.Close()); err != nil {
		return nil, err
	}
	if err := os.Link(temp.Name(), file); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	return os.ReadFile(file)
}

// shut encrypts text for one use, which has to be named again to open it.
func (s *seal) shut(text []byte, use string) []byte { return s.aead.Seal(nil, nil, text, []byte(use)) }

// open decrypts what shut made.
func (s *seal) open(sealed []byte, use string) ([]byte, error) {
	text, err := s.aead.Open(nil, nil, sealed, []byte(use))
	if err != nil {
		return nil, errSealed // the library's own words say less
	}
	return text, nil
}
