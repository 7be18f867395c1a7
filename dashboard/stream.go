package dashboard

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/klauspost/compress/gzip"
)

// stuck is how long a page may take to accept one message before its stream is
// given up; it opens another when it is back.
const stuck = 30 * time.Second

// stream is the stream of one open page: hello with the build, a snapshot, then
// patches, and a beat in every quiet stretch. The server only ever sends; a page
// that reconnects starts again with hello.
func (d *Dashboard) stream(of func(*http.Request) (topic, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		who, ok := d.listener(w, r)
		if !ok {
			return
		}
		shows := asPage(r.URL)
		t, err := of(r)
		if err == nil {
			c := d.hub.join(t)
			defer d.hub.leave(c)
			if _, err = d.look(r.Context(), t); err == nil {
				out := newSender(w)
				out.squeeze(r)
				out.send("hello", []byte(d.build))
				out.patch(d.hub.first(c, shows))
				d.follow(r, out, c, who)
				return
			}
		}
		if errors.Is(err, ErrUnknown) {
			http.Error(w, "there is nothing at this address", http.StatusNotFound)
			return
		}
		http.Error(w, "the read model can't be read", http.StatusServiceUnavailable)
	})
}

// asPage turns the address of a stream into that of its page, from which the topic is
// told. It returns what the page says that it shows.
func asPage(u *url.URL) (shows string) {
	u.Path = strings.TrimPrefix(u.Path, "/events")
	query := u.Query()
	shows = query.Get(showsParam)
	query.Del(showsParam)
	u.RawQuery = query.Encode()
	return shows
}

// showsParam is the part of a stream's address with the version that the page shows.
const showsParam = "shows"

// listener finds out who opens a stream; where nobody may, it has answered.
func (d *Dashboard) listener(w http.ResponseWriter, r *http.Request) (visitor, bool) {
	// Browsers send an EventSource of another site with its cookies, where they
	// are not Lax; the origin check of posts does not cover a GET.
	if site := r.Header.Get("Sec-Fetch-Site"); site != "" && site != "same-origin" {
		http.Error(w, "this stream is for the dashboard's own pages", http.StatusForbidden)
		return visitor{}, false
	}
	who, err := d.visitor(r)
	switch {
	case errors.Is(err, ErrSignedOut):
		http.Error(w, "signed out", http.StatusUnauthorized)
	case err != nil:
		http.Error(w, "the session can't be read", http.StatusServiceUnavailable)
	}
	return who, err == nil
}

// follow sends until the page leaves, the session ends or the server stops.
func (d *Dashboard) follow(r *http.Request, out *sender, c *client, who visitor) {
	beat := time.NewTicker(d.cfg.Beat)
	defer beat.Stop()
	out.send("beat", d.clock())
	for out.err == nil {
		select {
		case <-r.Context().Done():
			return
		case <-d.stopped:
			return
		case <-c.gone:
			out.send("gone", []byte("page"))
			return
		case patch := <-c.patches:
			out.patch(d.hub.next(c, patch))
		case <-beat.C:
			s, err := d.cfg.Sessions.Session(r.Context(), who.cookie)
			if errors.Is(err, ErrSignedOut) || (err == nil && s.Role != who.role) {
				out.send("gone", []byte("session"))
				return
			}
			if err == nil && d.hub.healthy(c) {
				out.send("beat", d.clock())
			}
		}
	}
}

// clock is the server's time in milliseconds, by which pages count.
func (d *Dashboard) clock() []byte {
	return strconv.AppendInt(nil, d.cfg.Now().UnixMilli(), 10)
}

// sender writes server-sent events. After the first error it writes nothing.
type sender struct {
	w    http.ResponseWriter
	body io.Writer // w, or what compresses into it
	rc   *http.ResponseController
	err  error
}

// squeeze compresses what is sent, where the browser takes that. Rows are much alike,
// so that a patch becomes a fraction. Nothing is kept between two events: a page that is
// merely open costs no memory for it.
func (s *sender) squeeze(r *http.Request) {
	s.w.Header().Add("Vary", "Accept-Encoding")
	if !strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		return
	}
	z, err := gzip.NewWriterLevel(s.w, gzip.StatelessCompression)
	if err != nil {
		return // it goes as it is
	}
	s.w.Header().Set("Content-Encoding", "gzip")
	s.body = z
}

func newSender(w http.ResponseWriter) *sender {
	h := w.Header()
	h.Set("Content-Type", "text/event-stream; charset=utf-8")
	h.Set("X-Accel-Buffering", "no") // nginx must not collect it
	s := &sender{w: w, body: w, rc: http.NewResponseController(w)}
	// The server's own time limit is for answers, not for a stream. A writer
	// without deadlines (a test's) is fine as well.
	_ = s.rc.SetWriteDeadline(time.Time{})
	return s
}

// patch sends one, if there is any, under the version that the page shows from then on.
func (s *sender) patch(p patch) {
	if p.version != "" {
		s.sendAs("patch", p.version, p.html)
	}
}

func (s *sender) send(event string, data []byte) { s.sendAs(event, "", data) }

// sendAs sends an event with an id; none where it is empty.
func (s *sender) sendAs(event, id string, data []byte) {
	if s.err != nil {
		return
	}
	var buf bytes.Buffer
	fmt.Fprintf(&buf, "event: %s\n", event)
	if id != "" {
		fmt.Fprintf(&buf, "id: %s\n", id)
	}
	// A carriage return ends a line of the stream as well; HTML takes it for a newline.
	data = bytes.ReplaceAll(bytes.ReplaceAll(data, []byte("\r\n"), []byte("\n")), []byte("\r"), []byte("\n"))
	for line := range bytes.Lines(data) {
		fmt.Fprintf(&buf, "data: %s\n", bytes.TrimSuffix(line, []byte("\n")))
	}
	buf.WriteByte('\n')
	giveUp := time.AfterFunc(stuck, func() { _ = s.rc.SetWriteDeadline(time.Unix(1, 0)) })
	defer giveUp.Stop()
	if _, err := s.body.Write(buf.Bytes()); err != nil {
		s.err = err
		return
	}
	s.err = s.rc.Flush()
}
