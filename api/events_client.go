package api

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
)

// Events follows what changes, until the line breaks or show fails. The kind "hello",
// without an event, comes first; after it nothing is missed while the line holds. Given
// the id of the last event that was read, it goes on there if it can, see [EventsHello].
func (c *Client) Events(ctx context.Context, after string, show func(kind string, e *Event) error) error {
	header := http.Header{}
	if after != "" {
		header.Set("Last-Event-ID", after)
	}
	resp, err := c.ask(ctx, http.MethodGet, "/api/v1/events", nil, header)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, maxEvent)
	kind := ""
	for lines.Scan() {
		field, text, _ := strings.Cut(lines.Text(), ": ")
		switch field {
		case "event":
			kind = text
		case "data":
			var e *Event
			if kind != "hello" {
				e = &Event{}
				if err := json.Unmarshal([]byte(text), e); err != nil {
					return err
				}
			}
			if err := show(kind, e); err != nil {
				return err
			}
		}
	}
	if err := lines.Err(); err != nil {
		return &UnreachableError{c.Server, err}
	}
	return &UnreachableError{c.Server, io.ErrUnexpectedEOF}
}
