package main

import (
	"context"

	"github.com/nixfleet/nixfleet/dashboard"
	"github.com/nixfleet/nixfleet/fleet"
)

func (s shelf) Order(_ context.Context, _ fleet.Actor, r fleet.OrderRequest) ([]dashboard.Placed, error) {
	var placed []dashboard.Placed
	for _, name := range r.Names {
		placed = append(placed, dashboard.Placed{Host: name, Ordered: true, Online: true, Found: "Sent."})
	}
	return placed, nil
}

func (s shelf) OpenOrders(context.Context, []string) ([]fleet.Order, error) { return s.story.Open, nil }

func (s shelf) Generations(context.Context, string) ([]fleet.Generation, error) {
	return s.story.Generations, nil
}
