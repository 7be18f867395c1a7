package api

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/nixfleet/nixfleet/fleet"
)

// Host is one machine as the API shows it.
type Host struct {
	Name           string              `json:"name"`
	Attr           string              `json:"attr"`
	Tags           []string            `json:"tags"`
	Mode           string              `json:"mode" enum:"fleet,manual,automatic" doc:"fleet takes part in rollouts, manual is left to people, automatic follows the default branch by itself"`
	Online         bool                `json:"online"`
	Enrolled       bool                `json:"enrolled"`
	LastSeen       time.Time           `json:"last_seen,omitzero"`
	AgentVersion   string              `json:"agent_version,omitempty"`
	CheckoutCommit string              `json:"checkout_commit,omitempty"`
	RunningCommit  string              `json:"running_commit,omitempty"`
	RunningPath    string              `json:"running_path,omitempty"`
	Order          string              `json:"order,omitempty" doc:"Id of the order that it works on"`
	Step           string              `json:"step,omitempty" doc:"The step that it is at with the order"`
	StepSince      time.Time           `json:"step_since,omitzero"`
	RebootNeeded   bool                `json:"reboot_needed,omitempty"`
	Compartments   []fleet.Compartment `json:"compartments"`
}

// Enrolment is what a new host needs to present itself, once.
type Enrolment struct {
	Host    string    `json:"host"`
	Token   string    `json:"token" doc:"One-time token; it is shown only here"`
	Expires time.Time `json:"expires"`
}

type hostsOutput struct {
	Body struct {
		Hosts []Host `json:"hosts"`
	}
}

type newHostInput struct{ Body NewHost }

type enrolmentOutput struct{ Body Enrolment }

type hostInput struct {
	Name string `path:"name" doc:"Name of the host" maxLength:"63"`
}

func hosts(a huma.API, s Service) {
	secured := []map[string][]string{{"token": {}}}
	huma.Register(a, huma.Operation{
		OperationID: "list-hosts", Method: http.MethodGet, Path: "/api/v1/hosts", Summary: "All hosts with their compartments",
		Metadata: needs("viewer"), Security: secured,
	}, func(ctx context.Context, _ *struct{}) (*hostsOutput, error) {
		o, err := s.Overview(ctx)
		if err != nil {
			return nil, err
		}
		out := &hostsOutput{}
		out.Body.Hosts = make([]Host, 0, len(o.Hosts))
		for _, h := range o.Hosts {
			out.Body.Hosts = append(out.Body.Hosts, shown(h))
		}
		return out, nil
	})
	huma.Register(a, huma.Operation{
		OperationID: "enroll-host", Method: http.MethodPost, Path: "/api/v1/hosts", Summary: "Add a host and get its one-time token",
		DefaultStatus: http.StatusCreated, Metadata: needs("admin"), Security: secured,
	}, func(ctx context.Context, in *newHostInput) (*enrolmentOutput, error) {
		token, expires, err := s.NewHost(ctx, actorOf(ctx), in.Body)
		switch {
		case errors.Is(err, ErrExists):
			return nil, huma.Error409Conflict("The host " + in.Body.Name + " exists and is enrolled. Revoke it first, or choose another name; if its machine was set up anew, enrol it again: `nixfleet hosts enroll " + in.Body.Name + " --again`.")
		case errors.Is(err, ErrUnknown):
			return nil, huma.Error404NotFound("No host is named " + in.Body.Name + ", so it can't be enrolled again. `nixfleet hosts` lists those there are.")
		case errors.Is(err, ErrInvalid):
			return nil, huma.Error422UnprocessableEntity(err.Error())
		case err != nil:
			return nil, err
		}
		return &enrolmentOutput{Body: Enrolment{Host: in.Body.Name, Token: token, Expires: expires}}, nil
	})
	huma.Register(a, huma.Operation{
		OperationID: "revoke-host", Method: http.MethodDelete, Path: "/api/v1/hosts/{name}", Summary: "Take a host's credential away and cut its connection",
		DefaultStatus: http.StatusNoContent, Metadata: needs("admin"), Security: secured,
	}, func(ctx context.Context, in *hostInput) (*struct{}, error) {
		err := s.RevokeHost(ctx, actorOf(ctx), in.Name)
		if errors.Is(err, ErrUnknown) {
			return nil, noHost(in.Name)
		}
		return nil, err
	})
}

func shown(h fleet.HostView) Host {
	tags := h.Host.Tags
	if tags == nil {
		tags = []string{}
	}
	f := h.Host.Facts
	out := Host{
		Name: h.Host.Name, Attr: h.Host.Attr, Tags: tags, Mode: h.Host.Mode, Online: h.Online, Enrolled: !h.Host.EnrolledAt.IsZero(),
		LastSeen: h.Host.LastSeen, AgentVersion: f.AgentVersion, CheckoutCommit: f.CheckoutCommit,
		RunningCommit: f.RunningCommit, RunningPath: f.RunningPath, RebootNeeded: f.RebootNeeded, Compartments: h.Compartments,
	}
	if f.Working {
		out.Order, out.Step, out.StepSince = f.Order, f.Step, f.StepSince
	}
	return out
}
