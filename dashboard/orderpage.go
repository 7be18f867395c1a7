package dashboard

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/a-h/templ"

	"github.com/nixfleet/nixfleet/fleet"
)

// orderRoutesOf are the pages of orders, below their hosts.
func (d *Dashboard) orderRoutesOf(mux *http.ServeMux) {
	const pattern = "/hosts/{name}/orders/{id}"
	d.live(mux, pattern, livePage{topic: d.orderTopic, show: func(r *http.Request, p page, b board) templ.Component {
		p.At = "fleet"
		return orderPage(p, r.PathValue("name"), r.PathValue("id"), b, d.logEnd(r))
	}})
	mux.Handle("GET "+pattern+"/log", http.HandlerFunc(d.logStream))
	mux.Handle("GET "+pattern+"/log.txt", d.signedIn(d.logText))
}

// orderTopic is the page of one order.
func (d *Dashboard) orderTopic(r *http.Request) (topic, error) {
	host, id := r.PathValue("name"), r.PathValue("id")
	return topic{key: orderURL(host, id), regions: func(ctx context.Context, s scene) ([]liveRegion, error) {
		record, err := d.cfg.Hosts.OrderRecord(ctx, host, id)
		if errors.Is(err, ErrUnknown) {
			return nil, missing("There is no such order of a host named " + clipped(host, 63) + ". The host’s page lists its newest ones.")
		}
		if err != nil {
			return nil, fmt.Errorf("order %.63q of host %.63q: %w", id, host, err)
		}
		return s.orderDetail(record).regions(), nil
	}}, nil
}

// orderDetail is all that the page of an order shows beside its log.
type orderDetail struct {
	fleet.Order
	record   fleet.OrderRecord
	online   bool // the host is
	platform string
	commit   string // GitHub's page of the order's commit
	s        scene
}

func (s scene) orderDetail(r fleet.OrderRecord) orderDetail {
	v := orderDetail{Order: r.Order, record: r, online: s.online[r.Order.Host], commit: s.commitURL(r.Order.RepoID, r.Order.Commit), s: s}
	for _, h := range s.o.Hosts {
		if h.Host.Name == r.Order.Host {
			v.platform = h.Host.Platform()
		}
	}
	return v
}

func (v orderDetail) regions() []liveRegion {
	parts := []live{{"oo-title", orderHead(v)}, {"oo-steps", orderSteps(v)}}
	if v.Failure != nil {
		parts = append(parts, live{"oo-failure", orderFailure(v)})
	}
	if v.record.Change != nil {
		parts = append(parts, live{"oo-change", orderChange(v)})
	}
	return []liveRegion{{"order", parts}}
}

// stepView is one line of an order's timeline.
type stepView struct {
	look
	at    time.Time // zero: not yet
	took  string    // until the next one
	since bool      // it goes on: the browser counts
	by    string    // who asked, at the first one
}

// timeline is how an order went, and how it is expected to go on.
func (v orderDetail) timeline() []stepView {
	list := []stepView{{look: look{"ok", "next", "Asked"}, at: v.IssuedAt, by: v.Actor}}
	var steps []fleet.OrderStep
	for _, s := range v.record.Steps {
		if len(steps) == 0 || steps[len(steps)-1].Step != s.Step {
			steps = append(steps, s)
		}
	}
	for i, s := range steps {
		line := stepView{look: answerLook(s.Step), at: s.Recorded}
		if i+1 < len(steps) {
			line.took = lasted(s.At, steps[i+1].At) // both by the host's clock
			switch {
			case v.Failure != nil && v.Failure.Step == s.Step:
				line.tone, line.icon = "error", "error"
			case line.tone == "working":
				line.tone, line.icon = "ok", "ok"
			}
		} else {
			line.since = v.EndedAt.IsZero()
		}
		list = append(list, line)
	}
	if !v.EndedAt.IsZero() && (len(steps) == 0 || !ends(steps[len(steps)-1].Step)) { // the host did not say so itself
		return append(list, stepView{look: orderLook(v.Order, v.online), at: v.EndedAt})
	}
	return append(list, v.ahead(steps)...)
}

// ways are the steps of the kinds that have more than one.
var ways = map[string][]string{
	fleet.OrderDeploy:   {"received", "fetching", "building", "switching", "verifying"},
	fleet.OrderPull:     {"received", "fetching"},
	fleet.OrderSwitch:   {"received", "building", "switching", "verifying"},
	fleet.OrderTest:     {"received", "building", "switching", "verifying"},
	fleet.OrderBoot:     {"received", "building", "switching"},
	fleet.OrderRollback: {"received", "switching", "verifying"},
}

// ahead are the steps that are still to come.
func (v orderDetail) ahead(steps []fleet.OrderStep) []stepView {
	if !v.EndedAt.IsZero() {
		return nil
	}
	way := ways[v.Kind]
	if len(steps) > 0 {
		way = way[slices.Index(way, steps[len(steps)-1].Step)+1:]
	}
	var list []stepView
	for _, s := range way {
		list = append(list, stepView{look: look{"idle", "clock", answerLook(s).word}})
	}
	return list
}

