// Package handlers is the inward door of GitHub: the first step on the way from
// webhook to acknowledgement.
//
// In comes POST /api/github/hook. Every delivery is verified (SHA-256, one of two
// live secrets), stored in the inbox, and only then answered with 202; nothing is
// interpreted while GitHub waits. Later an [Interpreter] runs the stored payload
// through the handler of its event, and out go facts: hints that say which pull
// request, commit, branch or installation has to be looked at again. A payload is
// never taken for the truth about any of them.
//
// What may go wrong: the database is away or slow (503; GitHub lists the delivery
// as failed, and it can be asked for again), the request is not GitHub's (401),
// malformed (400, 415) or too large (413). Each refusal says what to do. A payload
// that no handler understands is stored all the same, and ends as an error of its
// own row, never as a panic.
package handlers
