package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"strings"
	"syscall"

	"github.com/nixfleet/nixfleet/api"
	"github.com/nixfleet/nixfleet/app"
)

// Exit codes. Scripts go by them: exitCodes tells people.
const (
	exitFailed      = 1
	exitUsage       = 2
	exitServer      = 3
	exitRefused     = 4
	exitInterrupted = 130
)

// exitCodes are what the help, the manual and the reference say of them.
var exitCodes = [][2]string{
	{"0", "It is done, or it is as it should be."},
	{"1", "It was tried and failed: a rollout or an order did not end well, a check found a fault, a file is not what it should be."},
	{"2", "It was not tried: the command line is wrong, or NIXFLEET_TOKEN is missing."},
	{"3", "The server is not reachable, or failed itself. Repeating it later may help."},
	{"4", "The server refused: unknown token, too low a role, nothing of this name, or something in the way. Repeating it does not help."},
	{"130", "Interrupted."},
}

// usageError is a fault of whoever typed the command.
type usageError struct{ error }

func (u usageError) Unwrap() error { return u.error }

// usagef is an error that ends the program with the exit code for wrong usage.
func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// exitCode is what a command's error means to a script.
func exitCode(ctx context.Context, err error) int {
	var usage usageError
	var unreachable *api.UnreachableError
	var problem *api.Problem
	switch {
	case err == nil:
		return 0
	case ctx.Err() != nil && errors.Is(err, context.Canceled):
		return exitInterrupted
	case errors.As(err, &usage), errors.Is(err, api.ErrNoServer), errors.Is(err, api.ErrNoToken):
		return exitUsage
	case errors.As(err, &unreachable):
		return exitServer
	case errors.As(err, &problem) && problem.Code >= http.StatusInternalServerError:
		return exitServer
	case problem != nil:
		return exitRefused
	}
	return exitFailed
}

// complain prints an error, and what to do about it where that is known. A terminal
// gets lines that fit; for a log each is left whole.
func complain(w io.Writer, err error) {
	columns, _ := screenSize(w)
	if columns == 0 {
		columns = math.MaxInt
	}
	var b strings.Builder
	before := "nixfleet: "
	for line := range strings.Lines(err.Error()) {
		wrap(&b, before, clean(line), columns)
		before = strings.Repeat(" ", len(before))
	}
	for _, hint := range hints(err) {
		wrap(&b, "  → ", hint, columns)
	}
	_, _ = io.WriteString(w, b.String())
}

// hints are what to do about an error.
func hints(err error) []string {
	var problem *api.Problem
	var unreachable *api.UnreachableError
	switch {
	case errors.As(err, &unreachable) && errors.Is(err, syscall.ECONNREFUSED):
		return []string{"Nothing listens there. Is the server running? NIXFLEET_SERVER, or --server, says where it is."}
	case errors.As(err, &unreachable):
		return []string{"NIXFLEET_SERVER, or --server, says where the server is."}
	case !errors.As(err, &problem):
		return nil
	case problem.Version == "":
		return []string{"This may not be a NixFleet server, or it has no GitHub App yet: see `nixfleet setup`. NIXFLEET_SERVER, or --server, says where to ask."}
	}
	var list []string
	switch problem.Code {
	case http.StatusUnauthorized:
		list = append(list, "NIXFLEET_TOKEN, or --token, is what was sent. An admin makes tokens with `nixfleet tokens create`.")
	case http.StatusForbidden:
		list = append(list, "Ask an admin for a token with that role.")
	case http.StatusTooManyRequests:
		list = append(list, fmt.Sprintf("Try again in %s.", problem.RetryAfter))
	}
	if problem.Version != app.Version && (problem.Code == http.StatusNotFound || problem.Code == http.StatusMethodNotAllowed || problem.Code == http.StatusUnprocessableEntity) {
		list = append(list, fmt.Sprintf("The server is version %s, this program is %s: it may ask for what the server does not know. Use the same version.", clean(problem.Version), app.Version))
	}
	return list
}
