package api

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/nixfleet/nixfleet/fleet"
)

// ReceiverService is what notifications need of the product.
type ReceiverService interface {
	// Receivers lists who is told what happens.
	Receivers(ctx context.Context) ([]fleet.Receiver, error)
	// PutReceiver makes a receiver, or changes the one of that name. What is wrong with it
	// is [fleet.ReceiverFaults].
	PutReceiver(ctx context.Context, by fleet.Actor, w fleet.ReceiverWish) (fleet.Receiver, error)
	// RemoveReceiver, TestReceiver and Deliveries answer ErrUnknown where there is no
	// receiver of that name.
	RemoveReceiver(ctx context.Context, by fleet.Actor, name string) error
	TestReceiver(ctx context.Context, by fleet.Actor, name string) error
	Deliveries(ctx context.Context, name string) ([]fleet.NoticeShown, error)
}

// Receiver is somebody who is told what happens. Its address is a secret and not part
// of what is shown.
type Receiver struct {
	Name         string             `json:"name"`
	Service      string             `json:"service" doc:"What kind of address it has, such as Slack"`
	InFile       bool               `json:"in_file" doc:"The address is in the server's file of addresses"`
	Enabled      bool               `json:"enabled"`
	Rule         fleet.ReceiverRule `json:"rule"`
	Waiting      int                `json:"waiting" doc:"Notices that are not sent yet"`
	ChangedBy    string             `json:"changed_by"`
	ChangedAt    time.Time          `json:"changed_at"`
	LastSent     time.Time          `json:"last_sent,omitzero"`
	FailingSince time.Time          `json:"failing_since,omitzero" doc:"Absent where the last attempt went well"`
	LastError    string             `json:"last_error,omitempty"`
}

// ReceiverOf is a receiver as the API shows it.
func ReceiverOf(r fleet.Receiver) Receiver {
	return Receiver{
		Name: r.Name, Service: r.Service, InFile: r.InFile, Enabled: r.Enabled, Rule: r.Rule, Waiting: r.Waiting, ChangedBy: r.ChangedBy,
		ChangedAt: r.ChangedAt, LastSent: r.LastSent, FailingSince: r.FailingSince, LastError: r.LastError,
	}
}

// NewReceiver is a receiver as it shall be.
type NewReceiver struct {
	Address string              `json:"address,omitempty" doc:"Where it is reached, in shoutrrr's words; left out, the one that is stored stays" maxLength:"4000" example:"ntfy://ntfy.sh/topic"`
	InFile  bool                `json:"in_file,omitempty" doc:"The address is in the server's file of addresses, under the receiver's name"`
	Enabled *bool               `json:"enabled,omitempty" doc:"false switches it off"`
	Rule    *fleet.ReceiverRule `json:"rule,omitempty" doc:"What it is told, when, and in which words; left out, the usual events at once, or the rule that is stored"`
}

// Delivery is one notice for one receiver.
type Delivery struct {
	ID       int64     `json:"id"`
	Receiver string    `json:"receiver"`
	Event    string    `json:"event"`
	Title    string    `json:"title"`
	State    string    `json:"state" enum:"waiting,sent,failed,dropped"`
	At       time.Time `json:"at" doc:"When it happened"`
	DueAt    time.Time `json:"due_at"`
	EndedAt  time.Time `json:"ended_at,omitzero"`
	Attempts int       `json:"attempts"`
	Error    string    `json:"error,omitempty"`
}

type receiversOutput struct {
	Body struct {
		Receivers []Receiver `json:"receivers"`
	}
}

type receiverOutput struct{ Body Receiver }

type receiverInput struct {
	Name string `path:"name" maxLength:"40"`
}

type putReceiverInput struct {
	Name string `path:"name" maxLength:"40"`
	Body NewReceiver
}

type deliveriesOutput struct {
	Body struct {
		Deliveries []Delivery `json:"deliveries"`
	}
}

