package api

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/nixfleet/nixfleet/fleet"
)

// OrderService is what the API needs of the product for orders.
type OrderService interface {
	// PlaceOrders gives hosts an order. What can't be right is a *fleet.FieldError, a
	// reboot that was not confirmed a *fleet.UnconfirmedError; an order to cancel that
	// is not known is ErrUnknown.
	PlaceOrders(ctx context.Context, by fleet.Actor, r fleet.OrderRequest) ([]PlacedOrder, error)
	// Order tells how far an order is. One that is not known is ErrUnknown.
	Order(ctx context.Context, id string) (Order, error)
	// Orders lists orders of a host, or of all with an empty name, newest first: at most
	// so many, of those before the order of an id. A host that is not known is ErrUnknown.
	Orders(ctx context.Context, host, before string, limit int) ([]Order, error)
}

// NewOrder is what a person asks of hosts.
type NewOrder struct {
	Kind       string   `json:"kind" doc:"What to do: pull, switch, deploy (pull, build, switch, verify), test, boot, rollback, restart_agent, reboot, refresh or cancel" maxLength:"40" example:"deploy"`
	Hosts      string   `json:"hosts" doc:"Selector: a name, tag:x, platform:nixos, all; joined with and, or, not" maxLength:"1000" example:"tag:canary and not web2"`
	Commit     string   `json:"commit,omitempty" doc:"With pull, deploy and rollback: 40 hex digits; pull and deploy take the head of the default branch without it" maxLength:"40"`
	Generation int      `json:"generation,omitempty" doc:"With rollback: number of a generation of the one host" minimum:"0"`
	Target     string   `json:"target,omitempty" doc:"With rollback: store path of a generation of the one host" maxLength:"1000"`
	Reason     string   `json:"reason,omitempty" doc:"For the record" maxLength:"1000"`
	Confirm    []string `json:"confirm,omitempty" doc:"With reboot: the names of exactly the hosts that will restart" maxItems:"100000"`
}

// PlacedOrder is what came of a request for one host.
type PlacedOrder struct {
	Host    string    `json:"host"`
	Order   string    `json:"order,omitempty" doc:"Id of the order; empty where there was nothing to order"`
	Online  bool      `json:"online"`
	Expires time.Time `json:"expires,omitzero" doc:"Until when the order may be begun"`
	Found   string    `json:"found" doc:"What happens now, in one sentence"`
}

// Order is an order and how far it is.
type Order struct {
	ID       string           `json:"id"`
	Host     string           `json:"host"`
	Kind     string           `json:"kind"`
	State    string           `json:"state" doc:"ordered until the host has taken it up, then the step that it is at, then how it ended"`
	Ended    bool             `json:"ended"`
	Rollout  string           `json:"rollout,omitempty"`
	Commit   string           `json:"commit,omitempty"`
	Target   string           `json:"target,omitempty"`
	Cancels  string           `json:"cancels,omitempty" doc:"Id of the order that it cancels"`
	Actor    string           `json:"actor"`
	Reason   string           `json:"reason,omitempty"`
	IssuedAt time.Time        `json:"issued_at"`
	Expires  time.Time        `json:"expires" doc:"Until when it may be begun"`
	Received time.Time        `json:"received_at,omitzero" doc:"When the host took it up"`
	EndedAt  time.Time        `json:"ended_at,omitzero"`
	Note     string           `json:"note,omitempty"`
	Failure  *fleet.HostError `json:"failure,omitempty"`
	Change   *fleet.Change    `json:"change,omitempty" doc:"What it does to the host's system"`
	Steps    []OrderStep      `json:"steps,omitempty" doc:"What the host said, in order"`
}

// OrderStep is one answer of the host.
type OrderStep struct {
	Step     string    `json:"step"`
	At       time.Time `json:"at" doc:"By the host's clock"`
	Recorded time.Time `json:"recorded" doc:"By the server's clock"`
}

// OrderOf is an order as the API shows it.
func OrderOf(o fleet.Order) Order {
	return Order{
		ID: o.ID, Host: o.Host, Kind: o.Kind, State: string(o.State), Ended: !o.EndedAt.IsZero(), Rollout: o.Rollout, Commit: o.Commit,
		Target: o.Detail.Target, Cancels: o.Detail.Cancels, Actor: o.Actor, Reason: o.Reason, IssuedAt: o.IssuedAt, Expires: o.ExpiresAt,
		Received: o.ReceivedAt, EndedAt: o.EndedAt, Note: o.Note, Failure: o.Failure,
	}
}

type newOrderInput struct {
	Key  string `header:"Idempotency-Key" doc:"Any text that names this request. Repeated with the same key within a day, it is carried out once and answered alike" maxLength:"200"`
	Body NewOrder
}

type orderInput struct {
	ID string `path:"id" maxLength:"64"`
}

