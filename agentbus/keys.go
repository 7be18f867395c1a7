package agentbus

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"github.com/nats-io/nkeys"
)

// Keyring is every secret that the server needs for the bus: the keys of the
// operator and of the three accounts, the key that signs host certificates and
// the key that signs orders. Whoever holds it commands the fleet.
type Keyring struct {
	fleet    string
	operator nkeys.KeyPair
	system   nkeys.KeyPair // account that administers the broker
	control  nkeys.KeyPair // account with JetStream, the server's
	agents   nkeys.KeyPair // account without JetStream, the hosts'
	hosts    nkeys.KeyPair // scoped signing key of agents
	jwts     accountJWTs
	path     string

	mu     sync.RWMutex // guards what follows
	file   keyringFile
	orders []ed25519.PrivateKey // the current one first
}

// keyringFile is the keyring on disk. The JWTs are kept because a broker takes
// the one that was issued last: made afresh, they would undo revocations.
type keyringFile struct {
	Version  int         `json:"version"`
	Fleet    string      `json:"fleet"`
	Operator string      `json:"operator"`
	System   string      `json:"system"`
	Control  string      `json:"control"`
	Agents   string      `json:"agents"`
	Hosts    string      `json:"hosts"`
	Orders   [][]byte    `json:"orders"` // ed25519 seeds, the current one first
	Serial   uint64      `json:"serial"` // counts the changes of Orders
	JWTs     accountJWTs `json:"jwts"`
}

// LoadOrCreateKeyring reads the keyring at path and makes one, mode 0600, when
// there is none. Of several processes that make one at once, one wins and the
// others read it. A keyring that others may read is refused.
func LoadOrCreateKeyring(path string) (*Keyring, error) {
	k, err := loadKeyring(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return k, err
	}
	if err := createKeyring(path); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("create bus keyring: %w", err)
	}
	return loadKeyring(path)
}

func loadKeyring(path string) (*Keyring, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("read bus keyring: %w", err)
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return nil, fmt.Errorf("read bus keyring %s: its mode is %#o, so others may read it; set it to 0600", path, mode)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read bus keyring: %w", err)
	}
	var f keyringFile
	if err := json.Unmarshal(data, &f); err != nil {
		// The reason may quote the file, which is secret.
		return nil, fmt.Errorf("read bus keyring %s: it is not valid JSON", path)
	}
	k, err := f.open()
	if err != nil {
		return nil, fmt.Errorf("read bus keyring %s: %w", path, err)
	}
	k.path = path
	return k, nil
}

func (f keyringFile) open() (*Keyring, error) {
	if f.Version != 1 {
		return nil, fmt.Errorf("version %d is not known", f.Version)
	}
	if len(f.Orders) == 0 || f.Fleet == "" {
		return nil, errors.New("it is incomplete")
	}
	k := &Keyring{fleet: f.Fleet, jwts: f.JWTs, file: f}
	for _, key := range []struct {
		name string
		seed string
		to   *nkeys.KeyPair
	}{
		{"operator", f.Operator, &k.operator}, {"system", f.System, &k.system},
		{"control", f.Control, &k.control}, {"agents", f.Agents, &k.agents}, {"hosts", f.Hosts, &k.hosts},
	} {
		pair, err := nkeys.FromSeed([]byte(key.seed))
		if err != nil {
			return nil, fmt.Errorf("key %s: %w", key.name, err)
		}
		*key.to = pair
	}
	for _, seed := range f.Orders {
		if len(seed) != ed25519.SeedSize {
			return nil, errors.New("an order key has the wrong length")
		}
		k.orders = append(k.orders, ed25519.NewKeyFromSeed(seed))
	}
	return k, nil
}

// createKeyring fails with fs.ErrExist when another process was faster.
func createKeyring(path string) error {
	f, err := newKeyringFile()
	if err != nil {
		return err
	}
	data, err := json.MarshalIndent(f, "", "  ")
	if err != nil {
		return err
	}
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	tmp, err := os.CreateTemp(dir, ".keyring-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.Write(append(data, '\n'))
	if err = errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return err
	}
	return os.Link(tmp.Name(), path) // unlike a rename, never replaces
}

func newKeyringFile() (keyringFile, error) {
	f := keyringFile{Version: 1, Fleet: randomHex(), Orders: [][]byte{make([]byte, ed25519.SeedSize)}}
	_, _ = rand.Read(f.Orders[0]) // never fails, see crypto/rand
	for _, key := range []struct {
		make func() (nkeys.KeyPair, error)
		to   *string
	}{
		{nkeys.CreateOperator, &f.Operator}, {nkeys.CreateAccount, &f.System}, {nkeys.CreateAccount, &f.Control},
		{nkeys.CreateAccount, &f.Agents}, {nkeys.CreateAccount, &f.Hosts},
	} {
		pair, err := key.make()
		if err != nil {
			return f, err
		}
		seed, err := pair.Seed()
		if err != nil {
			return f, err
		}
		*key.to = string(seed)
	}
	k, err := f.open()
	if err != nil {
		return f, err
	}
	f.JWTs, err = k.issueAccounts()
	return f, err
}

// FleetID is the id of this installation. A host obeys one fleet.
func (k *Keyring) FleetID() string { return k.fleet }

func randomHex() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails, see crypto/rand
	return hex.EncodeToString(b[:])
}

func publicKey(pair nkeys.KeyPair) string {
	key, err := pair.PublicKey()
	if err != nil {
		return "" // only a wiped key has none
	}
	return key
}
