package forge

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"golang.org/x/oauth2"

	"github.com/nixfleet/nixfleet/fleet"
)

// ErrSignInCode says that GitHub does not take the code that a person came back with.
var ErrSignInCode = errors.New("GitHub does not know the code of this sign-in: codes work once, within ten minutes, and in the browser that began")

// SignInConfig is what signing in needs besides [Config], of which only the addresses
// and the clock matter to it.
type SignInConfig struct {
	Config
	WebURL       string // GitHub's pages
	ClientID     string // of the App
	ClientSecret string
	Callback     string // where GitHub sends people back to; one of the App's callback URLs
}

// SignIn tells who somebody is, by GitHub's word: the authorization code flow of the
// App, with PKCE. The token that comes of it is used once, to ask for the account,
// and kept nowhere.
type SignIn struct {
	forge *Forge
	oauth oauth2.Config
}

// NewSignIn checks the configuration. It makes no call.
func NewSignIn(c SignInConfig) (*SignIn, error) {
	if c.ClientID == "" || c.ClientSecret == "" {
		return nil, errors.New("open sign-in: the App's client id or client secret is missing")
	}
	f, err := open(c.Config)
	if err != nil {
		return nil, err
	}
	web := strings.TrimSuffix(c.WebURL, "/")
	return &SignIn{forge: f, oauth: oauth2.Config{
		ClientID: c.ClientID, ClientSecret: c.ClientSecret, RedirectURL: c.Callback,
		Endpoint: oauth2.Endpoint{AuthURL: web + "/login/oauth/authorize", TokenURL: web + "/login/oauth/access_token", AuthStyle: oauth2.AuthStyleInParams},
	}}, nil
}

// Verifier makes the secret that binds one sign-in to the browser that began it.
func Verifier() string { return oauth2.GenerateVerifier() }

// Address is GitHub's page that asks the person. It carries only a hash of the verifier.
func (s *SignIn) Address(state, verifier string) string {
	return s.oauth.AuthCodeURL(state, oauth2.S256ChallengeOption(verifier))
}

// Person exchanges the code that came back for the account of the person. A code that
// GitHub does not take is ErrSignInCode. Neither code nor verifier is in any error.
func (s *SignIn) Person(ctx context.Context, code, verifier string) (fleet.Actor, error) {
	const op = "ask GitHub who signs in"
	token, err := s.exchange(ctx, code, verifier)
	if err != nil {
		return fleet.Actor{}, err
	}
	as := &oauth2.Transport{Source: oauth2.StaticTokenSource(token), Base: s.forge.wire}
	u, err := get[userPayload](ctx, s.forge.client(as, &shared{cache: newCache(1 << 20)}), op, "user")
	switch {
	case err != nil:
		return fleet.Actor{}, err
	case u.ID <= 0 || !namePattern.MatchString(u.Login):
		return fleet.Actor{}, &Error{Op: op, Code: http.StatusOK, Message: "an account without a login and id that GitHub allows"}
	}
	return u.domain(), nil
}

// Examine finds out whether GitHub takes our client id, secret and callback, by
// exchanging a code that can't be one.
func (s *SignIn) Examine(ctx context.Context) error {
	_, err := s.exchange(ctx, "nixfleet-doctor", Verifier())
	if errors.Is(err, ErrSignInCode) {
		return nil
	}
	return err
}

func (s *SignIn) exchange(ctx context.Context, code, verifier string) (*oauth2.Token, error) {
	const op = "exchange the code of a sign-in"
	if !codePattern.MatchString(code) {
		return nil, fmt.Errorf("%s: %w", op, ErrSignInCode)
	}
	limited, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	limited = context.WithValue(limited, oauth2.HTTPClient, &http.Client{Transport: s.forge.wire, CheckRedirect: func(*http.Request, []*http.Request) error {
		return errors.New("GitHub redirects where it should answer")
	}})
	token, err := s.oauth.Exchange(limited, code, oauth2.VerifierOption(verifier))
	if err == nil {
		return token, nil
	}
	if ctx.Err() != nil {
		return nil, fmt.Errorf("%s: %w", op, context.Cause(ctx))
	}
	if e, ok := errors.AsType[*oauth2.RetrieveError](err); ok {
		return nil, refusedExchange(op, e)
	}
	if e, ok := errors.AsType[*url.Error](err); ok {
		err = e.Err
	}
	message := oneLine(err.Error(), 200)
	if errors.Is(err, context.DeadlineExceeded) {
		message = fmt.Sprintf("none within %v", callTimeout)
	}
	return nil, &Error{Op: op, Message: message, Err: err}
}

// refusedExchange says in words what GitHub's page of error codes documents.
func refusedExchange(op string, e *oauth2.RetrieveError) error {
	switch e.ErrorCode {
	case "bad_verification_code", "invalid_grant":
		return fmt.Errorf("%s: %w", op, ErrSignInCode)
	case "incorrect_client_credentials", "invalid_client":
		return &Error{Op: op, Code: http.StatusUnauthorized, Message: "it does not accept the App's client id and client secret"}
	case "redirect_uri_mismatch":
		return &Error{Op: op, Code: http.StatusBadRequest, Message: "the callback is not among the callback URLs of the App"}
	}
	code := 0
	if e.Response != nil {
		code = e.Response.StatusCode
	}
	return &Error{Op: op, Code: code, Message: oneLine(e.ErrorCode+" "+e.ErrorDescription, 200)}
}