type cancelInput struct {
	ID   string `path:"id" maxLength:"64"`
	Body *struct {
		Reason string `json:"reason,omitempty" maxLength:"1000"`
	} `required:"false"`
}

type placedOutput struct {
	Body struct {
		Orders []PlacedOrder `json:"orders"`
	}
}

type orderOutput struct{ Body Order }

type ordersOutput struct {
	Link string `header:"Link" doc:"Address of the next page, where there is one"`
	Body struct {
		Orders []Order `json:"orders"`
		Next   string  `json:"next,omitempty" doc:"Cursor of the next page; left out on the last"`
	}
}

func orders(a huma.API, s Service) {
	huma.Register(a, huma.Operation{
		OperationID: "place-orders", Tags: []string{TagOrders}, Method: http.MethodPost, Path: "/api/v1/orders", Summary: "Give hosts an order",
		Description:   "One order for each host that the selector picks. A reboot has to name its hosts in confirm: without, the answer is a 409 that lists them.",
		DefaultStatus: http.StatusCreated, Metadata: needs("operator"), MaxBodyBytes: 16 << 20,
	}, func(ctx context.Context, in *newOrderInput) (*placedOutput, error) {
		n := in.Body
		return place(ctx, s, fleet.OrderRequest{
			Kind: n.Kind, Hosts: n.Hosts, Commit: n.Commit, Generation: n.Generation, Target: n.Target, Reason: n.Reason,
			Confirm: n.Confirm, Key: in.Key,
		})
	})
	huma.Register(a, huma.Operation{
		OperationID: "cancel-order", Tags: []string{TagOrders}, Method: http.MethodPost, Path: "/api/v1/orders/{id}/cancel", Summary: "Cancel one order",
		Description:   "An order that the host has not begun never begins; one that it works on is stopped before it switches, and not after.",
		DefaultStatus: http.StatusCreated, Metadata: needs("operator"),
	}, func(ctx context.Context, in *cancelInput) (*placedOutput, error) {
		r := fleet.OrderRequest{Kind: fleet.OrderCancel, Order: in.ID}
		if in.Body != nil {
			r.Reason = in.Body.Reason
		}
		return place(ctx, s, r)
	})
	huma.Register(a, huma.Operation{
		OperationID: "get-order", Tags: []string{TagOrders}, Method: http.MethodGet, Path: "/api/v1/orders/{id}", Summary: "An order and how far it is",
		Description: "With every answer of the host, and what the order changes of its system.",
		Metadata:    needs("viewer"),
	}, func(ctx context.Context, in *orderInput) (*orderOutput, error) {
		o, err := s.Order(ctx, in.ID)
		return &orderOutput{o}, orderError(err, in.ID)
	})
	huma.Register(a, huma.Operation{
		OperationID: "list-orders", Tags: []string{TagOrders}, Method: http.MethodGet, Path: "/api/v1/orders", Summary: "The newest orders of all hosts",
		Description: "Orders of all hosts, the newest first, ended or not.",
		Metadata:    needs("viewer"),
	}, func(ctx context.Context, in *Page) (*ordersOutput, error) {
		return listOrders(ctx, s, "", in)
	})
}

func place(ctx context.Context, s Service, r fleet.OrderRequest) (*placedOutput, error) {
	placed, err := s.PlaceOrders(ctx, actorOf(ctx), r)
	out := &placedOutput{}
	out.Body.Orders = placed
	return out, orderError(err, r.Order)
}

func listOrders(ctx context.Context, s Service, host string, p *Page) (*ordersOutput, error) {
	list, err := s.Orders(ctx, host, p.After(), p.Limit+1)
	if errors.Is(err, ErrUnknown) {
		return nil, noHost(host)
	}
	if err != nil {
		return nil, err
	}
	out := &ordersOutput{}
	out.Body.Orders, out.Body.Next, out.Link = cutPage(p, list, func(o Order) string { return o.ID })
	return out, nil
}

// orderError turns what a caller can mend into an answer that names the field. A
// reboot that is not confirmed lists the hosts, one error each.
func orderError(err error, id string) error {
	if bad, ok := errors.AsType[*fleet.FieldError](err); ok {
		location := "body." + bad.Field
		if bad.Field == "Idempotency-Key" {
			location = "header." + bad.Field
		}
		return huma.Error422UnprocessableEntity("The order was not given.", &huma.ErrorDetail{Location: location, Message: bad.Text})
	}
	if open, ok := errors.AsType[*fleet.UnconfirmedError](err); ok {
		details := make([]error, len(open.Hosts))
		for i, h := range open.Hosts {
			details[i] = &huma.ErrorDetail{Location: "body.confirm", Message: "would restart", Value: h}
		}
		return huma.Error409Conflict(open.Found, details...)
	}
	if errors.Is(err, ErrUnknown) {
		return huma.Error404NotFound("There is no order " + id + ".")
	}
	return err
}
