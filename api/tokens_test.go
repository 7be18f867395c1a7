package api_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nixfleet/nixfleet/api"
	"github.com/nixfleet/nixfleet/fleet"
)

func (*service) Tokens(_ context.Context, by fleet.Actor, role string) ([]fleet.TokenView, error) {
	return []fleet.TokenView{{ID: "T", Name: "ci", Role: "operator", May: "none", Owner: by.Login + " " + role, Created: time.Unix(1e9, 0).UTC()}}, nil
}

func (*service) NewToken(_ context.Context, by fleet.Actor, role string, t api.NewToken) (string, fleet.TokenView, error) {
	if role != "admin" {
		return "", fleet.TokenView{}, fmt.Errorf("%w: your role is %s", api.ErrForbidden, role)
	}
	v := fleet.TokenView{ID: "T", Name: t.Name, Role: t.Role, May: t.Role, Owner: by.Login, Expires: time.Now().AddDate(0, 0, t.Days)}
	if t.Never {
		v.Expires = time.Time{}
	}
	return "nxf_text", v, nil
}

func (*service) RevokeToken(_ context.Context, _ fleet.Actor, _, id string) error {
	if id != "T" {
		return api.ErrUnknown
	}
	return nil
}

func TestTokensOverTheAPI(t *testing.T) {
	t.Parallel()
	_, address := serve(t)
	as := func(token string) *api.Client { return &api.Client{Server: address, Token: token} }
	list, err := as("see").Tokens(t.Context())
	if err != nil || len(list) != 1 || list[0].Owner != "see viewer" || list[0].Works || list[0].Expires != nil {
		t.Errorf("listed %+v, %v", list, err)
	}
	made, err := as("all").NewToken(t.Context(), api.NewToken{Name: "ci", Role: "operator"})
	if err != nil || made.Text != "nxf_text" || made.Expires == nil || time.Until(*made.Expires) < 89*24*time.Hour {
		t.Errorf("made %+v, %v; want 90 days where nothing is said", made, err)
	}
	if made, err = as("all").NewToken(t.Context(), api.NewToken{Name: "ci", Role: "viewer", Never: true}); err != nil || made.Expires != nil {
		t.Errorf("made %+v, %v", made, err)
	}
	for name, tt := range map[string]struct {
		err  error
		says string
	}{
		"more than one's own":   {errorOf(as("do").NewToken(t.Context(), api.NewToken{Name: "ci", Role: "admin"})), "403"},
		"a name that is none":   {errorOf(as("all").NewToken(t.Context(), api.NewToken{Name: "a b", Role: "admin"})), "422"},
		"a role that is none":   {errorOf(as("all").NewToken(t.Context(), api.NewToken{Name: "ci", Role: "root"})), "422"},
		"for too long":          {errorOf(as("all").NewToken(t.Context(), api.NewToken{Name: "ci", Role: "admin", Days: 366})), "422"},
		"one that there is not": {as("all").RevokeToken(t.Context(), "X"), "404"},
		"a stranger":            {as("guess").RevokeToken(t.Context(), "T"), "401"},
	} {
		if tt.err == nil || !strings.Contains(tt.err.Error(), tt.says) {
			t.Errorf("%s: %v, want %s", name, tt.err, tt.says)
		}
	}
	if err := as("see").RevokeToken(t.Context(), "T"); err != nil {
		t.Error(err)
	}
}

func errorOf[T any](_ T, err error) error { return err }
