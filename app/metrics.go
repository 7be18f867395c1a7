package app

import (
	"context"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// gauge is one number that is read when somebody asks for it.
func gauge(name, help string) *prometheus.Desc { return prometheus.NewDesc(name, help, nil, nil) }

var (
	inboxLag     = gauge("nixfleet_inbox_lag_seconds", "How long the oldest webhook waits to be worked on.")
	inboxWaiting = gauge("nixfleet_inbox_waiting", "Webhooks that wait to be worked on.")
	deliveryAge  = gauge("nixfleet_last_delivery_age_seconds", "Time since the newest webhook came. Absent until the first.")
	lostHooks    = gauge("nixfleet_failed_deliveries", "Webhooks that GitHub could not bring, at the last look.")
	staleRepos   = gauge("nixfleet_stale_repositories", "Watched repositories that could not be read for a quarter of an hour.")
	effectsLag   = gauge("nixfleet_effects_lag_seconds", "How long the oldest thing to do at GitHub or on the bus is overdue.")
	effects      = gauge("nixfleet_effects_waiting", "Things to do at GitHub or on the bus.")
	hostsCount   = gauge("nixfleet_hosts", "Enrolled hosts.")
)

// metrics collects what the database knows, once per scrape.
type metrics struct{ a *App }

// Describe names the metrics.
func (m metrics) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{inboxLag, inboxWaiting, deliveryAge, lostHooks, staleRepos, effectsLag, effects, hostsCount} {
		out <- d
	}
}

// Collect reads them. What can't be read is absent from the answer, and an alert on
// absence is the right one.
func (m metrics) Collect(out chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	now := m.a.cfg.Now()
	s, err := m.a.db.Stats(ctx, now)
	if err != nil {
		m.a.log.Warn().Err(err).Msg("metrics could not be read")
		return
	}
	put := func(d *prometheus.Desc, v float64) { out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v) }
	put(inboxLag, s.InboxLag.Seconds())
	put(inboxWaiting, float64(s.InboxWaiting))
	put(lostHooks, float64(m.a.lost.Load()))
	put(staleRepos, float64(s.StaleRepos))
	put(effectsLag, s.EffectsLag.Seconds())
	put(effects, float64(s.EffectsWaiting))
	put(hostsCount, float64(s.Hosts))
	if !s.LastDelivery.IsZero() {
		put(deliveryAge, now.Sub(s.LastDelivery).Seconds())
	}
}

// metricsPage serves the metrics of this process and of this server.
func (a *App) metricsPage() http.Handler {
	own := prometheus.NewRegistry()
	own.MustRegister(metrics{a})
	return promhttp.HandlerFor(prometheus.Gatherers{prometheus.DefaultGatherer, own}, promhttp.HandlerOpts{})
}
