// Package api is the JSON door for programs: operators' scripts, the command
// line, and later everything else that is not a browser.
//
// On the way from webhook to acknowledgement it is a side entrance: what comes in
// is a request with a bearer token, what goes out is the same read model that the
// dashboard shows, or a wish handed to app. The routes are described once, as Go
// types; the OpenAPI page at /api/v1/docs comes from them.
//
// What may go wrong is answered as problem+json (RFC 9457) with a sentence that
// says what was found and what to do.
package api
