package dashboard

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nixfleet/nixfleet/fleet"
)

// listening opens the log's stream of order-running, which goes on as the test says.
func listening(t *testing.T, test func(t *testing.T, w *world, d *Dashboard, log *tap)) {
	t.Helper()
	t.Parallel()
	s := story(t, "order-running")
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(s.Overview)
		w.tell(s)
		w.story.Log, w.printed = nil, make(chan struct{})
		d := newDashboard(t, w, Config{Now: time.Now})
		log := &tap{header: http.Header{}}
		ctx, leave := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			d.ServeHTTP(log, request(http.MethodGet, s.Path+"/log", "op", nil).WithContext(ctx))
		}()
		test(t, w, d, log)
		leave()
		<-done
	})
}

// prints has the order print more.
func (w *world) prints(step, text string) {
	w.mu.Lock()
	from := int64(0)
	if n := len(w.story.Log); n > 0 {
		from = w.story.Log[n-1].To
	}
	w.story.Log = append(w.story.Log, fleet.OutputChunk{From: from, To: from + int64(len(text)), Step: step, Text: text})
	w.mu.Unlock()
	w.printed <- struct{}{}
}

func TestALogIsSentAsItIsPrinted(t *testing.T) {
	listening(t, func(t *testing.T, w *world, d *Dashboard, log *tap) {
		if got := log.read(); events(got) != "hello beat" || !strings.HasPrefix(got[0].data, d.build) {
			t.Fatalf("at first: %v", got)
		}
		hostile := "a line\r\n\n<script>alert(1)</script>\nevent: gone\ndata: x\n\n"
		w.prints("building", hostile)
		got := log.read()
		var piece logPiece
		if len(got) != 2 || got[0].event != "piece" || json.Unmarshal([]byte(got[0].data), &piece) != nil {
			t.Fatalf("then: %v", got)
		}
		if want := (logPiece{"building", hostile, int64(len(hostile))}); piece != want {
			t.Errorf("a piece arrives as %+v, want %+v", piece, want)
		}
		ch := w.printed
		w.mu.Lock()
		w.printed = nil
		w.mu.Unlock()
		close(ch)
		if got := log.read(); events(got) != "beat end" || strings.TrimSpace(got[1].data) != "true" {
			t.Errorf("at the end: %v", got)
		}
	})
}

func TestALogEndsWithItsSession(t *testing.T) {
	listening(t, func(t *testing.T, w *world, d *Dashboard, log *tap) {
		log.read()
		w.change(func() { delete(w.sessions, "op") })
		time.Sleep(d.cfg.Beat + time.Second) // imitated
		if got := log.read(); events(got) != "gone" {
			t.Errorf("after the session: %v", got)
		}
	})
}

func TestALogEndsWithTheServer(t *testing.T) {
	listening(t, func(t *testing.T, _ *world, d *Dashboard, log *tap) {
		log.read()
		close(d.stopped)
		if got := log.read(); len(got) != 0 {
			t.Errorf("when the server stops: %v", got)
		}
	})
}

func TestALogGoesOnWhereThePageIs(t *testing.T) {
	t.Parallel()
	w, d := telling(t, "order-failed")
	from := w.story.Log[1].From
	body := do(d, request(http.MethodGet, w.story.Path+"/log?from="+jsonNumber(from), "view", nil)).Body.String()
	if strings.Contains(body, "From https://") || !strings.Contains(body, "evaluating") || !strings.Contains(body, "event: end") {
		t.Errorf("from byte %d: %s", from, body)
	}
	r := request(http.MethodGet, w.story.Path+"/log", "view", nil)
	r.Header.Set("Sec-Fetch-Site", "same-site")
	if rec := do(d, r); rec.Code != http.StatusForbidden {
		t.Errorf("another site hears the log: %d", rec.Code)
	}
}

func jsonNumber(n int64) string {
	b, _ := json.Marshal(n)
	return string(b)
}

func TestALogIsDownloadedWhole(t *testing.T) {
	t.Parallel()
	w, d := telling(t, "order-failed")
	rec := do(d, request(http.MethodGet, w.story.Path+"/log.txt", "view", nil))
	want := ""
	for _, c := range w.story.Log {
		want += c.Text
	}
	if rec.Body.String() != want {
		t.Errorf("downloaded %q", rec.Body)
	}
	h := rec.Header()
	if h.Get("Content-Type") != "text/plain; charset=utf-8" || h.Get("Content-Disposition") != `attachment; filename="hsb1-01KAQD.log"` || h.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("headers %v", h)
	}
	// Without script it stands on the page, as text.
	page := do(d, request(http.MethodGet, w.story.Path, "view", nil)).Body.String()
	if _, end, _ := strings.Cut(page, "<noscript><pre"); !strings.Contains(end, "&lt;script&gt;alert(&#39;a log is text&#39;)") {
		t.Error("the end of the log is not on the page, or not as text")
	}
}
