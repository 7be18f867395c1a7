package app

import (
	"github.com/prometheus/client_golang/prometheus"
)

// meters count what this process does. What the database knows is read at a scrape
// instead, see [metrics], and is the same on every replica.
type meters struct {
	webhooks       *prometheus.CounterVec   // event, result: stored or repeated
	looks          *prometheus.HistogramVec // state that came of it
	effects        *prometheus.CounterVec   // kind, result: done or again
	orders         *prometheus.HistogramVec // kind, state that it ended in
	rollouts       *prometheus.CounterVec   // kind, state that it ended in
	answers, beats prometheus.Counter
	rounds         *prometheus.HistogramVec // loop
	failures       *prometheus.CounterVec   // loop
	requests       *prometheus.HistogramVec // route, method, code
}

// Bounds of the histograms, in seconds: of what a program waits for, and of what a
// host does.
var (
	quick = []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}
	slow  = []float64{1, 2, 5, 10, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200}
)

func newMeters() *meters {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	}
	histogram := func(name, help string, bounds []float64, labels ...string) *prometheus.HistogramVec {
		return prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help, Buckets: bounds}, labels)
	}
	return &meters{
		webhooks: counter("nixfleet_webhooks_total", "Webhooks that were stored, by event; repeated ones were there already.", "event", "result"),
		looks:    histogram("nixfleet_look_seconds", "Looks at updates: reading GitHub, deciding, storing; by the state that came of it.", quick, "state"),
		effects:  counter("nixfleet_effects_total", "Attempts to do something at GitHub, on the bus or for people, by kind; again is tried again.", "kind", "result"),
		orders:   histogram("nixfleet_order_seconds", "Orders that hosts ended, from their issue to the end, by kind and the state that they ended in.", slow, "kind", "state"),
		rollouts: counter("nixfleet_rollouts_ended_total", "Rollouts that ended, by kind and the state that they ended in.", "kind", "state"),
		answers:  prometheus.NewCounter(prometheus.CounterOpts{Name: "nixfleet_answers_total", Help: "Answers of hosts that were recorded."}),
		beats:    prometheus.NewCounter(prometheus.CounterOpts{Name: "nixfleet_heartbeats_total", Help: "Heartbeats of hosts that were taken in."}),
		rounds:   histogram("nixfleet_round_seconds", "Rounds of a loop that found work.", quick, "loop"),
		failures: counter("nixfleet_round_failures_total", "Rounds of a loop that failed and are tried again.", "loop"),
		requests: histogram("nixfleet_http_request_seconds", "Requests that were answered, without event streams and the way to the bus.", quick, "route", "method", "code"),
	}
}

// collectors are all meters.
func (m *meters) collectors() []prometheus.Collector {
	return []prometheus.Collector{m.webhooks, m.looks, m.effects, m.orders, m.rollouts, m.answers, m.beats, m.rounds, m.failures, m.requests}
}

// Describe names the meters.
func (m *meters) Describe(out chan<- *prometheus.Desc) {
	for _, c := range m.collectors() {
		c.Describe(out)
	}
}

// Collect reads them.
func (m *meters) Collect(out chan<- prometheus.Metric) {
	for _, c := range m.collectors() {
		c.Collect(out)
	}
}
