// Package forgetest is an imitation of github.com at the wire, for tests and
// for `nixfleet demo`.
//
// On the way from webhook to acknowledgement it stands at both ends of the
// GitHub side: it sends the signed webhooks that come in through package
// handlers, and it answers the calls that go out through package forge.
//
// What comes in: REST calls of a GitHub App (JWT or installation token), git
// fetches over HTTP, and the deeds of "people", which are Go methods on
// [Server] (Commit, OpenPull, SetCheck, …).
//
// What goes out: answers and webhooks in GitHub's shape. The state behind them
// is real: every repository is a bare git repository on disk, and commits,
// comparisons and merges are computed by git itself.
//
// What may go wrong is up to the caller: [Server.Inject] fails, slows or drops
// requests before or after their effect, [Server.InjectHook] drops, duplicates,
// reorders or holds webhooks, and [Server.OnRequest] runs code at the moment
// between effect and answer.
//
// What it is not: a permission model of people, reviews, GraphQL, or anything
// that NixFleet never asks for. An endpoint that is missing answers 404 and is
// reported as a violation in tests; it never pretends.
package forgetest
