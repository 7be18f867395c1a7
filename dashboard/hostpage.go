package dashboard

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"

	"github.com/a-h/templ"

	"github.com/nixfleet/nixfleet/fleet"
)

// Hosts is what the pages of one host and of one order show beside the overview, and
// what an admin may change of a host. What is not there is [ErrUnknown].
type Hosts interface {
	// HostRecord reads what is kept of a host, also of one that was revoked.
	HostRecord(ctx context.Context, name string) (fleet.HostRecord, error)
	// OrderRecord reads an order; one of another host is not there.
	OrderRecord(ctx context.Context, host, id string) (fleet.OrderRecord, error)
	// OrderLog reads a part of what an order printed, from a byte on that an earlier
	// part named as its Next, or from 0.
	OrderLog(ctx context.Context, id string, from int64) (fleet.Output, error)
	// OrderLogEnd reads the end of what an order printed, of about so many bytes.
	OrderLogEnd(ctx context.Context, id string, bytes int64) (fleet.Output, error)
	// FollowLog shows what an order printed from a byte on, and goes on as it prints,
	// until there is no more to come. Parts without text say that the line is up.
	FollowLog(ctx context.Context, id string, from int64, show func(fleet.Output) error) error

	// ChangeHost changes what differs between seen and wanted, which are all that
	// people set of a host. A host that is no longer as seen is a [Refused].
	ChangeHost(ctx context.Context, by fleet.Actor, name string, seen, wanted HostSettings) error
	// RevokeHost takes a host's credential away and cuts its connection. Revoking it
	// again changes nothing.
	RevokeHost(ctx context.Context, by fleet.Actor, name string) error
}

// HostSettings is what people set of a host.
type HostSettings struct {
	Attr string
	Mode string
	Tags []string
}

func (d *Dashboard) hostRoutes(mux *http.ServeMux) {
	d.live(mux, "/hosts/{name}", livePage{topic: d.hostTopic, show: func(r *http.Request, p page, b board) templ.Component {
		p.At = "fleet"
		return hostPage(p, r.PathValue("name"), b)
	}})
	d.orderRoutesOf(mux)
	d.dangerRoutes(mux)
}

// orderAskURL is the question before hosts are given an order of a kind. more are further
// pairs of names and values.
func orderAskURL(kind, host string, more ...string) string {
	q := url.Values{"kind": {kind}}
	if host != "" {
		q.Set("hosts", host)
	}
	for i := 0; i+1 < len(more); i += 2 {
		if more[i+1] != "" {
			q.Set(more[i], more[i+1])
		}
	}
	return "/orders/new?" + q.Encode()
}

// hostTopic is the page of one host.
func (d *Dashboard) hostTopic(r *http.Request) (topic, error) {
	name := r.PathValue("name")
	return topic{key: hostPath(name), regions: func(ctx context.Context, s scene) ([]liveRegion, error) {
		record, err := d.cfg.Hosts.HostRecord(ctx, name)
		if errors.Is(err, ErrUnknown) {
			return nil, missing("No host is named " + clipped(name, 63) + ". The Fleet page lists those there are.")
		}
		if err != nil {
			return nil, fmt.Errorf("host %.63q: %w", name, err)
		}
		return s.hostDetail(record).regions(), nil
	}}, nil
}

// hostDetail is all that the page of a host shows.
type hostDetail struct {
	hostView
	record  fleet.HostRecord
	repo    fleet.RepoView // zero where the repository is not watched any more
	page    string         // GitHub's page of the repository
	pending *fleet.Update  // the newest open update of the repository
	open    []fleet.Order  // newest first
	s       scene
}

func (s scene) hostDetail(r fleet.HostRecord) hostDetail {
	view := fleet.HostView{Host: r.Host, Online: r.Host.RevokedAt.IsZero() && r.Host.Online(s.now)}
	for _, h := range s.o.Hosts {
		if h.Host.Name == r.Host.Name {
			view = h
		}
	}
	v := hostDetail{hostView: s.host(view), record: r, repo: s.repos[r.Host.RepoID], s: s}
	if v.repo.Repo.ID != 0 {
		v.page = s.repoURL(v.repo.Repo)
	}
	for i, u := range s.o.Updates { // newest first
		if u.Repo.ID == r.Host.RepoID && u.State.Open() && v.pending == nil {
			v.pending = &s.o.Updates[i]
		}
	}
	for _, o := range r.Orders {
		if o.EndedAt.IsZero() {
			v.open = append(v.open, o)
		}
	}
	return v
}

func (v hostDetail) revoked() bool  { return !v.Host.RevokedAt.IsZero() }
func (v hostDetail) enrolled() bool { return !v.Host.EnrolledAt.IsZero() }
func (v hostDetail) reported() bool { return !v.Host.Facts.At.IsZero() }

// takesOrders reports whether the host may be given orders.
func (v hostDetail) takesOrders() bool { return v.enrolled() && !v.revoked() }

func (v hostDetail) regions() []liveRegion {
	return []liveRegion{
		{"host-head", []live{{"host-title", hostTitle(v)}, {"host-acts", hostActs(v)}}},
		{"host-notes", v.notes()},
		{"host-compartments", v.explained()},
		{"host-orders", []live{{"ho", hostOrders(v)}}},
		{"host-generations", []live{{"hg", hostGenerations(v)}}},
		{"host-change", v.change()},
		{"host-facts", []live{{"hf-system", factsSystem(v)}, {"hf-machine", factsMachine(v)}, {"hf-lock", factsLock(v)}, {"hf-agent", factsAgent(v)}}},
		{"host-danger", []live{{"hd", hostDanger(v)}}},
	}
}

// notes are what is out of the ordinary about the host as a whole.
func (v hostDetail) notes() []live {
	var out []live
	switch {
	case v.revoked():
		out = append(out, live{"hn-revoked", noteRevoked(v)})
	case !v.enrolled():
		out = append(out, live{"hn-enrol", noteNotEnrolled(v)})
	case !v.reported():
		out = append(out, live{"hn-silent", noteSilent(v)})
	case !v.Online:
		out = append(out, live{"hn-offline", noteOffline(v)})
	}
	for _, o := range slices.Backward(v.open) { // in the order in which the host takes them up
		out = append(out, live{"hn-order-" + o.ID, noteOrder(v, o)})
	}
	return out
}

// explained are the compartments; a host that was revoked has none any more.
func (v hostDetail) explained() []live {
	var out []live
	if v.revoked() {
		return out
	}
	for _, c := range v.cells {
		out = append(out, live{"hc-" + c.ID, explainedCard(v, c)})
	}
	return out
}

func (v hostDetail) change() []live {
	if v.record.Changed == nil {
		return nil
	}
	return []live{{"hx", lastChange(v)}}
}

// generation is the one that runs, as far as the host told.
func (v hostDetail) generation() (fleet.Generation, bool) {
	for _, g := range v.record.Generations {
		if g.Running {
			return g, true
		}
	}
	return fleet.Generation{}, false
}

// failedOrder is the newest order of the host that failed or was reverted.
func (v hostDetail) failedOrder() (fleet.Order, bool) {
	for _, o := range v.record.Orders {
		if o.State == fleet.HostFailed || o.State == fleet.HostReverted {
			return o, true
		}
	}
	return fleet.Order{}, false
}
