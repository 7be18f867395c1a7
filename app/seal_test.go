package app

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

func TestWhatIsSealedOpensWithItsKeyAndUseOnly(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "github-app.key")
	seals := make([]*seal, 4) // replicas on one directory that start at once
	var start sync.WaitGroup
	for i := range seals {
		start.Go(func() { seals[i], _ = openSeal(file, true) })
	}
	start.Wait()
	text := []byte("the App's private key")
	for i, s := range seals {
		if s == nil {
			t.Fatalf("replica %d has no key", i)
		}
		sealed := s.shut(text, "app 1")
		if bytes.Contains(sealed, text) || bytes.Equal(sealed, s.shut(text, "app 1")) {
			t.Error("sealing shows what is in it, or that two are the same")
		}
		if got, err := seals[0].open(sealed, "app 1"); err != nil || !bytes.Equal(got, text) {
			t.Errorf("opened by another replica: %q, %v", got, err)
		}
		if _, err := s.open(sealed, "app 2"); !errors.Is(err, errSealed) {
			t.Errorf("opened for another App: %v", err)
		}
		for _, bad := range [][]byte{nil, sealed[:8], append(bytes.Clone(sealed[:len(sealed)-1]), sealed[len(sealed)-1]^1)} {
			if _, err := s.open(bad, "app 1"); !errors.Is(err, errSealed) {
				t.Errorf("opened %d altered bytes: %v", len(bad), err)
			}
		}
	}
	info, err := os.Stat(file)
	must(t, err)
	left, err := os.ReadDir(dir)
	must(t, err)
	if info.Mode().Perm() != 0o600 || len(left) != 1 {
		t.Errorf("the key file has mode %v, and its directory %d files", info.Mode(), len(left))
	}
}

func TestAnOwnSealingKeyHasToBeOne(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "own")
	if _, err := openSeal(file, false); err == nil {
		t.Error("a key file that is named but missing was made up")
	}
	must(t, os.WriteFile(file, []byte("too short\n"), 0o600))
	if _, err := openSeal(file, false); err == nil || !strings.Contains(err.Error(), "openssl") || strings.Contains(err.Error(), "too short") {
		t.Errorf("a short key: %v, want what to do and not the key", err)
	}
	must(t, os.WriteFile(file, []byte(strings.Repeat("k", 32)), 0o600))
	a, err := openSeal(file, false)
	must(t, err)
	must(t, os.WriteFile(file, []byte("\n"+strings.Repeat("k", 32)+"\n\n"), 0o600))
	b, err := openSeal(file, false)
	must(t, err)
	if _, err := b.open(a.shut([]byte("x"), ""), ""); err != nil {
		t.Errorf("blank lines around the key make another: %v", err)
	}
}
