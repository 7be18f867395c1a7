package api

import (
	"context"
	"errors"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
	"github.com/nixfleet/nixfleet/fleet"
)

// HostService is what the API needs of the product for one host.
type HostService interface {
	// Host tells all that is known of a host. One that is not known, or was revoked,
	// is ErrUnknown.
	Host(ctx context.Context, name string) (HostDetail, error)
	// Generations lists the systems that a host can go back to, newest first.
	Generations(ctx context.Context, name string) ([]fleet.Generation, error)
	// ChangeHost changes how a host is treated.
	ChangeHost(ctx context.Context, by fleet.Actor, name string, c HostChange) (HostDetail, error)
}

// HostDetail is all that is known of one host.
type HostDetail struct {
	Host
	Platform string          `json:"platform"`
	Repo     string          `json:"repo,omitempty"`
	Facts    fleet.HostFacts `json:"facts" doc:"What the host saw of itself"`
	Open     []Order         `json:"open_orders" doc:"Orders that have not ended, oldest first; the host takes up one after the other"`
}

// HostChange is what is to change of a host; what is left out stays.
type HostChange struct {
	Tags *[]string `json:"tags,omitempty" doc:"All its tags" maxItems:"100"`
	Mode *string   `json:"mode,omitempty" enum:"fleet,manual,automatic" doc:"fleet takes part in rollouts, manual is left to people, automatic follows the default branch by itself"`
	Attr *string   `json:"attr,omitempty" doc:"Flake attribute that builds it" maxLength:"300" pattern:"^(nixos|darwin|home)Configurations\\.[A-Za-z0-9_@.-]+$"`
}

type hostDetailOutput struct{ Body HostDetail }

type hostOrdersInput struct {
	Page
	Name string `path:"name" doc:"Name of the host" maxLength:"63"`
}

type generationsOutput struct {
	Body struct {
		Generations []fleet.Generation `json:"generations"`
	}
}

type hostChangeInput struct {
	Name string `path:"name" doc:"Name of the host" maxLength:"63"`
	Body HostChange
}

func host(a huma.API, s Service) {
	huma.Register(a, huma.Operation{
		OperationID: "get-host", Tags: []string{TagHosts}, Method: http.MethodGet, Path: "/api/v1/hosts/{name}", Summary: "All that is known of a host",
		Description: "What the host saw of itself at its last heartbeat, what is derived from that, and the orders that it has not ended.",
		Metadata:    needs("viewer"),
	}, func(ctx context.Context, in *hostInput) (*hostDetailOutput, error) {
		h, err := s.Host(ctx, in.Name)
		return &hostDetailOutput{h}, hostError(err, in.Name)
	})
	huma.Register(a, huma.Operation{
		OperationID: "change-host", Tags: []string{TagHosts}, Method: http.MethodPatch, Path: "/api/v1/hosts/{name}", Summary: "Change the tags, the mode or the attribute of a host",
		Description: "What is left out stays as it is. Orders that the host has go on; rollouts are decided anew.",
		Metadata:    needs("admin"),
	}, func(ctx context.Context, in *hostChangeInput) (*hostDetailOutput, error) {
		h, err := s.ChangeHost(ctx, actorOf(ctx), in.Name, in.Body)
		return &hostDetailOutput{h}, hostError(err, in.Name)
	})
	huma.Register(a, huma.Operation{
		OperationID: "list-host-orders", Tags: []string{TagHosts}, Method: http.MethodGet, Path: "/api/v1/hosts/{name}/orders", Summary: "The newest orders of a host",
		Description: "The newest orders first, ended or not.",
		Metadata:    needs("viewer"),
	}, func(ctx context.Context, in *hostOrdersInput) (*ordersOutput, error) {
		return listOrders(ctx, s, in.Name, &in.Page)
	})
	huma.Register(a, huma.Operation{
		OperationID: "list-generations", Tags: []string{TagHosts}, Method: http.MethodGet, Path: "/api/v1/hosts/{name}/generations", Summary: "The systems that a host can go back to",
		Description: "As the host told them last, the newest first. The number of one is what a rollback order names.",
		Metadata:    needs("viewer"),
	}, func(ctx context.Context, in *hostInput) (*generationsOutput, error) {
		list, err := s.Generations(ctx, in.Name)
		out := &generationsOutput{}
		out.Body.Generations = list
		return out, hostError(err, in.Name)
	})
}

func noHost(name string) error {
	return huma.Error404NotFound("No host is named " + name + ". `nixfleet hosts` lists those there are.")
}

func hostError(err error, name string) error {
	if errors.Is(err, ErrUnknown) {
		return noHost(name)
	}
	if bad, ok := errors.AsType[*fleet.FieldError](err); ok {
		return huma.Error422UnprocessableEntity("The host was not changed.", &huma.ErrorDetail{Location: "body." + bad.Field, Message: bad.Text})
	}
	return err
}

// HostOf is a host as the API shows it among others.
func HostOf(h fleet.HostView) Host { return shown(h) }
