package app

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/nixfleet/nixfleet/db/dbtest"
)

var updateDocs = flag.Bool("update", false, "rewrite docs/metrics.md")

// The page lists what a scrape finds; the words are those of the program.
func TestTheMetricsPageListsEveryMetric(t *testing.T) {
	t.Parallel()
	const path = "../docs/metrics.md"
	r := newReplica(t, dbtest.New(t))
	found := make(chan *prometheus.Desc, 100)
	metrics{r.App}.Describe(found)
	prometheus.DefaultRegisterer.(*prometheus.Registry).Describe(found)
	close(found)
	parts := regexp.MustCompile(`fqName: "(nixfleet_[a-z_]+)", help: "([^"]*)".*variableLabels: \{([^}]*)\}`)
	var rows []string
	for d := range found {
		if m := parts.FindStringSubmatch(d.String()); m != nil {
			labels := ""
			if m[3] != "" {
				labels = "`" + strings.ReplaceAll(m[3], ",", "`, `") + "`"
			}
			rows = append(rows, fmt.Sprintf("| `%s` | %s | %s |", m[1], m[2], labels))
		}
	}
	slices.Sort(rows)
	want := metricsHead + strings.Join(rows, "\n") + "\n" + metricsAlerts
	if *updateDocs {
		must(t, os.WriteFile(path, []byte(want), 0o644))
	}
	got, err := os.ReadFile(path)
	if err != nil || string(got) != want {
		t.Errorf("docs/metrics.md is not what a scrape finds (%v); run go test ./app -run MetricsPage -update", err)
	}
}

const metricsHead = `# Metrics

` + "`GET /metrics`" + ` answers in Prometheus' format. What can't be read is absent, never zero: an
alert on absence is the right one. Beside these come those of the Go runtime and of the
process.

| metric | what it says | labels |
| --- | --- | --- |
`

const metricsAlerts = `
Worth an alert:

| when | why |
| --- | --- |
| ` + "`nixfleet_inbox_lag_seconds > 60`" + ` | webhooks come faster than they are worked on, or the database is slow |
| ` + "`nixfleet_failed_deliveries > 0`" + ` for 15 minutes | GitHub can't reach the server: address, certificate or firewall; ` + "`nixfleet doctor`" + ` tells |
| ` + "`nixfleet_stale_repositories > 0`" + ` for 15 minutes | GitHub can't be read: the App was suspended, its key was changed, or the rate limit is used up |
| ` + "`nixfleet_effects_lag_seconds > 300`" + ` | comments, check runs, merges or orders wait |
| ` + "`rate(nixfleet_github_calls_total{unchanged=\"false\"}[1h]) * 3600 > 4000`" + ` | an installation nears GitHub's 5 000 calls an hour; a tenth of them is kept for merges |
`
