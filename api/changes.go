package api

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/nixfleet/nixfleet/fleet"
)

// marks reads what there is, as far as events tell of it.
func (h *hub) marks(ctx context.Context) (map[string]mark, error) {
	o, err := h.s.Overview(ctx)
	if err != nil {
		return nil, err
	}
	orders, err := h.s.OpenOrderStates(ctx)
	if err != nil {
		return nil, err
	}
	is := make(map[string]mark, len(o.Hosts)+len(o.Updates)+len(o.Rollouts)+len(orders))
	for _, v := range o.Hosts {
		put(is, markHost(v))
	}
	for _, u := range o.Updates {
		put(is, markUpdate(u))
	}
	for _, r := range o.Rollouts {
		put(is, markRollout(r))
	}
	for _, s := range orders {
		put(is, mark{
			event:  Event{Kind: "order", ID: s.ID, State: s.State, Href: "/api/v1/orders/" + url.PathEscape(s.ID)},
			fields: [][2]string{{"state", s.State}},
		})
	}
	return is, nil
}

func put(is map[string]mark, m mark) { is[m.event.Kind+" "+m.event.ID] = m }

func markHost(v fleet.HostView) mark {
	h := shown(v)
	state := "offline"
	switch {
	case h.Step != "":
		state = h.Step
	case h.Online:
		state = "online"
	}
	m := mark{event: Event{Kind: "host", ID: h.Name, State: state, Href: hostPath(h.Name)}, fields: [][2]string{
		{"online", strconv.FormatBool(h.Online)}, {"enrolled", strconv.FormatBool(h.Enrolled)}, {"mode", h.Mode}, {"attr", h.Attr},
		{"tags", encode(h.Tags)}, {"agent_version", h.AgentVersion}, {"checkout_commit", h.CheckoutCommit}, {"running_commit", h.RunningCommit},
		{"running_path", h.RunningPath}, {"order", h.Order}, {"step", h.Step}, {"reboot_needed", strconv.FormatBool(h.RebootNeeded)},
	}}
	for _, c := range h.Compartments {
		m.fields = append(m.fields, [2]string{"compartments." + c.ID, string(c.Light) + " " + c.Label + " " + c.Badge})
	}
	return m
}

func markUpdate(u fleet.Update) mark {
	s := UpdateOf(u)
	return mark{event: Event{Kind: "update", ID: fmt.Sprintf("%s#%d", s.Repo, s.Number), State: s.State, Href: updateAt(s.Repo, s.Number)},
		fields: [][2]string{
			{"head", s.Head}, {"state", s.State}, {"headline", s.Headline}, {"title", s.Title}, {"hold", encode(s.Hold)},
			{"hold_until", s.HoldUntil.UTC().Format(time.RFC3339)}, {"requested", encode(s.Requested)}, {"merge_sha", s.MergeSHA},
		}}
}

func markRollout(r fleet.Rollout) mark {
	hosts := make([][3]string, len(r.Hosts))
	for i, h := range r.Hosts {
		hosts[i] = [3]string{h.Host, string(h.State), h.Order}
	}
	return mark{event: Event{Kind: "rollout", ID: r.ID, State: string(r.State), Href: rolloutPath(r.ID)},
		fields: [][2]string{{"state", string(r.State)}, {"headline", r.Headline}, {"hosts", encode(hosts)}}}
}

// encode is a value as text to compare. What consists of strings and times always encodes.
func encode(v any) string {
	b, _ := json.Marshal(v)
	return string(b)
}

// endings are what it means that something is not among what is compared any more.
// Updates and rollouts only get old.
var endings = map[string]string{"host": "gone", "order": "ended"}

// changes are the events that lead from what was to what is, in a settled order.
func changes(was, is map[string]mark) []Event {
	var list []Event
	for _, key := range slices.Sorted(maps.Keys(is)) {
		now := is[key]
		before, known := was[key]
		e := now.event
		switch {
		case !known:
			e.Change = "appeared"
		default:
			e.Change, e.Changed = "changed", differing(before.fields, now.fields)
			if len(e.Changed) == 0 {
				continue
			}
		}
		list = append(list, e)
	}
	for _, key := range slices.Sorted(maps.Keys(was)) {
		e := was[key].event
		if _, still := is[key]; still || endings[e.Kind] == "" {
			continue
		}
		e.Change, e.State = endings[e.Kind], ""
		list = append(list, e)
	}
	return list
}

func differing(a, b [][2]string) []string {
	before := make(map[string]string, len(a))
	for _, f := range a {
		before[f[0]] = f[1]
	}
	var names []string
	for _, f := range b {
		if was, known := before[f[0]]; !known || was != f[1] {
			names = append(names, f[0])
		}
		delete(before, f[0])
	}
	return append(names, slices.Sorted(maps.Keys(before))...)
}
