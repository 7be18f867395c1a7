package app

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/nixfleet/nixfleet/db"
	"github.com/nixfleet/nixfleet/fleet"
)

// gauge is one number that is read when somebody asks for it.
func gauge(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(name, help, labels, nil)
}

var (
	buildInfo    = gauge("nixfleet_build_info", "Always 1; the labels say what runs.", "version", "revision")
	databaseUp   = gauge("nixfleet_database_up", "1 while the database answers, 0 while it does not: then everything else that it knows is absent.")
	busUp        = gauge("nixfleet_bus_up", "1 while the bus answers, 0 while it does not.")
	inboxLag     = gauge("nixfleet_inbox_lag_seconds", "How long the oldest webhook waits to be worked on.")
	inboxWaiting = gauge("nixfleet_inbox_waiting", "Webhooks that wait to be worked on.")
	deliveryAge  = gauge("nixfleet_last_delivery_age_seconds", "Time since the newest webhook came. Absent until the first.")
	lostHooks    = gauge("nixfleet_failed_deliveries", "Webhooks that GitHub could not bring, at the last look.")
	staleRepos   = gauge("nixfleet_stale_repositories", "Watched repositories that could not be read for a quarter of an hour.")
	brokenPolicy = gauge("nixfleet_broken_policies", "Watched repositories whose policy can't be read: nothing merges there.")
	effectsLag   = gauge("nixfleet_effects_lag_seconds", "How long the oldest thing to do at GitHub or on the bus is overdue.")
	effects      = gauge("nixfleet_effects_waiting", "Things to do at GitHub or on the bus.")
	silentCount  = gauge("nixfleet_receivers_failing", "Receivers of notifications that can't be reached.")
	noticesCount = gauge("nixfleet_notices_overdue", "Notifications that should have been sent a minute ago, to all receivers together.")
	hostsCount   = gauge("nixfleet_hosts", "Enrolled hosts.")
	hostsOnline  = gauge("nixfleet_hosts_online", "Enrolled hosts that were heard within the last 90 s.")
	hostsReboot  = gauge("nixfleet_hosts_reboot_needed", "Enrolled hosts that run another kernel than their system has.")
	hostsOutdate = gauge("nixfleet_hosts_agent_outdated", "Enrolled hosts whose agent is older than the server.")
	compartments = gauge("nixfleet_host_compartments", "Enrolled hosts by what a compartment of them shows.", "compartment", "state")
	oldestLock   = gauge("nixfleet_oldest_lock_seconds", "Age of the oldest flake.lock of all hosts, by its newest input. Absent until a host has told.")
	updatesOpen  = gauge("nixfleet_updates", "Updates that are open, by state.", "state")
	oldestUpdate = gauge("nixfleet_oldest_update_seconds", "How long the oldest open update has waited. Absent without one.")
	rolloutsOpen = gauge("nixfleet_rollouts", "Rollouts that have not ended, by state.", "state")
	rolloutHosts = gauge("nixfleet_rollout_hosts", "Hosts of rollouts that have not ended, by state.", "state")
)

// overviewFor is how long a picture of the fleet serves scrapes: with many hosts it
// costs something, and several servers may scrape.
const overviewFor = 10 * time.Second

// metrics collects what the database knows, once per scrape.
type metrics struct {
	a *App

	mu   sync.Mutex
	seen fleet.Overview // the last picture of the fleet
}

// Describe names the metrics.
func (m *metrics) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		buildInfo, databaseUp, busUp, inboxLag, inboxWaiting, deliveryAge, lostHooks, staleRepos, brokenPolicy, effectsLag, effects, silentCount, noticesCount,
		hostsCount, hostsOnline, hostsReboot, hostsOutdate, compartments, oldestLock, updatesOpen, oldestUpdate, rolloutsOpen, rolloutHosts,
	} {
		out <- d
	}
}

// put is where readings go.
type put func(d *prometheus.Desc, v float64, labels ...string)

