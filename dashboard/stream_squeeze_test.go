package dashboard

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/nixfleet/nixfleet/fleet"
)

func TestAStreamIsCompressedEventByEvent(t *testing.T) {
	running(t, func(t *testing.T, b *bench) {
		plain, _ := b.open("op")
		w := &tap{header: http.Header{}}
		r := request(http.MethodGet, "/events/", "op", nil).WithContext(t.Context())
		r.Header.Set("Accept-Encoding", "gzip, deflate, br, zstd")
		b.wg.Go(func() { b.ServeHTTP(w, r) })
		arrived := func() string {
			synctest.Wait()
			w.mu.Lock()
			defer w.mu.Unlock()
			z, err := gzip.NewReader(bytes.NewReader(w.got.Bytes()))
			if err != nil {
				t.Fatal(err)
			}
			text, err := io.ReadAll(z)
			if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) { // there is more to come
				t.Fatal(err)
			}
			return string(text)
		}
		if w.header == nil || !strings.HasPrefix(arrived(), "event: hello\n") || !strings.Contains(arrived(), "event: beat\n") {
			t.Fatalf("what arrives begins with %.100q", arrived())
		}
		if w.header.Get("Content-Encoding") != "gzip" || plain.header.Get("Content-Encoding") != "" || plain.header.Get("Vary") != "Accept-Encoding" {
			t.Errorf("headers are %v, and %v for those who take none", w.header, plain.header)
		}
		b.turn("hsb0", fleet.HostVerifying)
		if text := arrived(); !strings.Contains(text[strings.Index(text, "event: beat"):], "Verifying") {
			t.Error("a change waits in the compressor")
		}
	})
}
