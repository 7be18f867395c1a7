package app

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/VictoriaMetrics/metricsql"
	"github.com/goccy/go-yaml"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/nixfleet/nixfleet/db/dbtest"
)

var updateDocs = flag.Bool("update", false, "rewrite docs/metrics.md")

// described are the metrics that a scrape may find: what they say, and their labels.
func described(t *testing.T) map[string][2]string {
	t.Helper()
	r := newReplica(t, dbtest.New(t))
	found := make(chan *prometheus.Desc, 100)
	(&metrics{a: r.App}).Describe(found)
	r.meters.Describe(found)
	prometheus.DefaultRegisterer.(*prometheus.Registry).Describe(found)
	close(found)
	parts := regexp.MustCompile(`fqName: "(nixfleet_[a-z_]+)", help: "([^"]*)".*variableLabels: \{([^}]*)\}`)
	all := map[string][2]string{}
	for d := range found {
		if m := parts.FindStringSubmatch(d.String()); m != nil {
			all[m[1]] = [2]string{m[2], m[3]}
		}
	}
	return all
}

// alertRules is the file of alert rules, as Prometheus reads it.
type alertRules struct {
	Groups []struct {
		Rules []struct {
			Alert       string
			Expr        string
			For         string
			Labels      map[string]string
			Annotations map[string]string
		}
	}
}

func readAlerts(t *testing.T) alertRules {
	t.Helper()
	b, err := os.ReadFile("../docs/observability/alerts.yml")
	must(t, err)
	var rules alertRules
	must(t, yaml.Unmarshal(b, &rules))
	return rules
}

// The page lists what a scrape finds; the words are those of the program.
func TestTheMetricsPageListsEveryMetric(t *testing.T) {
	t.Parallel()
	const path = "../docs/metrics.md"
	var rows []string
	for name, d := range described(t) {
		labels := ""
		if d[1] != "" {
			labels = "`" + strings.ReplaceAll(d[1], ",", "`, `") + "`"
		}
		rows = append(rows, fmt.Sprintf("| `%s` | %s | %s |", name, d[0], labels))
	}
	slices.Sort(rows)
	want := metricsHead + strings.Join(rows, "\n") + "\n" + metricsAlerts
	for _, g := range readAlerts(t).Groups {
		for _, r := range g.Rules {
			want += fmt.Sprintf("| %s | `%s` | %s |\n", r.Annotations["summary"], r.Expr, r.Annotations["description"])
		}
	}
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
alert on absence is the right one. What the database knows is the same on every server that
shares it; what is counted (` + "`_total`" + `, ` + "`_seconds`" + ` histograms) is of one process. No
metric has a label for each host: a fleet of ten thousand makes no more series than one of nine.
Beside these come those of the Go runtime and of the process.

[observability/grafana.json](observability/grafana.json) is a dashboard for Grafana, and
[observability/alerts.yml](observability/alerts.yml) the rules below for Prometheus.

| metric | what it says | labels |
| --- | --- | --- |
`

const metricsAlerts = `
Worth an alert:

| what | when | then |
| --- | --- | --- |
`

// series finds the metrics of ours that a query reads, and fails the test for a query
// that is none.
func series(t *testing.T, query string) []string {
	t.Helper()
	e, err := metricsql.Parse(query)
	if err != nil {
		t.Errorf("%s: %v", query, err)
		return nil
	}
	var names []string
	metricsql.VisitAll(e, func(e metricsql.Expr) {
		if m, ok := e.(*metricsql.MetricExpr); ok && len(m.LabelFilterss) > 0 {
			names = append(names, m.LabelFilterss[0][0].Value)
		}
	})
	return names
}

// The alerts and the dashboard read metrics that there are.
func TestAlertsAndDashboardsReadMetricsThatThereAre(t *testing.T) {
	t.Parallel()
	known := described(t)
	check := func(where, query string) {
		names := series(t, query)
		if len(names) == 0 {
			t.Errorf("%s reads nothing", where)
		}
		for _, n := range names {
			base := n
			for _, suffix := range []string{"_bucket", "_count", "_sum"} {
				if _, ok := known[base]; !ok {
					base = strings.TrimSuffix(n, suffix)
				}
			}
			if _, ok := known[base]; !ok && strings.HasPrefix(n, "nixfleet_") {
				t.Errorf("%s reads %s, which no scrape finds", where, n)
			}
		}
	}
	for _, g := range readAlerts(t).Groups {
		for _, r := range g.Rules {
			check(r.Alert, r.Expr)
			if r.Annotations["summary"] == "" || r.Annotations["description"] == "" || r.Labels["severity"] == "" {
				t.Errorf("%s lacks a summary, a description or a severity", r.Alert)
			}
		}
	}
	b, err := os.ReadFile("../docs/observability/grafana.json")
	must(t, err)
	var board struct {
		Panels []struct {
			Type, Title, Description string
			Targets                  []struct{ Expr string }
		}
	}
	must(t, json.Unmarshal(b, &board))
	for _, p := range board.Panels {
		if p.Type != "row" && (p.Description == "" || len(p.Targets) == 0) {
			t.Errorf("panel %q lacks a description or a query", p.Title)
		}
		for _, q := range p.Targets {
			check(p.Title, q.Expr)
		}
	}
}
