package api

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
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

// HostQuery picks hosts by the words of the Fleet page; all that is given has to hold.
type HostQuery struct {
	Page
	Query string   `query:"q" maxLength:"200" doc:"Each word is in the name, the attribute, the system, the mode, the agent's version, the running commit or a tag" example:"web"`
	State string   `query:"state" enum:"attention,ok,working,online,offline" doc:"attention: something failed or waits for a person; working: it carries out an order"`
	OS    string   `query:"os" enum:"nixos,darwin,home" doc:"What it runs: NixOS, nix-darwin or home-manager"`
	Tag   []string `query:"tag,explode" maxItems:"20" doc:"Has this tag; may be repeated"`
}

type hostsOutput struct {
	Link string `header:"Link" doc:"Address of the next page, where there is one"`
	Body struct {
		Hosts []Host `json:"hosts"`
		Next  string `json:"next,omitempty" doc:"Cursor of the next page; left out on the last"`
	}
}

type newHostInput struct{ Body NewHost }

type enrolmentOutput struct{ Body Enrolment }

type hostInput struct {
	Name string `path:"name" doc:"Name of the host" maxLength:"63"`
}

func hosts(a huma.API, s Service) {
	huma.Register(a, huma.Operation{
		OperationID: "list-hosts", Tags: []string{TagHosts}, Method: http.MethodGet, Path: "/api/v1/hosts", Summary: "All hosts with their compartments",
		Description: "All enrolled and expected hosts by name, each with its three compartments. The filters are those of the Fleet page, and all have to hold.",
		Metadata:    needs("viewer"),
	}, func(ctx context.Context, in *HostQuery) (*hostsOutput, error) {
		o, err := s.Overview(ctx)
		if err != nil {
			return nil, err
		}
		var list []Host
		for _, h := range o.Hosts {
			if h.Host.Name > in.After() && in.match(h) {
				list = append(list, shown(h))
			}
		}
		slices.SortFunc(list, func(a, b Host) int { return strings.Compare(a.Name, b.Name) })
		out := &hostsOutput{}
		out.Body.Hosts, out.Body.Next, out.Link = cutPage(&in.Page, list, func(h Host) string { return h.Name })
		return out, nil
	})
	huma.Register(a, huma.Operation{
		OperationID: "enroll-host", Tags: []string{TagHosts}, Method: http.MethodPost, Path: "/api/v1/hosts", Summary: "Add a host and get its one-time token",
		Description:   "Makes the one-time token with which the agent of a machine enrols. With `again`, the machine of a known host was set up anew: the key that it had is revoked.",
		DefaultStatus: http.StatusCreated, Metadata: needsAndTells("admin"),
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
		OperationID: "revoke-host", Tags: []string{TagHosts}, Method: http.MethodDelete, Path: "/api/v1/hosts/{name}", Summary: "Take a host's credential away and cut its connection",
		Description:   "The host gets no more orders and can not connect. Its history stays; enrol it again with `again`.",
		DefaultStatus: http.StatusNoContent, Metadata: needs("admin"),
	}, func(ctx context.Context, in *hostInput) (*struct{}, error) {
		err := s.RevokeHost(ctx, actorOf(ctx), in.Name)
		if errors.Is(err, ErrUnknown) {
			return nil, noHost(in.Name)
		}
		return nil, err
	})
}

func (q *HostQuery) match(h fleet.HostView) bool {
	return fleet.HostFilter{Query: q.Query, State: q.State, OS: q.OS, Tags: q.Tag}.Match(h)
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
