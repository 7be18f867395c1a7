package api

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/nixfleet/nixfleet/fleet"
)

// ErrForbidden is wrapped by errors whose text says why the caller may not.
var ErrForbidden = errors.New("not allowed")

// TokenService is what the API needs of the product for tokens of programs.
type TokenService interface {
	// Tokens lists the tokens of somebody; for an admin those of everybody.
	Tokens(ctx context.Context, by fleet.Actor, role string) ([]fleet.TokenView, error)
	// NewToken makes a token for somebody who has a role, and returns it with its text,
	// which is kept nowhere. What can't be is ErrInvalid, who may not is ErrForbidden.
	NewToken(ctx context.Context, by fleet.Actor, role string, t NewToken) (text string, v fleet.TokenView, err error)
	// RevokeToken makes a token useless. One that there is not, or that the caller may not
	// see, is ErrUnknown.
	RevokeToken(ctx context.Context, by fleet.Actor, role, id string) error
}

// NewToken is a token that is asked for.
type NewToken struct {
	Name  string `json:"name" pattern:"^[A-Za-z0-9][A-Za-z0-9._-]{0,38}$" doc:"What it is for" example:"ci"`
	Role  string `json:"role" enum:"viewer,operator,admin" doc:"At most the caller's own"`
	Days  int    `json:"days,omitempty" minimum:"1" maximum:"365" default:"90" doc:"How long it works"`
	Never bool   `json:"never,omitempty" doc:"It works until it is revoked, whatever days says"`
}

// Token is a token without its text.
type Token struct {
	ID      string     `json:"id"`
	Name    string     `json:"name"`
	Role    string     `json:"role"`
	May     string     `json:"may" enum:"none,viewer,operator,admin" doc:"What it may do now: no more than its owner"`
	Owner   string     `json:"owner"`
	Works   bool       `json:"works"`
	Created time.Time  `json:"created"`
	Expires *time.Time `json:"expires" doc:"null: never"`
	Used    *time.Time `json:"used" doc:"null: never"`
	From    string     `json:"from,omitempty" doc:"The address that it was last used from"`
	Revoked *time.Time `json:"revoked" doc:"null: it is not"`
	By      string     `json:"by,omitempty" doc:"Who revoked it"`
}

// MadeToken is a token with its text, which is shown once.
type MadeToken struct {
	Token
	Text string `json:"token" doc:"The token itself; it is kept nowhere"`
}

func tokenOf(v fleet.TokenView, now time.Time) Token {
	at := func(t time.Time) *time.Time {
		if t.IsZero() {
			return nil
		}
		return &t
	}
	return Token{
		ID: v.ID, Name: v.Name, Role: v.Role, May: v.May, Owner: v.Owner, Works: v.Works(now), Created: v.Created,
		Expires: at(v.Expires), Used: at(v.Used), From: v.From, Revoked: at(v.Revoked), By: v.By,
	}
}

type tokensOutput struct {
	Body struct {
		Tokens []Token `json:"tokens"`
	}
}

type madeTokenOutput struct{ Body MadeToken }

type tokenInput struct {
	ID string `path:"id" maxLength:"64" doc:"Id of the token"`
}

func tokens(a huma.API, s TokenService) {
	op := func(id, method, path, summary, description string) huma.Operation {
		return huma.Operation{OperationID: id, Tags: []string{TagServer}, Method: method, Path: "/api/v1/tokens" + path,
			Summary: summary, Description: description, Metadata: needs("viewer")}
	}
	huma.Register(a, op("list-tokens", http.MethodGet, "", "Your tokens for programs", "For admins those of everybody. Their texts are kept nowhere."),
		func(ctx context.Context, _ *struct{}) (*tokensOutput, error) {
			c := callerOf(ctx)
			list, err := s.Tokens(ctx, c.actor, c.role)
			out := &tokensOutput{}
			out.Body.Tokens = []Token{}
			for _, v := range list {
				out.Body.Tokens = append(out.Body.Tokens, tokenOf(v, time.Now()))
			}
			return out, err
		})
	made := op("make-token", http.MethodPost, "", "Make a token for a program",
		"With the admin token only: people make theirs on the dashboard, and a token makes no further ones. The text is shown once.")
	made.DefaultStatus, made.Metadata = http.StatusCreated, needsAndTells("viewer")
	huma.Register(a, made, func(ctx context.Context, in *struct{ Body NewToken }) (*madeTokenOutput, error) {
		c := callerOf(ctx)
		text, v, err := s.NewToken(ctx, c.actor, c.role, in.Body)
		return &madeTokenOutput{MadeToken{tokenOf(v, time.Now()), text}}, tokenError(err)
	})
	huma.Register(a, op("revoke-token", http.MethodDelete, "/{id}", "Make a token useless", "Whatever uses it is refused from then on."),
		func(ctx context.Context, in *tokenInput) (*struct{}, error) {
			c := callerOf(ctx)
			return nil, tokenError(s.RevokeToken(ctx, c.actor, c.role, in.ID))
		})
}

// tokenError is an error as the caller is told of it.
func tokenError(err error) error {
	switch {
	case errors.Is(err, ErrForbidden):
		return huma.Error403Forbidden(err.Error())
	case errors.Is(err, ErrInvalid):
		return huma.Error422UnprocessableEntity(err.Error())
	case errors.Is(err, ErrUnknown):
		return huma.Error404NotFound("There is no such token.")
	}
	return err
}

// Tokens lists the tokens of the caller; for an admin those of everybody.
func (c *Client) Tokens(ctx context.Context) ([]Token, error) {
	var out struct {
		Tokens []Token `json:"tokens"`
	}
	err := c.call(ctx, http.MethodGet, "/api/v1/tokens", nil, &out)
	return out.Tokens, err
}

// NewToken makes a token, whose text is shown once.
func (c *Client) NewToken(ctx context.Context, t NewToken) (MadeToken, error) {
	var out MadeToken
	err := c.act(ctx, "/api/v1/tokens", t, &out)
	return out, err
}

// RevokeToken makes a token useless.
func (c *Client) RevokeToken(ctx context.Context, id string) error {
	return c.call(ctx, http.MethodDelete, "/api/v1/tokens/"+url.PathEscape(id), nil, nil)
}
