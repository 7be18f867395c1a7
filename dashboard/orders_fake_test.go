package dashboard

import (
	"context"
	"slices"

	"github.com/nixfleet/nixfleet/fleet"
)

// desk stands for the orders of a world: what was asked for, and what there is.
type desk struct {
	asked       []fleet.OrderRequest
	by          []string // who asked, one for each
	open        []fleet.Order
	generations []fleet.Generation
	err         error
}

func (w *world) Order(_ context.Context, by fleet.Actor, r fleet.OrderRequest) ([]Placed, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.desk.err != nil {
		return nil, w.desk.err
	}
	w.desk.asked, w.desk.by = append(w.desk.asked, r), append(w.desk.by, by.Login)
	var placed []Placed
	for _, h := range w.overview.Hosts {
		if slices.Contains(r.Names, h.Host.Name) {
			p := Placed{Host: h.Host.Name, Ordered: true, Online: h.Online, Found: "The host is offline; the order waits for it until 12:00 UTC."}
			if h.Online {
				p.Found = "Sent."
			}
			placed = append(placed, p)
		}
	}
	return placed, nil
}

func (w *world) OpenOrders(_ context.Context, hosts []string) ([]fleet.Order, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var open []fleet.Order
	for _, o := range w.desk.open {
		if slices.Contains(hosts, o.Host) {
			open = append(open, o)
		}
	}
	return open, w.desk.err
}

func (w *world) Generations(context.Context, string) ([]fleet.Generation, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.desk.generations, w.desk.err
}
