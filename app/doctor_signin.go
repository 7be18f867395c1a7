package app

import (
	"context"
	"net/http"

	"github.com/nixfleet/nixfleet"
	"github.com/nixfleet/nixfleet/forge"
)

// signIn looks whether people can sign in with GitHub: it takes our client id, secret
// and callback, or says which of them it does not.
func (x *examination) signIn(ctx context.Context, page string) {
	const check = "sign-in"
	in, callback := x.a.signIn.Load(), x.a.cfg.URL+nixfleet.SignInPath
	if in == nil {
		x.add(check, remark, "The App's client id and client secret are not known, so nobody can sign in with GitHub.",
			"Make a client secret on "+page+", add the callback URL "+callback+" there, and set NIXFLEET_GITHUB_CLIENT_ID and NIXFLEET_GITHUB_CLIENT_SECRET_FILE.")
		return
	}
	err := in.Examine(ctx)
	switch forge.CodeOf(err) {
	case http.StatusUnauthorized:
		x.add(check, wrong, "GitHub does not accept the client id and client secret, so nobody can sign in.", "Make a new client secret on "+page+", and set NIXFLEET_GITHUB_CLIENT_ID and NIXFLEET_GITHUB_CLIENT_SECRET_FILE.")
	case http.StatusBadRequest:
		x.add(check, wrong, callback+" is not among the App's callback URLs, so nobody can sign in.", "Add it on "+page+", or set NIXFLEET_URL to the server's address.")
	default:
		if err != nil {
			x.add(check, notKnown, err.Error(), "Run this again; check that the server reaches "+x.a.cfg.GitHubWebURL+".")
			return
		}
		x.add(check, fine, "People can sign in with GitHub.", "")
	}
}
