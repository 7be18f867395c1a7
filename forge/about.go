package forge

import (
	"context"
	"fmt"
	"net/http"
	"time"
)

// About is the App as GitHub has it.
type About struct {
	ID          int64
	Slug        string
	HTMLURL     string
	Owner       string
	OwnedByOrg  bool
	Permissions map[string]string
	Events      []string
}

// About reads what GitHub has of the App. An error with code 401 means that GitHub
// does not accept our signature.
func (f *Forge) About(ctx context.Context) (About, error) {
	p, err := get[struct {
		ID          int64             `json:"id"`
		Slug        string            `json:"slug"`
		HTMLURL     string            `json:"html_url"`
		Owner       userPayload       `json:"owner"`
		Permissions map[string]string `json:"permissions"`
		Events      []string          `json:"events"`
	}](ctx, f.app, "read the App", "app")
	return About{p.ID, p.Slug, p.HTMLURL, p.Owner.Login, p.Owner.Type == "Organization", p.Permissions, p.Events}, err
}

// Hook is how GitHub sends webhooks.
type Hook struct {
	URL         string
	ContentType string // json, or form
	Insecure    bool   // GitHub does not check the certificate of our address
	Secret      bool   // a secret is set; GitHub does not tell which
}

// Hook reads how GitHub sends us webhooks.
func (f *Forge) Hook(ctx context.Context) (Hook, error) {
	p, err := get[struct {
		URL         string `json:"url"`
		ContentType string `json:"content_type"`
		InsecureSSL any    `json:"insecure_ssl"` // "1", or 1
		Secret      string `json:"secret"`
	}](ctx, f.app, "read the webhook's settings", "app/hook/config")
	return Hook{p.URL, p.ContentType, fmt.Sprint(p.InsecureSSL) == "1", p.Secret != ""}, err
}

// CodeOf is the HTTP status that an error of this package carries, 0 where GitHub did
// not answer.
func CodeOf(err error) int { return codeOf(err) }

// Grant is what one installation allows.
type Grant struct {
	ID          int64
	Account     string
	HTMLURL     string // where its owner changes it
	Suspended   bool
	Permissions map[string]string
}

// Grants lists the installations with what they allow. Permissions that the App asks
// for since it was installed are not among them until the owner accepts.
func (f *Forge) Grants(ctx context.Context) ([]Grant, error) {
	lists, err := pages[[]struct {
		ID          int64             `json:"id"`
		Account     userPayload       `json:"account"`
		HTMLURL     string            `json:"html_url"`
		SuspendedAt *time.Time        `json:"suspended_at"`
		Permissions map[string]string `json:"permissions"`
	}](ctx, f.app, "list installations", "app/installations", installationPages)
	var all []Grant
	for _, list := range lists {
		for _, in := range list {
			all = append(all, Grant{in.ID, in.Account.Login, in.HTMLURL, in.SuspendedAt != nil, in.Permissions})
		}
	}
	return all, err
}

// Covers reports whether a permission at one level includes another level.
func Covers(have, want string) bool { return covers(have, want) }

// Clock asks GitHub for the time, to the second. Anyone may, also with a key that
// GitHub does not accept.
func (f *Forge) Clock(ctx context.Context) (time.Time, error) {
	const op = "ask GitHub for the time"
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, f.base.JoinPath("rate_limit").String(), nil)
	if err != nil {
		return time.Time{}, fmt.Errorf("%s: %w", op, err)
	}
	req.Header.Set("Accept", acceptJSON)
	req.Header.Set("User-Agent", f.config.UserAgent)
	resp, err := f.wire.RoundTrip(req)
	if err != nil {
		return time.Time{}, f.app.failed(ctx, op, err)
	}
	_ = resp.Body.Close()
	at, err := http.ParseTime(resp.Header.Get("Date"))
	if err != nil {
		return time.Time{}, &Error{Op: op, Code: resp.StatusCode, Message: "an answer without a date"}
	}
	return at.UTC(), nil
}
