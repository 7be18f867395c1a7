package dashboard

import (
	"encoding/csv"
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/nixfleet/nixfleet/fleet"
)

// exportAtOnce is how many lines of an export are in memory.
const exportAtOnce = 500

// slowExport is how long a reader may take for so many.
const slowExport = time.Minute

// exported is a line of the history in a file.
type exported struct {
	ID      int64          `json:"id"`
	At      time.Time      `json:"at"`
	Who     string         `json:"who"`
	Way     string         `json:"way"`
	Kind    string         `json:"kind"`
	Says    string         `json:"says"`
	Reason  string         `json:"reason"`
	Repo    string         `json:"repo"`
	Number  int            `json:"number"`
	Rollout string         `json:"rollout"`
	Host    string         `json:"host"`
	Subject string         `json:"subject"`
	Detail  map[string]any `json:"detail"`
}

var exportHead = []string{"id", "at", "who", "way", "kind", "says", "reason", "repo", "number", "rollout", "host", "subject", "detail"}

func exportedOf(a fleet.Act) exported {
	return exported{a.ID, a.At.UTC(), a.Actor, string(a.Way), a.Kind, a.Text(), a.Reason, a.Repo, a.Number, a.Rollout, a.Host, a.Subject, a.Detail}
}

// exportActivity sends the lines that the filters pick as a file, a few at a time, so
// that the whole history is never in memory.
func (d *Dashboard) exportActivity(w http.ResponseWriter, r *http.Request, _ visitor) {
	write, kind, ok := exportTo(w, r.PathValue("file"))
	if !ok {
		d.notFound(w, r, "The history is exported as activity.csv or activity.jsonl.")
		return
	}
	q, _, _ := actFilters(r.URL.Query())
	q.Limit, q.Before = exportAtOnce, 0
	for begun := false; ; begun = true {
		acts, err := d.cfg.Activity.Acts(r.Context(), q)
		if err != nil {
			d.cfg.Log.Error().Ctx(r.Context()).Err(err).Msg("export the history")
			if begun {
				panic(http.ErrAbortHandler) // what was sent must not pass for the whole
			}
			d.answer(w, r, notice{http.StatusServiceUnavailable, "The history could not be read, because the database did not answer. Try again."})
			return
		}
		if !begun {
			w.Header().Set("Content-Type", kind)
			w.Header().Set("Content-Disposition", `attachment; filename="nixfleet-activity-`+d.cfg.Now().UTC().Format(time.DateOnly)+"."+strings.TrimPrefix(r.PathValue("file"), "export.")+`"`)
		}
		// Not every writer has deadlines; without one the reader may take its time.
		_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(slowExport))
		if err := write(acts, !begun); err != nil {
			return // the reader left
		}
		if len(acts) < exportAtOnce {
			return
		}
		_ = http.NewResponseController(w).Flush()
		q.Before = acts[len(acts)-1].ID
	}
}

// exportTo writes lines in the form that a file's name asks for.
func exportTo(w io.Writer, file string) (write func(acts []fleet.Act, first bool) error, kind string, ok bool) {
	switch file {
	case "export.jsonl":
		out := json.NewEncoder(w)
		return func(acts []fleet.Act, _ bool) error {
			for _, a := range acts {
				if err := out.Encode(exportedOf(a)); err != nil {
					return err
				}
			}
			return nil
		}, "application/jsonl; charset=utf-8", true
	case "export.csv":
		out := csv.NewWriter(w)
		return func(acts []fleet.Act, first bool) error {
			if first {
				_ = out.Write(exportHead) // Error tells of it
			}
			for _, a := range acts {
				_ = out.Write(cells(exportedOf(a)))
			}
			out.Flush()
			return out.Error()
		}, "text/csv; charset=utf-8", true
	}
	return nil, "", false
}

func cells(e exported) []string {
	detail, err := json.Marshal(e.Detail)
	if err != nil {
		detail = nil // it came out of JSON, so it goes back
	}
	number := ""
	if e.Number > 0 {
		number = strconv.Itoa(e.Number)
	}
	row := []string{
		strconv.FormatInt(e.ID, 10), e.At.Format(time.RFC3339Nano), e.Who, e.Way, e.Kind, e.Says, e.Reason, e.Repo, number, e.Rollout, e.Host,
		e.Subject, string(detail),
	}
	for i := range row {
		row[i] = harmless(row[i])
	}
	return row
}

// harmless keeps a spreadsheet from taking text of strangers for a formula.
func harmless(cell string) string {
	if strings.IndexAny(cell, "=+-@\t\r\n|%") == 0 {
		return "'" + cell
	}
	return cell
}