// ends reports whether a step is a host's last word on an order.
func ends(step string) bool {
	s := fleet.NextHostState(fleet.HostVerifying, fleet.HostEvent(step))
	return fleet.OrderEnded(s)
}

// answerLook is an answer of a host as people read it.
func answerLook(step string) look {
	switch step {
	case "received":
		return look{"working", "working", "Taken up"}
	case "refused":
		return look{"error", "blocked", "Refused"}
	case "superseded":
		return look{"idle", "blocked", "Superseded"}
	}
	if l := hostLook(fleet.HostState(step)); l.word != "Unknown" {
		return l
	}
	return look{"unknown", "unknown", title(clipped(step, 40))}
}

// waitWords says what an order waits for that the host has not taken up.
func (v orderDetail) waitWords() string {
	switch {
	case !v.EndedAt.IsZero() || !v.ReceivedAt.IsZero():
		return ""
	case v.online:
		return "It was sent, and the host has not answered yet."
	}
	return "The host is offline. It gets the order as soon as it is heard again."
}

// remedy says what to do about a failure, by its code.
func (v orderDetail) remedy() string {
	f := v.Failure
	if text, ok := remedies[f.Code]; ok {
		return text
	}
	if text, ok := stepRemedies[f.Step]; ok {
		return text
	}
	return "Look at the log; if it does not say enough, at the agent’s own log on the host. Then run it again."
}

// remedies are by the codes of agents, see package agentbus and the agent's steps.
var remedies = map[string]string{
	"build_failed":             "Mend what does not build in the configuration. Once that is on the default branch, update the host.",
	"evaluate_failed":          "Mend the configuration: it does not evaluate for this host. The end of the log names the place.",
	"fetch_failed":             "Look whether the host reaches the repository: its network, and what it may read.",
	"commit_not_found":         "The host fetched, and the commit was not there. Was the branch rewritten? Pull to the head of the branch instead.",
	"commit_not_on_branch":     "The commit is not on the default branch any more. Pull to its head instead.",
	"not_a_descendant":         "The commit does not come after the one that runs. To go back to it, roll back.",
	"disk_full":                "Make room on the host: delete old generations and collect garbage, then run it again.",
	"activation_failed":        "The new system did not start well. Look which unit failed in the log, mend it, and update the host again.",
	"units_failed":             "Units failed that ran before. Look at them on the host with systemctl status, mend them, and update the host again.",
	"network_lost":             "The new system cut the host off, so it went back. Look at what it changes of network, firewall or DNS.",
	"server_down":              "The host did not reach NixFleet after the switch, while all else was well. Is the server reachable? Then run it again.",
	"no_network":               "The host had no network before the switch, so it did not begin. Run it again once it has.",
	"switch_busy":              "Another switch runs on the host, perhaps by hand. Wait until it has ended, and run it again.",
	"switch_timeout":           "The activation took longer than policy allows. Look at the log for what hung, or raise deploy.timeouts.switch.",
	"verify_timeout":           "It could not be found out in time whether all is well, so the host went back. Run it again, or raise deploy.timeouts.verify.",
	"expired":                  "The host did not take it up in time. Run it again when the host is online.",
	"issued_in_the_future":     "The host’s clock is behind. Set it right; then run it again.",
	"no_answer":                "The host took it up and was not heard again. Look at the host; what it runs shows when it reports.",
	"bad_signature":            "The host does not trust the key that signed this. Restart its agent; if that does not help, enrol the host again.",
	"unknown_kind":             "The agent is too old to know this order. Switch to update it.",
	"unknown_version":          "The agent is too old for this server. Switch to update it.",
	"unsupported":              "This kind of host can’t do that.",
	"no_such_generation":       "The host does not have that generation any more. Refresh, and choose another one.",
	"unreachable_after_reboot": "It did not come back after its reboot. Somebody has to look at the machine.",
	"did_not_reboot":           "The machine goes on as it was. Reboot it on the machine itself.",
	"did_not_restart":          "The agent goes on as it was. Restart it on the machine itself.",
}

// stepRemedies are for codes that are not known, by step.
var stepRemedies = map[string]string{
	"fetching":  "Look at the log for what could not be fetched. Then run it again.",
	"building":  "Look at the log for what does not build. Then run it again.",
	"switching": "Look at the log for what did not start. The host says above what it runs now.",
	"verifying": "Look at the log for what was not well after the switch.",
}

// runsNow says in words what the host runs after an order that did not end well.
func (v orderDetail) runsNow() string {
	switch {
	case v.State == fleet.HostReverted:
		return "The host went back by itself to what it ran before."
	case v.Failure != nil && (v.Failure.Step == "fetching" || v.Failure.Step == "building" || v.Failure.Step == "received"):
		return "Nothing was switched: the host runs what it ran before."
	}
	return ""
}

// filename is what the log of an order is called as a file.
func filename(host, id string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '.' {
			return r
		}
		return '_'
	}, host+"-"+id) + ".log"
}
