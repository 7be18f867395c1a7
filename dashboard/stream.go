package dashboard

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// stuck is how long a page may take to accept one message before its stream is
// given up; it opens another when it is back.
const stuck = 30 * time.Second

// events is the stream of one open page: hello with the build, a snapshot, then
// patches, and a beat in every quiet stretch. The server only ever sends; a page
// that reconnects starts again with hello.
func (d *Dashboard) events(w http.ResponseWriter, r *http.Request) {
	// Browsers send an EventSource of another site with its cookies, where they
	// are not Lax; the origin check of posts does not cover a GET.
	if site := r.Header.Get("Sec-Fetch-Site"); site != "" && site != "same-origin" {
		http.Error(w, "this stream is for the dashboard's own pages", http.StatusForbidden)
		return
	}
	who, err := d.visitor(r)
	if errors.Is(err, ErrSignedOut) {
		http.Error(w, "signed out", http.StatusUnauthorized)
		return
	}
	if err == nil {
		err = d.refresh(r.Context())
	}
	if err != nil {
		http.Error(w, "the read model can't be read", http.StatusServiceUnavailable)
		return
	}
	c, snapshot := d.hub.join()
	defer d.hub.leave(c)
	out := newSender(w)
	out.send("hello", []byte(d.build))
	out.send("patch", snapshot)
	d.follow(r, out, c, who)
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
		case patch := <-c.patches:
			out.send("patch", d.hub.next(c, patch))
		case <-beat.C:
			_, role, err := d.cfg.Sessions.Session(r.Context(), who.cookie)
			if errors.Is(err, ErrSignedOut) || (err == nil && role != who.role) {
				out.send("gone", []byte("session"))
				return
			}
			if err == nil && d.hub.healthy.Load() {
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
	w   http.ResponseWriter
	rc  *http.ResponseController
	err error
}

func newSender(w http.ResponseWriter) *sender {
	h := w.Header()
	h.Set("Content-Type", "text/event-stream; charset=utf-8")
	h.Set("X-Accel-Buffering", "no") // nginx must not collect it
	s := &sender{w: w, rc: http.NewResponseController(w)}
	// The server's own time limit is for answers, not for a stream. A writer
	// without deadlines (a test's) is fine as well.
	_ = s.rc.SetWriteDeadline(time.Time{})
	return s
}

func (s *sender) send(event string, data []byte) {
	if s.err != nil {
		return
	}
	var buf bytes.Buffer
	fmt.Fprintf(&buf, "event: %s\n", event)
	// A carriage return ends a line of the stream as well; HTML takes it for a newline.
	data = bytes.ReplaceAll(bytes.ReplaceAll(data, []byte("\r\n"), []byte("\n")), []byte("\r"), []byte("\n"))
	for line := range bytes.Lines(data) {
		fmt.Fprintf(&buf, "data: %s\n", bytes.TrimSuffix(line, []byte("\n")))
	}
	buf.WriteByte('\n')
	giveUp := time.AfterFunc(stuck, func() { _ = s.rc.SetWriteDeadline(time.Unix(1, 0)) })
	defer giveUp.Stop()
	if _, err := s.w.Write(buf.Bytes()); err != nil {
		s.err = err
		return
	}
	s.err = s.rc.Flush()
}
