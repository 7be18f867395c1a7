package bench

import (
	"fmt"
	"io"
	"text/tabwriter"
)

// Ratio is a figure beside the limit that it is measured against, in the same unit.
type Ratio struct {
	Got   float64 `json:"got"`
	Limit float64 `json:"limit"`
}

// Value is the figure in terms of the limit.
func (r Ratio) Value() float64 {
	if r.Limit == 0 {
		return 0
	}
	return r.Got / r.Limit
}

// Report is what a measurement came to. Rates are per second.
type Report struct {
	Hosts        int     `json:"hosts"`
	Connections  int     `json:"connections"`
	Orders       Ratio   `json:"orders_received"`  // by hosts, against asynchronous puts into a bucket
	Answers      Ratio   `json:"answers_recorded"` // in Postgres, against asynchronous publishes to a stream
	Heartbeats   Ratio   `json:"heartbeats"`       // kept in Postgres, against publishes to one subscriber
	OneHost      Ratio   `json:"one_host_seconds"` // from the deploy to the sixth answer in Postgres, against a request and its reply
	Memory       Ratio   `json:"memory_bytes"`     // of an idle host, against a bare connection
	StartSeconds float64 `json:"start_seconds"`    // of a server with all these hosts, until it is ready
	ServerBytes  int64   `json:"server_bytes"`     // resident after that start; 0 where the system does not tell
}

// Write prints the report as a table.
func (r Report) Write(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	p := func(format string, args ...any) { _, _ = fmt.Fprintf(t, format, args...) }
	p("%s simulated hosts on %d connections\n\n", thousands(float64(r.Hosts)), r.Connections)
	p("what\tmeasured\tlimit beside it\tratio\ttarget\n")
	for _, line := range []struct {
		what, unit, limit, target string
		r                         Ratio
	}{
		{"orders received by hosts", "/s", "puts into a bucket", "at least 0.15", r.Orders},
		{"answers recorded in Postgres", "/s", "publishes to a stream", "at least 0.25", r.Answers},
		{"heartbeats kept in Postgres", "/s", "publishes to a subscriber", "at least 0.40", r.Heartbeats},
	} {
		p("%s\t%s%s\t%s%s %s\t%.2f\t%s\n", line.what, thousands(line.r.Got), line.unit, thousands(line.r.Limit), line.unit, line.limit, line.r.Value(), line.target)
	}
	p("one host, deploy to sixth answer\t%.1f ms\t%.2f ms a round trip\t%.1f\tat most 8\n", 1000*r.OneHost.Got, 1000*r.OneHost.Limit, r.OneHost.Value())
	p("memory of an idle host\t%.1f KiB\t%.1f KiB a bare connection\t%.2f\tat most 1.25\n", r.Memory.Got/1024, r.Memory.Limit/1024, r.Memory.Value())
	p("start of a server with these hosts\t%.1f s\t\t\t\n", r.StartSeconds)
	if r.ServerBytes > 0 {
		p("memory of the process after it\t%.0f MiB\t\t\t\n", float64(r.ServerBytes)/(1<<20))
	}
	return t.Flush()
}

// thousands is a number with thin separators, as people read it.
func thousands(n float64) string {
	text := fmt.Sprintf("%.0f", n)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + " " + text[i:]
	}
	return text
}
