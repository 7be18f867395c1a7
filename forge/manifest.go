package forge

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
)

// ErrManifestCode says that GitHub does not take the code of a new App.
var ErrManifestCode = errors.New("GitHub does not know the code of the new App: codes work once, and within the hour; create the App once more")

// codePattern is what GitHub's codes are made of. Another could lead to another
// endpoint.
var codePattern = regexp.MustCompile(`^[A-Za-z0-9_-]{8,128}$`)

// NewApp is what GitHub hands out for an App made from a manifest, once.
type NewApp struct {
	ID       int64
	Slug     string // its name in addresses
	HTMLURL  string // its page
	Owner    string // the account that it belongs to
	ClientID string

	ClientSecret  string
	WebhookSecret string
	PrivateKey    []byte // PEM
}

// String names the App and keeps its secrets.
func (a NewApp) String() string { return fmt.Sprintf("App %s (%d)", a.Slug, a.ID) }

// GoString is String: %#v must not show more.
func (a NewApp) GoString() string { return a.String() }

// Redeem exchanges the code that GitHub's page for new Apps sent back for the App. It
// needs nothing of Config but the addresses and the clock. A code that GitHub does
// not take is ErrManifestCode; the code is in no error.
func Redeem(ctx context.Context, c Config, code string) (NewApp, error) {
	const op = "exchange the code of the new App"
	if !codePattern.MatchString(code) {
		return NewApp{}, fmt.Errorf("%s: %w", op, ErrManifestCode)
	}
	f, err := open(c)
	if err != nil {
		return NewApp{}, err
	}
	defer f.Close()
	stranger := f.client(f.wire, &shared{cache: newCache(cacheSize)})
	a, err := stranger.do(ctx, call{op: op, method: http.MethodPost, path: "app-manifests/" + code + "/conversions"})
	switch codeOf(err) {
	case http.StatusNotFound, http.StatusUnprocessableEntity:
		return NewApp{}, fmt.Errorf("%s: %w", op, ErrManifestCode)
	}
	if err != nil {
		return NewApp{}, err
	}
	var p struct {
		ID            int64       `json:"id"`
		Slug          string      `json:"slug"`
		HTMLURL       string      `json:"html_url"`
		Owner         userPayload `json:"owner"`
		ClientID      string      `json:"client_id"`
		ClientSecret  string      `json:"client_secret"`
		WebhookSecret *string     `json:"webhook_secret"`
		PEM           string      `json:"pem"`
	}
	if err := decode(op, a, &p); err != nil {
		return NewApp{}, &Error{Op: op, Code: a.code, Message: "an answer that is not the JSON it documents"} // without its text, which holds secrets
	}
	made := NewApp{
		ID: p.ID, Slug: p.Slug, HTMLURL: p.HTMLURL, Owner: p.Owner.Login, ClientID: p.ClientID,
		ClientSecret: p.ClientSecret, PrivateKey: []byte(p.PEM),
	}
	if p.WebhookSecret != nil {
		made.WebhookSecret = *p.WebhookSecret
	}
	if made.ID <= 0 || len(made.PrivateKey) == 0 || made.WebhookSecret == "" {
		return NewApp{}, &Error{Op: op, Code: a.code, Message: "an App without id, private key or webhook secret"}
	}
	return made, nil
}