func receivers(a huma.API, s ReceiverService) {
	huma.Register(a, huma.Operation{
		OperationID: "list-receivers", Tags: []string{TagReceivers}, Method: http.MethodGet, Path: "/api/v1/receivers", Summary: "Who is told what happens",
		Description: "Addresses are secrets: no answer holds one.",
		Metadata:    needs("viewer"),
	}, func(ctx context.Context, _ *struct{}) (*receiversOutput, error) {
		list, err := s.Receivers(ctx)
		if err != nil {
			return nil, err
		}
		out := &receiversOutput{}
		out.Body.Receivers = make([]Receiver, len(list))
		for i, r := range list {
			out.Body.Receivers[i] = ReceiverOf(r)
		}
		return out, nil
	})
	huma.Register(a, huma.Operation{
		OperationID: "put-receiver", Tags: []string{TagReceivers}, Method: http.MethodPut, Path: "/api/v1/receivers/{name}", Summary: "Make a receiver, or change it",
		Description: "What is left out stays as it is, or is usual for a new receiver. The address is sealed before it is stored, and no answer shows it again.",
		Metadata:    needs("admin"),
	}, func(ctx context.Context, in *putReceiverInput) (*receiverOutput, error) {
		r, err := putReceiver(ctx, s, in.Name, in.Body)
		return &receiverOutput{ReceiverOf(r)}, refusedReceiver(in.Name, err)
	})
	huma.Register(a, huma.Operation{
		OperationID: "remove-receiver", Tags: []string{TagReceivers}, Method: http.MethodDelete, Path: "/api/v1/receivers/{name}", Summary: "Remove a receiver with what waits for it",
		Description:   "Nothing more is sent to it, and its deliveries are forgotten.",
		DefaultStatus: http.StatusNoContent, Metadata: needs("admin"),
	}, func(ctx context.Context, in *receiverInput) (*struct{}, error) {
		return nil, refusedReceiver(in.Name, s.RemoveReceiver(ctx, actorOf(ctx), in.Name))
	})
	huma.Register(a, huma.Operation{
		OperationID: "test-receiver", Tags: []string{TagReceivers}, Method: http.MethodPost, Path: "/api/v1/receivers/{name}/test", Summary: "Send a test; its deliveries tell what came of it",
		Description:   "The test goes the way of every other notice, at once, also while the receiver is switched off or has quiet hours.",
		DefaultStatus: http.StatusAccepted, Metadata: needs("admin"),
	}, func(ctx context.Context, in *receiverInput) (*struct{}, error) {
		return nil, refusedReceiver(in.Name, s.TestReceiver(ctx, actorOf(ctx), in.Name))
	})
	huma.Register(a, huma.Operation{
		OperationID: "list-deliveries", Tags: []string{TagReceivers}, Method: http.MethodGet, Path: "/api/v1/receivers/{name}/deliveries", Summary: "The newest notices of a receiver, and what became of them",
		Description: "At most the newest 50.",
		Metadata:    needs("viewer"),
	}, func(ctx context.Context, in *receiverInput) (*deliveriesOutput, error) {
		list, err := s.Deliveries(ctx, in.Name)
		if err != nil {
			return nil, refusedReceiver(in.Name, err)
		}
		out := &deliveriesOutput{}
		out.Body.Deliveries = make([]Delivery, len(list))
		for i, n := range list {
			out.Body.Deliveries[i] = Delivery{
				ID: n.ID, Receiver: n.Receiver, Event: string(n.Kind), Title: n.Title, State: n.State, At: n.At, DueAt: n.DueAt, EndedAt: n.EndedAt,
				Attempts: n.Attempts, Error: n.Error,
			}
		}
		return out, nil
	})
}

// putReceiver completes what was left out with what there is.
func putReceiver(ctx context.Context, s ReceiverService, name string, n NewReceiver) (fleet.Receiver, error) {
	list, err := s.Receivers(ctx)
	if err != nil {
		return fleet.Receiver{}, err
	}
	w := fleet.ReceiverWish{Name: name, Address: n.Address, InFile: n.InFile, Enabled: true, Rule: fleet.ReceiverRule{On: fleet.UsualNotices()}}
	for _, r := range list {
		if r.Name == name {
			w.ID, w.Enabled, w.Rule = r.ID, r.Enabled, r.Rule
			w.InFile = n.InFile || (r.InFile && n.Address == "")
		}
	}
	if n.Enabled != nil {
		w.Enabled = *n.Enabled
	}
	if n.Rule != nil {
		w.Rule = *n.Rule
	}
	return s.PutReceiver(ctx, actorOf(ctx), w)
}

func refusedReceiver(name string, err error) error {
	if faults, ok := errors.AsType[fleet.ReceiverFaults](err); ok {
		details := make([]error, len(faults))
		for i, f := range faults {
			details[i] = &huma.ErrorDetail{Location: f.Field, Message: f.Text}
		}
		return huma.Error422UnprocessableEntity("The receiver was not saved: "+faults[0].Error(), details...)
	}
	switch {
	case errors.Is(err, ErrUnknown):
		return huma.Error404NotFound("There is no receiver " + name + ". `nixfleet receivers list` shows those there are.")
	case errors.Is(err, ErrInvalid):
		return huma.Error409Conflict(err.Error())
	}
	return err
}
