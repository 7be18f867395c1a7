package api

import (
	"context"
	"errors"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
	"github.com/nixfleet/nixfleet/fleet"
)

// KeyService is what the change of order keys needs of the product. The keys
// themselves never leave the server.
type KeyService interface {
	// OrderKeys lists the keys that sign orders, the current one first.
	OrderKeys(ctx context.Context) ([]OrderKey, error)
	// AddOrderKey makes a key and has hosts learn of it.
	AddOrderKey(ctx context.Context, by fleet.Actor) (OrderKey, error)
	// UseOrderKey has a key sign from now on. Unless forced, it is ErrInvalid while a
	// host does not know the key. A key that there is not is ErrUnknown.
	UseOrderKey(ctx context.Context, by fleet.Actor, id string, force bool) error
	// RetireOrderKey forgets a key. Unless forced, it is ErrInvalid while a host does
	// not know the one that signs; the one that signs always is.
	RetireOrderKey(ctx context.Context, by fleet.Actor, id string, force bool) error
}

// OrderKey is a key that signs orders, or did, or will.
type OrderKey struct {
	ID      string   `json:"id"`
	Current bool     `json:"current" doc:"It signs orders now"`
	Known   int      `json:"known" doc:"How many hosts obey it"`
	Missing []string `json:"missing" doc:"The enrolled hosts that do not, or have not said so"`
}

type keysOutput struct {
	Body struct {
		Keys []OrderKey `json:"keys"`
	}
}

type keyOutput struct{ Body OrderKey }

type keyInput struct {
	ID    string `path:"id" doc:"Id of the key" maxLength:"64"`
	Force bool   `query:"force" doc:"Also when hosts do not know the key that will sign: they have to be enrolled again by hand"`
}

func keys(a huma.API, s KeyService) {
	huma.Register(a, huma.Operation{
		OperationID: "list-order-keys", Tags: []string{TagServer}, Method: http.MethodGet, Path: "/api/v1/keys", Summary: "The keys that sign orders, and who knows them",
		Description: "Hosts obey orders of the keys that they know; the one that signs comes first.",
		Metadata:    needs("admin"),
	}, func(ctx context.Context, _ *struct{}) (*keysOutput, error) {
		list, err := s.OrderKeys(ctx)
		if err != nil {
			return nil, err
		}
		out := &keysOutput{}
		out.Body.Keys = list
		return out, nil
	})
	huma.Register(a, huma.Operation{
		OperationID: "add-order-key", Tags: []string{TagServer}, Method: http.MethodPost, Path: "/api/v1/keys", Summary: "Make a new key and have hosts learn of it",
		Description:   "Hosts learn of it with their next heartbeats. It signs nothing before it is used.",
		DefaultStatus: http.StatusCreated, Metadata: needs("admin"),
	}, func(ctx context.Context, _ *struct{}) (*keyOutput, error) {
		key, err := s.AddOrderKey(ctx, actorOf(ctx))
		if err != nil {
			return nil, refusedKey("", err)
		}
		return &keyOutput{Body: key}, nil
	})
	huma.Register(a, huma.Operation{
		OperationID: "use-order-key", Tags: []string{TagServer}, Method: http.MethodPost, Path: "/api/v1/keys/{id}/use", Summary: "Sign orders with a key from now on",
		Description:   "Refused while a host does not know the key: it would refuse every order.",
		DefaultStatus: http.StatusNoContent, Metadata: needs("admin"),
	}, func(ctx context.Context, in *keyInput) (*struct{}, error) {
		return nil, refusedKey(in.ID, s.UseOrderKey(ctx, actorOf(ctx), in.ID, in.Force))
	})
	huma.Register(a, huma.Operation{
		OperationID: "retire-order-key", Tags: []string{TagServer}, Method: http.MethodDelete, Path: "/api/v1/keys/{id}", Summary: "Forget a key that no longer signs",
		Description:   "Hosts forget it, too. The key that signs can not be retired.",
		DefaultStatus: http.StatusNoContent, Metadata: needs("admin"),
	}, func(ctx context.Context, in *keyInput) (*struct{}, error) {
		return nil, refusedKey(in.ID, s.RetireOrderKey(ctx, actorOf(ctx), in.ID, in.Force))
	})
}

func refusedKey(id string, err error) error {
	switch {
	case errors.Is(err, ErrUnknown):
		return huma.Error404NotFound("No order key has the id " + id + ". `nixfleet keys status` lists those there are.")
	case errors.Is(err, ErrInvalid):
		return huma.Error409Conflict(err.Error())
	}
	return err
}
