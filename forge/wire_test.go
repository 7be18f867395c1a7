package forge

import (
	"crypto/rand"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/nixfleet/nixfleet/fleet"
)

func TestCacheForgetsWhatWasNotUsedForLongest(t *testing.T) {
	t.Parallel()
	room := len(packed([]byte("123")))
	c := newCache(2 * (room + 1)) // two answers and their names
	c.Set("a", []byte("123"))
	c.Set("b", []byte("123"))
	if _, ok := c.Get("a"); !ok {
		t.Error("a is missing")
	}
	c.Set("c", []byte("124"))
	for key, want := range map[string]bool{"a": true, "b": false, "c": true} {
		if _, ok := c.Get(key); ok != want {
			t.Errorf("%s is there: %v, want %v", key, ok, want)
		}
	}
	c.Set("a", []byte("321"))
	if v, _ := c.Get("a"); string(v) != "321" {
		t.Errorf("a = %q after it was replaced", v)
	}
	huge := make([]byte, 1000)
	_, _ = rand.Read(huge)
	c.Set("huge", huge)
	if c.order.Len() != 0 || len(c.items) != 0 || c.left != 2*(room+1) {
		t.Errorf("after an item that is too large: %d items, %d bytes left; want it not kept", c.order.Len(), c.left)
	}
	c.Delete("never there")
}

func TestAnswersAreBounded(t *testing.T) {
	t.Parallel()
	resp, err := bounded{roundTrip(func(*http.Request) (*http.Response, error) {
		return &http.Response{Body: io.NopCloser(io.LimitReader(zeros{}, maxBody+1))}, nil
	})}.RoundTrip(httptest.NewRequest(http.MethodGet, "/", nil))
	if err != nil {
		t.Fatal(err)
	}
	if n, err := io.Copy(io.Discard, resp.Body); !errors.Is(err, errBody) || n > maxBody {
		t.Errorf("read %d bytes, %v; want an error", n, err)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

func TestNamesThatLeadElsewhereAreNotAskedFor(t *testing.T) {
	t.Parallel()
	for _, r := range []fleet.Repo{{Owner: "..", Name: "x"}, {Owner: "a/b", Name: "x"}, {Owner: "a", Name: "."}, {Owner: "a", Name: ""}, {Owner: "a", Name: "x?y"}, {Owner: "a%2e", Name: "x"}} {
		if path, err := repoPath(r, ""); err == nil {
			t.Errorf("repoPath(%+v) = %q, want an error", r, path)
		}
	}
	for _, path := range []string{"", "/etc", "a//b", "../x", "a/./b"} {
		if escaped, err := filePath(path); err == nil {
			t.Errorf("filePath(%q) = %q, want an error", path, escaped)
		}
	}
	if got, err := filePath("a b/c?d#e%/f"); err != nil || got != "a%20b/c%3Fd%23e%25/f" {
		t.Errorf("filePath = %q, %v", got, err)
	}
}

func TestRedirectsStayOnTheHost(t *testing.T) {
	t.Parallel()
	leaked := false
	other := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { leaked = true }))
	defer other.Close()
	key := testKey(t)
	github := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/access_tokens") {
			_, _ = io.WriteString(w, `{"token":"ghs_secret","expires_at":"2999-01-01T00:00:00Z"}`)
			return
		}
		http.Redirect(w, r, other.URL+"/steal", http.StatusMovedPermanently)
	}))
	defer github.Close()
	f, err := New(Config{APIURL: github.URL, AppID: 1, PrivateKey: key, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	p := f.Pull(t.Context(), fleet.Repo{ID: 1, Installation: 1, Owner: "o", Name: "r"}, 1)
	if p.Known() || leaked || !strings.Contains(p.Err, "another host") {
		t.Errorf("pull request = %+v, token sent elsewhere: %v", p, leaked)
	}
}

func TestNewSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	key := testKey(t)
	for name, c := range map[string]struct {
		config Config
		says   string
	}{
		"no App id":   {Config{Now: time.Now, PrivateKey: key}, "App id"},
		"no clock":    {Config{AppID: 1, PrivateKey: key}, "clock"},
		"no key":      {Config{AppID: 1, Now: time.Now, PrivateKey: []byte("hunter2")}, "private key"},
		"no address ": {Config{AppID: 1, Now: time.Now, PrivateKey: key, APIURL: "github"}, "address"},
	} {
		_, err := New(c.config)
		if err == nil || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: err = %v, want one about %q without the key", name, err, c.says)
		}
	}
}