// Collect reads them. What can't be read is absent from the answer, and an alert on
// absence is the right one.
func (m *metrics) Collect(out chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	put := func(d *prometheus.Desc, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	put(buildInfo, 1, Version, Build)
	if m.a.bus != nil { // until the set-up is over there is one, and nobody on it
		put(busUp, one(m.a.bus.Healthy(ctx) == nil))
	}
	now := m.a.cfg.Now()
	s, err := m.a.db.Stats(ctx, now)
	put(databaseUp, one(err == nil))
	if err != nil {
		m.a.log.Warn().Err(err).Msg("metrics could not be read")
		return
	}
	m.work(put, s, now)
	o, err := m.overview(ctx, now)
	if err != nil {
		m.a.log.Warn().Err(err).Msg("metrics of the fleet could not be read")
		return
	}
	hosts(put, o, now)
	moves(put, o, now)
}

func one(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}

// work is how the work stands.
func (m *metrics) work(put put, s db.Stats, now time.Time) {
	put(inboxLag, s.InboxLag.Seconds())
	put(inboxWaiting, float64(s.InboxWaiting))
	put(lostHooks, float64(m.a.lost.Load()))
	put(staleRepos, float64(s.StaleRepos))
	put(effectsLag, s.EffectsLag.Seconds())
	put(effects, float64(s.EffectsWaiting))
	put(silentCount, float64(s.SilentReceivers))
	put(noticesCount, float64(s.NoticesOverdue))
	put(hostsCount, float64(s.Hosts))
	if !s.LastDelivery.IsZero() {
		put(deliveryAge, now.Sub(s.LastDelivery).Seconds())
	}
}

func (m *metrics) overview(ctx context.Context, now time.Time) (fleet.Overview, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if age := now.Sub(m.seen.At); age >= 0 && age < overviewFor {
		return m.seen, nil
	}
	o, err := overview{m.a}.Overview(ctx)
	if err == nil {
		m.seen = o
	}
	return o, err
}

// hosts is what the hosts show.
func hosts(put put, o fleet.Overview, now time.Time) {
	lights := map[[2]string]int{}
	for _, c := range []string{"git", "lock", "system"} {
		for _, l := range []fleet.Light{fleet.LightOK, fleet.LightStale, fleet.LightError, fleet.LightUnknown, fleet.LightWorking} {
			lights[[2]string{c, string(l)}] = 0
		}
	}
	var online, reboot, outdated int
	var lock time.Duration
	for _, h := range o.Hosts {
		if h.Host.EnrolledAt.IsZero() {
			continue
		}
		online += int(one(h.Online))
		reboot += int(one(h.Host.Facts.RebootNeeded))
		outdated += int(one(fleet.Outdated(h.Host.Facts.AgentVersion, Version)))
		for _, c := range h.Compartments {
			lights[[2]string{c.ID, string(c.Light)}]++
		}
		if newest := h.Host.Facts.Lock.Newest(); !newest.IsZero() {
			lock = max(lock, now.Sub(newest))
		}
	}
	put(hostsOnline, float64(online))
	put(hostsReboot, float64(reboot))
	put(hostsOutdate, float64(outdated))
	for l, n := range lights {
		put(compartments, float64(n), l[0], l[1])
	}
	if lock > 0 {
		put(oldestLock, lock.Seconds())
	}
}

// moves is what is on its way.
func moves(put put, o fleet.Overview, now time.Time) {
	broken, updates, rollouts, on := 0, map[fleet.UpdateState]int{}, map[fleet.RolloutState]int{}, map[fleet.HostState]int{}
	for _, r := range o.Repos {
		broken += int(one(r.PolicyError != ""))
	}
	var oldest time.Duration
	for _, u := range o.Updates {
		if u.State.Open() {
			updates[u.State]++
			oldest = max(oldest, now.Sub(u.FirstSeen))
		}
	}
	for _, r := range o.Rollouts {
		if r.State.Terminal() {
			continue
		}
		rollouts[r.State]++
		for _, h := range r.Hosts {
			on[h.State]++
		}
	}
	put(brokenPolicy, float64(broken))
	for s, n := range updates {
		put(updatesOpen, float64(n), string(s))
	}
	if oldest > 0 {
		put(oldestUpdate, oldest.Seconds())
	}
	for s, n := range rollouts {
		put(rolloutsOpen, float64(n), string(s))
	}
	for s, n := range on {
		put(rolloutHosts, float64(n), string(s))
	}
}

// metricsPage serves the metrics of this process and of this server.
func (a *App) metricsPage() http.Handler {
	own := prometheus.NewRegistry()
	own.MustRegister(&metrics{a: a}, a.meters)
	return promhttp.HandlerFor(prometheus.Gatherers{prometheus.DefaultGatherer, own}, promhttp.HandlerOpts{})
}
