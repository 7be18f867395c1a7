package app

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"time"

	"github.com/nixfleet/nixfleet/api"
	"github.com/nixfleet/nixfleet/dashboard"
	"github.com/nixfleet/nixfleet/db"
	"github.com/nixfleet/nixfleet/fleet"
)

// Tokens begin so that whoever scans for secrets finds them: nxf_ and 48 hexadecimal
// digits.
const tokenPrefix = "nxf_"

var tokenText = regexp.MustCompile(`^nxf_[0-9a-f]{48}$`)

// tokensMost bounds the tokens that work of one owner.
const tokensMost = 50

func newAPIToken() string {
	b := make([]byte, 24)
	_, _ = rand.Read(b) // never fails, see crypto/rand
	return tokenPrefix + hex.EncodeToString(b)
}

// Authenticate knows the admin token, and those of people's programs. A token of ours
// that is right is never slowed down by others that are wrong; the admin token is, for
// nobody knows how hard it is to guess.
func (s service) Authenticate(ctx context.Context, token string) (fleet.Actor, string, error) {
	a, from := s.a, callerAddress(ctx)
	if tokenText.MatchString(token) {
		now := a.cfg.Now()
		t, err := a.db.UseToken(ctx, hash(token), from, now)
		if err == nil {
			if may := mayNow(t, now); may != fleet.RoleNone {
				return tokenActor(t.Owner, t.Name), may, nil
			}
			err = db.ErrNotFound
		}
		if !errors.Is(err, db.ErrNotFound) {
			return fleet.Actor{}, "", err
		}
	}
	guesses := a.limited().guesses
	if wait := guesses.wait(limitOf(from)); wait > 0 {
		return fleet.Actor{}, "", api.TooSoon(wait)
	}
	if a.isAdmin(token) {
		return actorOf(db.Owner{Actor: adminName}), fleet.RoleAdmin, nil
	}
	guesses.count(limitOf(from))
	sessions(s).refused(ctx, stranger, "api", dashboard.From{Address: from}, "A token for the API was wrong, or good no more.")
	return fleet.Actor{}, "", api.ErrToken
}

// mayNow is what a token lets its program do: no more than its owner.
func mayNow(t db.Token, now time.Time) string {
	if t.Owner.Person == 0 {
		return t.Role
	}
	may, _ := fleet.RoleNow(t.Role, t.PersonRole, t.Checked, now)
	return may
}

// scope is whose tokens somebody may see: everybody's where it is nil.
func scope(by fleet.Actor, role string) *db.Owner {
	if role == fleet.RoleAdmin {
		return nil
	}
	o := ownerOf(by)
	return &o
}

// Tokens lists the tokens of somebody; for an admin those of everybody.
func (s service) Tokens(ctx context.Context, by fleet.Actor, role string) ([]fleet.TokenView, error) {
	now := s.a.cfg.Now()
	list, err := s.a.db.Tokens(ctx, scope(by, role), now)
	views := make([]fleet.TokenView, len(list))
	for i, t := range list {
		views[i] = tokenView(t, by, now)
	}
	return views, err
}

func tokenView(t db.Token, by fleet.Actor, now time.Time) fleet.TokenView {
	mine := ownerOf(by)
	return fleet.TokenView{
		ID: t.ID, Name: t.Name, Role: t.Role, May: mayNow(t, now), Owner: actorOf(t.Owner).Login,
		Mine:    t.Owner.Person == mine.Person && (mine.Person != 0 || t.Owner.Actor == mine.Actor),
		Created: t.Created, Expires: t.Expires, Used: t.Used, From: t.From, Revoked: t.Revoked, By: t.By,
	}
}

// NewToken makes a token. Only people do, and the admin token: a program that could
// make further tokens would keep its way in when its own is revoked.
func (s service) NewToken(ctx context.Context, by fleet.Actor, role string, t api.NewToken) (string, fleet.TokenView, error) {
	now := s.a.cfg.Now()
	n := db.Token{ID: newID(now), Name: t.Name, Role: t.Role, Owner: ownerOf(by), Created: now, Expires: now.AddDate(0, 0, t.Days)}
	if t.Never {
		n.Expires = time.Time{}
	}
	refuse := func(why error, format string, args ...any) (string, fleet.TokenView, error) {
		return "", fleet.TokenView{}, fmt.Errorf("%w: "+format, append([]any{why}, args...)...)
	}
	switch {
	case by.Type == "token":
		return refuse(api.ErrForbidden, "a token can't make tokens; sign in at %s/settings/tokens, or use the admin token of the server", s.a.cfg.URL)
	case !localName.MatchString(t.Name):
		return refuse(api.ErrInvalid, "a name begins with a letter or digit and has at most 39 letters, digits and . _ -")
	case !fleet.RoleCovers(t.Role, fleet.RoleViewer):
		return refuse(api.ErrInvalid, "a role is viewer, operator or admin")
	case !fleet.RoleCovers(role, t.Role):
		return refuse(api.ErrForbidden, "a token can do no more than you, and your role is %s", role)
	case !t.Never && (t.Days < 1 || t.Days > 365):
		return refuse(api.ErrInvalid, "a token works for 1 to 365 days, or never expires where you say so")
	}
	old, err := s.a.db.Tokens(ctx, &n.Owner, now)
	if err != nil {
		return "", fleet.TokenView{}, err
	}
	if works := func(t db.Token) bool { return tokenView(t, by, now).Works(now) }; count(old, works) >= tokensMost {
		return refuse(api.ErrInvalid, "you have %d tokens that work; revoke one first", tokensMost)
	}
	text := newAPIToken()
	err = s.a.db.CreateToken(ctx, n, hash(text), by.Login)
	if errors.Is(err, db.ErrConflict) {
		return refuse(api.ErrInvalid, "you have a token named %s already; revoke it first, or choose another name", t.Name)
	}
	if err != nil {
		return "", fleet.TokenView{}, err
	}
	s.a.log.Info().Ctx(ctx).Str("token", t.Name).Str("role", t.Role).Str("by", by.Login).Msg("token made")
	if n.Owner.Person != 0 {
		n.PersonRole, n.Checked = role, now
	}
	return text, tokenView(n, by, now), nil
}

func count[T any](list []T, is func(T) bool) (n int) {
	for _, v := range list {
		if is(v) {
			n++
		}
	}
	return n
}

// RevokeToken makes a token useless.
func (s service) RevokeToken(ctx context.Context, by fleet.Actor, role, id string) error {
	t, err := s.a.db.RevokeToken(ctx, scope(by, role), id, by.Login, s.a.cfg.Now())
	if errors.Is(err, db.ErrNotFound) {
		return api.ErrUnknown
	}
	if err == nil {
		s.a.log.Info().Ctx(ctx).Str("token", t.Name).Str("of", t.Owner.Actor).Str("by", by.Login).Msg("token revoked")
	}
	return err
}
