package forge

import (
	"bytes"
	"compress/flate"
	"container/list"
	"errors"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"sync"
)

// maxBody bounds any answer. The largest that we ask for are raw locks (4 MiB)
// and comparisons.
const maxBody = 16 << 20

var errBody = errors.New("the answer is larger than 16 MiB")

// bounded is the innermost layer: no answer makes us hold more than maxBody.
type bounded struct{ next http.RoundTripper }

func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := b.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	resp.Body = &boundedBody{resp.Body, maxBody}
	return resp, nil
}

type boundedBody struct {
	io.ReadCloser
	left int
}

func (b *boundedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if b.left -= n; b.left < 0 {
		return 0, errBody
	}
	return n, err
}

// revalidated makes the cache ask GitHub every time. Left alone it would serve a
// check run from memory for a minute, and merge on it. max-age=0 would not do: with
// GitHub's clock ahead of ours the cache takes such an answer for fresh. Only what
// is named by full commit or tree ids, and so can't change, is not asked for again.
type revalidated struct{ next http.RoundTripper }

func (t revalidated) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := t.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	keep := "no-cache"
	if resp.StatusCode == http.StatusOK && immutable(r.URL) {
		keep = "max-age=31536000" // a year; the cache forgets it sooner
	}
	resp.Header.Set("Cache-Control", keep)
	return resp, nil
}

// pinned are the paths of what a full id names: a tree, a commit, and what lies
// between two commits. Files are not among them: an answer that is none of GitHub's
// would be taken for the file for good, and nothing here could tell.
var pinned = regexp.MustCompile(`/git/(?:trees|commits|blobs)/[0-9a-f]{40,64}$|/compare/[0-9a-f]{40,64}\.\.\.[0-9a-f]{40,64}$`)

func immutable(u *url.URL) bool { return pinned.MatchString(u.Path) }

// cache is an httpcache.Cache that holds at most so many bytes, packed, and forgets
// what was not used for longest.
type cache struct {
	mu    sync.Mutex
	left  int
	items map[string]*list.Element
	order *list.List // newest first
}

type cached struct {
	key  string
	data []byte
}

func newCache(size int) *cache {
	return &cache{left: size, items: map[string]*list.Element{}, order: list.New()}
}

// Get returns the answer stored under key.
func (c *cache) Get(key string) ([]byte, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.items[key]
	if e == nil {
		return nil, false
	}
	c.order.MoveToFront(e)
	data, err := io.ReadAll(flate.NewReader(bytes.NewReader(e.Value.(cached).data)))
	return data, err == nil
}

// Set stores an answer.
func (c *cache) Set(key string, data []byte) {
	data = packed(data)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.drop(c.items[key])
	c.items[key] = c.order.PushFront(cached{key, data})
	for c.left -= len(key) + len(data); c.left < 0; {
		c.drop(c.order.Back())
	}
}

// packed is data in a fifth of the room or less: what GitHub answers is mostly
// addresses that repeat each other.
func packed(data []byte) []byte {
	var b bytes.Buffer
	w, err := flate.NewWriter(&b, flate.BestSpeed)
	if err == nil {
		_, err = w.Write(data)
		err = errors.Join(err, w.Close())
	}
	if err != nil { // into memory, nothing can fail
		panic(err)
	}
	return b.Bytes()
}

// Delete forgets an answer.
func (c *cache) Delete(key string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.drop(c.items[key])
}

func (c *cache) drop(e *list.Element) {
	if e == nil {
		return
	}
	old := c.order.Remove(e).(cached)
	delete(c.items, old.key)
	c.left += len(old.key) + len(old.data)
}
