package demo

import (
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/nixfleet/nixfleet/app"
)

// visitor is a signed-in person's browser, as far as plain pages need one. The
// session's cookie is Secure, which Go's cookie jar sends over https only, so it
// is carried by hand.
type visitor struct {
	t       *testing.T
	server  string
	cookies []*http.Cookie
	build   string // of the page, sent with every form
}

// signIn opens a one-time link with the given role.
func (r *rig) signIn(a *app.App, role string) *visitor {
	r.t.Helper()
	link, err := a.LoginLink(r.t.Context(), "tester", role)
	if err != nil {
		r.t.Fatal(err)
	}
	_, token, _ := strings.Cut(link, "token=")
	v := &visitor{t: r.t, server: a.URL()}
	resp := v.do(http.MethodPost, "/login", url.Values{"token": {token}})
	_ = resp.Body.Close()
	v.cookies = resp.Cookies()
	if m := buildID.FindStringSubmatch(v.get("/")); m != nil {
		v.build = m[1]
	}
	return v
}

var buildID = regexp.MustCompile(`data-build="([^"]+)"`)

func (v *visitor) do(method, path string, form url.Values) *http.Response {
	v.t.Helper()
	req, err := http.NewRequestWithContext(v.t.Context(), method, v.server+path, strings.NewReader(form.Encode()))
	if err != nil {
		v.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for _, c := range v.cookies {
		req.AddCookie(c)
	}
	resp, err := http.DefaultTransport.RoundTrip(req) // redirects are answers, too
	if err != nil {
		v.t.Fatal(err)
	}
	return resp
}

func (v *visitor) get(path string) string {
	v.t.Helper()
	resp := v.do(http.MethodGet, path, nil)
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		v.t.Fatalf("GET %s answered %s, %v", path, resp.Status, err)
	}
	return string(body)
}

func (v *visitor) post(path string, form url.Values) int {
	v.t.Helper()
	resp := v.do(http.MethodPost, path, form)
	_ = resp.Body.Close()
	return resp.StatusCode
}
