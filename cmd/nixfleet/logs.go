package main

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/nixfleet/nixfleet/api"
	"github.com/nixfleet/nixfleet/fleet"
)

type logsCmd struct {
	serverFlags
	Host   string `arg:"" predictor:"host" help:"Name of the host."`
	Order  string `help:"Id of the order. Default: the host's newest that is under way or printed something." placeholder:"ID"`
	Follow bool   `short:"f" help:"Go on while the order prints."`
}

// Run prints what an order printed, and what it changes. As JSON it is a line for
// each piece, and one at the end with all but the pieces.
func (c *logsCmd) Run(e *env) error {
	log, err := c.first(e)
	if err != nil {
		return err
	}
	show := func(chunk fleet.OutputChunk) error {
		if c.JSON {
			return json.NewEncoder(e.out).Encode(chunk)
		}
		_, err := io.WriteString(e.out, chunk.Text)
		return err
	}
	for {
		for _, chunk := range log.Chunks {
			if err := show(chunk); err != nil {
				return err
			}
		}
		if log.Whole || len(log.Chunks) == 0 {
			break
		}
		if log, err = c.client().Log(e.ctx, log.Order, log.Next); err != nil {
			return err
		}
	}
	if c.Follow && !log.Whole {
		if log, err = c.follow(e, log, show); err != nil {
			return err
		}
	}
	log.Chunks = []fleet.OutputChunk{}
	if c.JSON {
		return json.NewEncoder(e.out).Encode(log)
	}
	return tellEnd(e.out, log)
}

// first reads the start of the output that was asked for.
func (c *logsCmd) first(e *env) (api.Log, error) {
	if c.Order == "" {
		return c.client().HostLog(e.ctx, c.Host)
	}
	log, err := c.client().Log(e.ctx, c.Order, 0)
	if err == nil && log.Host != c.Host {
		err = usagef("order %s is one of %s, not of %s", log.Order, log.Host, c.Host)
	}
	return log, err
}

// follow shows the rest as it comes, and returns how it stands then.
func (c *logsCmd) follow(e *env, log api.Log, show func(fleet.OutputChunk) error) (api.Log, error) {
	next := log.Next
	whole, err := c.client().FollowLog(e.ctx, log.Order, next, func(chunk fleet.OutputChunk) error {
		next = chunk.To
		return show(chunk)
	})
	if err != nil {
		return log, err
	}
	if log, err = c.client().Log(e.ctx, log.Order, next); err == nil {
		log.Whole = whole
	}
	return log, err
}

func tellEnd(out io.Writer, log api.Log) error {
	text := ""
	if log.Change != nil {
		for _, line := range log.Change.Lines() {
			text += "  " + line + "\n"
		}
	}
	if text != "" {
		text = "\nWhat order " + log.Order + " changes:\n" + text
	}
	switch {
	case log.Whole:
	case log.Ended.IsZero():
		text += fmt.Sprintf("\nOrder %s is under way; with --follow you see it go on.\n", log.Order)
	default:
		text += fmt.Sprintf("\n%s has not sent the rest of what it printed.\n", log.Host)
	}
	_, err := io.WriteString(out, text)
	return err
}
