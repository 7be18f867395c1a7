package api

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/nixfleet/nixfleet/fleet"
)

// Log reads a part of what an order printed.
func (c *Client) Log(ctx context.Context, order string, from int64) (Log, error) {
	var out Log
	err := c.call(ctx, http.MethodGet, fmt.Sprintf("%s?from=%d", logPath(order), from), nil, &out)
	return out, err
}

// HostLog reads the start of what the newest order of a host printed.
func (c *Client) HostLog(ctx context.Context, host string) (Log, error) {
	var out Log
	err := c.call(ctx, http.MethodGet, "/api/v1/hosts/"+url.PathEscape(host)+"/log", nil, &out)
	return out, err
}

// FollowLog shows what an order prints from a byte on, until no more comes; whole
// says whether that was all. A line that breaks is taken up again where it broke.
func (c *Client) FollowLog(ctx context.Context, order string, from int64, show func(fleet.OutputChunk) error) (whole bool, err error) {
	for pause := time.Duration(0); ; pause = min(max(2*pause, time.Second/2), 10*time.Second) {
		before := from
		end, err := c.followOnce(ctx, order, from, func(chunk fleet.OutputChunk) error {
			if err := show(chunk); err != nil {
				return &showError{err}
			}
			from = chunk.To
			return nil
		})
		var shown *showError
		var answer *Problem
		switch {
		case ctx.Err() != nil:
			return false, ctx.Err()
		case end != nil:
			return end.Whole, nil
		case errors.As(err, &shown):
			return false, shown.error
		case errors.As(err, &answer) && answer.Code < http.StatusInternalServerError:
			return false, err
		}
		if from != before {
			pause = 0 // it did well until it broke
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
		case <-timer.C:
		}
		timer.Stop()
	}
}

// showError tells what went wrong here from what went wrong on the line.
type showError struct{ error }

func logPath(order string) string { return "/api/v1/orders/" + url.PathEscape(order) + "/log" }

// maxEvent bounds one line of a stream.
const maxEvent = 1 << 20

// followOnce reads one stream; end is nil where it broke.
func (c *Client) followOnce(ctx context.Context, order string, from int64, show func(fleet.OutputChunk) error) (end *LogEnd, err error) {
	resp, err := c.ask(ctx, http.MethodGet, logPath(order)+"/stream", nil, http.Header{"Last-Event-Id": {strconv.FormatInt(from, 10)}})
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, maxEvent)
	event := ""
	for lines.Scan() {
		field, text, _ := strings.Cut(lines.Text(), ": ")
		switch {
		case field == "event":
			event = text
		case field == "data" && event == "chunk":
			var chunk fleet.OutputChunk
			if err := json.Unmarshal([]byte(text), &chunk); err != nil {
				return nil, err
			}
			if err := show(chunk); err != nil {
				return nil, err
			}
		case field == "data" && event == "end":
			end = &LogEnd{}
			return end, json.Unmarshal([]byte(text), end)
		}
	}
	return nil, errors.Join(lines.Err(), io.ErrUnexpectedEOF)
}
