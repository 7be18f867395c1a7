package dashboard

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/nixfleet/nixfleet/fleet"
)

// logTail is how much of a log people see who have no script.
const logTail = 32 << 10

// logEnd is the end of an order's log, for the page. That it can't be read keeps
// nobody from the rest.
func (d *Dashboard) logEnd(r *http.Request) fleet.Output {
	end, err := d.cfg.Hosts.OrderLogEnd(r.Context(), r.PathValue("id"), logTail)
	if err != nil && r.Context().Err() == nil {
		d.cfg.Log.Warn().Ctx(r.Context()).Err(err).Str("order", r.PathValue("id")).Msg("read the end of a log")
	}
	return end
}

// plain is the text of a part of a log.
func plain(o fleet.Output) string {
	var b strings.Builder
	for _, c := range o.Chunks {
		b.WriteString(c.Text)
	}
	return b.String()
}

// logPiece is a piece of a log on its way to a page, which shows it as text.
type logPiece struct {
	Step string `json:"step"`
	Text string `json:"text"`
	Next int64  `json:"next"` // where to go on
}

// logStream sends what an order prints to an open page until there is no more to come,
// the session ends or the server stops: pieces, beats where it is quiet, and an end.
func (d *Dashboard) logStream(w http.ResponseWriter, r *http.Request) {
	who, ok := d.listener(w, r)
	if !ok {
		return
	}
	from, err := strconv.ParseInt(r.URL.Query().Get("from"), 10, 64)
	if err != nil || from < 0 {
		from = 0
	}
	if _, err := d.cfg.Hosts.OrderRecord(r.Context(), r.PathValue("name"), r.PathValue("id")); err != nil {
		d.noLog(w, err)
		return
	}
	ctx, stop := context.WithCancelCause(r.Context())
	defer stop(nil)
	go d.guard(ctx, who, stop)
	out := newSender(w)
	out.send("hello", []byte(d.build))
	whole := false
	err = d.cfg.Hosts.FollowLog(ctx, r.PathValue("id"), from, func(o fleet.Output) error {
		whole = o.Whole
		if len(o.Chunks) == 0 {
			out.send("beat", d.clock())
		}
		for _, c := range o.Chunks {
			data, err := json.Marshal(logPiece{Step: c.Step, Text: c.Text, Next: c.To}) // one line, whatever the text holds
			if err != nil {
				return err
			}
			out.send("piece", data)
		}
		return out.err
	})
	switch {
	case err == nil:
		out.send("end", strconv.AppendBool(nil, whole))
	case errors.Is(context.Cause(ctx), ErrSignedOut):
		out.send("gone", []byte("session"))
	}
}

// guard ends a stream when its session ends or is another one, or the server stops.
func (d *Dashboard) guard(ctx context.Context, who visitor, stop context.CancelCauseFunc) {
	beat := time.NewTicker(d.cfg.Beat)
	defer beat.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-d.stopped:
			stop(nil)
			return
		case <-beat.C:
			s, err := d.cfg.Sessions.Session(ctx, who.cookie)
			if errors.Is(err, ErrSignedOut) || err == nil && s.Role != who.role {
				stop(ErrSignedOut)
				return
			}
		}
	}
}

func (d *Dashboard) noLog(w http.ResponseWriter, err error) {
	if errors.Is(err, ErrUnknown) {
		http.Error(w, "there is no such order of this host", http.StatusNotFound)
		return
	}
	http.Error(w, "the log can't be read", http.StatusServiceUnavailable)
}

// logText is the whole log as a file of plain text, as far as it is there.
func (d *Dashboard) logText(w http.ResponseWriter, r *http.Request, _ visitor) {
	host, id := r.PathValue("name"), r.PathValue("id")
	if _, err := d.cfg.Hosts.OrderRecord(r.Context(), host, id); err != nil {
		d.noLog(w, err)
		return
	}
	part, err := d.cfg.Hosts.OrderLog(r.Context(), id, 0)
	if err != nil {
		d.noLog(w, err)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Content-Disposition", fmt.Sprintf("attachment; filename=%q", filename(host, id)))
	control := http.NewResponseController(w)
	for len(part.Chunks) > 0 {
		_ = control.SetWriteDeadline(time.Now().Add(stuck))
		if _, err := io.WriteString(w, plain(part)); err != nil {
			return
		}
		if part, err = d.cfg.Hosts.OrderLog(r.Context(), id, part.Next); err != nil {
			// It can't be taken back that it began well: the connection breaks off, so that
			// nobody takes it for the whole.
			panic(http.ErrAbortHandler)
		}
	}
}
