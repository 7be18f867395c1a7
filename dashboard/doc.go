// Package dashboard is the page that people look at and press buttons on.
//
// On the way from webhook to acknowledgement it stands beside the road: it reads
// the one read model that everything visible comes from, and hands a person's
// wish to merge back to the inbox side as a recorded request. In comes a
// [fleet.Overview] and the hint that something visible has changed; out goes
// HTML, once as a page and from then on as the fragments that differ.
//
// Everything live is rendered once, compared with what was sent before, and the
// same bytes go to every open page. Times are written as absolute times and
// counted by the browser, so that the passing of time is not a change.
//
// What may go wrong: the read model can't be read (pages say so, streams fall
// silent and mark themselves stale), a page is older than the server (its posts
// are refused until it is reloaded), a pull request changes while somebody looks
// at it (the request names the head SHA that was shown, and is void for any
// other), a session ends while its stream is open (checked on every beat).
package dashboard

//go:generate go run github.com/a-h/templ/cmd/templ@v0.3.977 generate
