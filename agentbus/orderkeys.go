package agentbus

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
)

// TypeKeys is the payload type of an envelope that holds a [KeyList].
const TypeKeys = "application/vnd.nixfleet.keys+json"

// maxOrderKeys bounds how many order keys a fleet has at a time.
const maxOrderKeys = 8

// Refusals of changes to the order keys.
var (
	ErrUnknownKey = errors.New("no order key has this id")
	ErrCurrentKey = errors.New("the key signs orders now; use another one first")
	ErrManyKeys   = errors.New("there are many order keys already; retire one first")
)

// KeyList says which keys sign the orders of a fleet. Hosts take a list only when a
// key that they have pinned signed it, and never an older one in a newer one's place.
type KeyList struct {
	V      int      `json:"v"`
	Fleet  string   `json:"fleet"`
	Serial uint64   `json:"serial"`
	Keys   []string `json:"keys"` // as in [Keyring.OrderKeys]
}

// AcceptKeys returns the list of fleet that one of the pinned keys signed, if it is
// not older than serial.
func AcceptKeys(fleet string, pinned []string, serial uint64, signed []Envelope) (KeyList, error) {
	keys, err := parseOrderKeys(pinned)
	if err != nil {
		return KeyList{}, err
	}
	for _, e := range signed[:min(len(signed), maxOrderKeys)] {
		var list KeyList
		if e.Type != TypeKeys || !keys.signed(e) || json.Unmarshal(e.Payload, &list) != nil {
			continue
		}
		if _, err := parseOrderKeys(list.Keys); err != nil {
			return KeyList{}, err
		}
		if list.V != ProtocolVersion || list.Fleet != fleet {
			return KeyList{}, fmt.Errorf("the list of order keys is that of fleet %q, version %d", list.Fleet, list.V)
		}
		if list.Serial < serial {
			return KeyList{}, fmt.Errorf("the list of order keys has number %d, older than %d", list.Serial, serial)
		}
		return list, nil
	}
	return KeyList{}, errors.New("no order key that this host has pinned signed the list of keys: enrol the host again, by hand")
}

// KeyIDs are the ids of order keys, as envelopes and heartbeats name them.
func KeyIDs(keys []string) []string {
	parsed, _ := parseOrderKeys(keys)
	ids := make([]string, 0, len(parsed))
	for id := range parsed {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

// KeyLists is the list of the present order keys, signed by each of them: a host
// that knows any one of them takes the others from it.
func (k *Keyring) KeyLists() ([]Envelope, error) {
	k.mu.RLock()
	defer k.mu.RUnlock()
	list := KeyList{V: ProtocolVersion, Fleet: k.fleet, Serial: k.file.Serial, Keys: k.orderKeys()}
	payload, err := json.Marshal(list)
	if err != nil {
		return nil, err
	}
	out := make([]Envelope, len(k.orders))
	for i, key := range k.orders {
		out[i] = envelope(key, TypeKeys, payload)
	}
	return out, nil
}

// AddOrderKey makes a key, which hosts learn of and which signs nothing until it is
// used, and returns its id.
func (k *Keyring) AddOrderKey() (id string, err error) {
	seed := make([]byte, ed25519.SeedSize)
	_, _ = rand.Read(seed) // never fails, see crypto/rand
	err = k.changeOrders(func(orders [][]byte) ([][]byte, error) {
		if len(orders) >= maxOrderKeys {
			return nil, ErrManyKeys
		}
		return append(orders, seed), nil
	})
	return seedID(seed), err
}

// UseOrderKey has the key with this id sign orders from now on.
func (k *Keyring) UseOrderKey(id string) error {
	return k.changeOrders(func(orders [][]byte) ([][]byte, error) {
		i := slices.IndexFunc(orders, func(seed []byte) bool { return seedID(seed) == id })
		if i < 0 {
			return nil, ErrUnknownKey
		}
		used := orders[i]
		return slices.Insert(slices.Delete(orders, i, i+1), 0, used), nil
	})
}

// RetireOrderKey forgets a key that does not sign orders. Hosts drop it too.
func (k *Keyring) RetireOrderKey(id string) error {
	return k.changeOrders(func(orders [][]byte) ([][]byte, error) {
		i := slices.IndexFunc(orders, func(seed []byte) bool { return seedID(seed) == id })
		switch {
		case i < 0:
			return nil, ErrUnknownKey
		case i == 0:
			return nil, ErrCurrentKey
		}
		return slices.Delete(orders, i, i+1), nil
	})
}

func seedID(seed []byte) string {
	return keyID(ed25519.NewKeyFromSeed(seed).Public().(ed25519.PublicKey))
}

// changeOrders writes the keyring before anything uses what it holds.
func (k *Keyring) changeOrders(change func([][]byte) ([][]byte, error)) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	orders, err := change(slices.Clone(k.file.Orders))
	if err != nil {
		return err
	}
	next := k.file
	next.Orders, next.Serial = orders, k.file.Serial+1
	opened, err := next.open()
	if err == nil {
		err = next.replace(k.path)
	}
	if err != nil {
		return fmt.Errorf("change the order keys: %w", err)
	}
	k.file, k.orders = next, opened.orders
	return nil
}

// replace puts f in the place of the keyring at path, whole or not at all.
func (f keyringFile) replace(path string) error {
	data, err := json.MarshalIndent(f, "", "  ")
	if err != nil {
		return err
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), ".keyring-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.Write(append(data, '\n'))
	if err = errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return err
	}
	if err := os.Rename(tmp.Name(), path); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// OrderKeys are the public keys that hosts pin: ed25519 in base64, the current
// one first.
func (k *Keyring) OrderKeys() []string {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return k.orderKeys()
}

func (k *Keyring) orderKeys() []string {
	keys := make([]string, len(k.orders))
	for i, key := range k.orders {
		keys[i] = base64.StdEncoding.EncodeToString(key.Public().(ed25519.PublicKey))
	}
	return keys
}

// signer is the key that signs orders now.
func (k *Keyring) signer() ed25519.PrivateKey {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return k.orders[0]
}

func envelope(key ed25519.PrivateKey, kind string, payload []byte) Envelope {
	return Envelope{
		KeyID: keyID(key.Public().(ed25519.PublicKey)), Type: kind, Payload: payload,
		Sig: ed25519.Sign(key, encodePAE(kind, payload)),
	}
}
