package api_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nixfleet/nixfleet/api"
	"github.com/nixfleet/nixfleet/fleet"
)

// printed is the output of the product's one order.
var printed = []fleet.OutputChunk{
	{From: 0, To: 4, Step: "building", At: time.Unix(1e9, 0).UTC(), Text: "one\n"},
	{From: 4, To: 9, Step: "building", At: time.Unix(1e9, 0).UTC(), Text: "two\n\ndata: x\n"},
}

func (s *service) OrderLog(_ context.Context, order string, from int64) (fleet.Output, error) {
	if order != "o1" {
		return fleet.Output{}, api.ErrUnknown
	}
	out := fleet.Output{Order: order, Host: "web1", Next: from}
	for _, c := range printed {
		if c.From >= from {
			out.Chunks, out.Next = append(out.Chunks, c), c.To
		}
	}
	out.Whole = true
	return out, nil
}

func (s *service) HostLog(ctx context.Context, host string) (fleet.Output, error) {
	if host != "web1" {
		return fleet.Output{}, api.ErrUnknown
	}
	return s.OrderLog(ctx, "o1", 0)
}

// FollowLog breaks after each chunk, as long as breaks says so.
func (s *service) FollowLog(ctx context.Context, order string, from int64, show func(fleet.Output) error) error {
	out, err := s.OrderLog(ctx, order, from)
	if err != nil {
		return err
	}
	s.followed = append(s.followed, from)
	if err := show(fleet.Output{}); err != nil {
		return err
	}
	if s.breaks > 0 {
		s.breaks--
		out.Chunks = out.Chunks[:1]
		if err := show(out); err != nil {
			return err
		}
		return errors.New("the database is away")
	}
	return show(out)
}

func TestLogIsRead(t *testing.T) {
	t.Parallel()
	_, url := serve(t)
	c := &api.Client{Server: url, Token: "see"}
	want := api.Log{Order: "o1", Host: "web1", Chunks: printed, Next: 9, Whole: true}
	got, err := c.HostLog(t.Context(), "web1")
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v\n%s", err, diff)
	}
	want.Chunks = printed[1:]
	if got, err = c.Log(t.Context(), "o1", 4); err != nil || cmp.Diff(want, got) != "" {
		t.Errorf("%v\n%s", err, cmp.Diff(want, got))
	}
	want.Chunks = []fleet.OutputChunk{}
	if got, err = c.Log(t.Context(), "o1", 9); err != nil || cmp.Diff(want, got) != "" {
		t.Errorf("%v\n%s", err, cmp.Diff(want, got))
	}
	for what, err := range map[string]error{
		"There is no order o2":    second(c.Log(t.Context(), "o2", 0)),
		"a host named web2":       second(c.HostLog(t.Context(), "web2")),
		"422":                     second(c.Log(t.Context(), "o1", -1)),
		"The token is not known":  second((&api.Client{Server: url, Token: "no"}).Log(t.Context(), "o1", 0)),
		"There is no order gone":  second(c.FollowLog(t.Context(), "gone", 0, nil)),
		"token is not known, or ": second((&api.Client{Server: url, Token: "no"}).FollowLog(t.Context(), "o1", 0, nil)),
	} {
		if err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("want %q, got %v", what, err)
		}
	}
}

func second[T any](_ T, err error) error { return err }

func TestLogIsFollowedOverALineThatBreaks(t *testing.T) {
	t.Parallel()
	s, url := serve(t)
	s.breaks = 1
	c := &api.Client{Server: url, Token: "see"}
	var got []fleet.OutputChunk
	whole, err := c.FollowLog(t.Context(), "o1", 0, func(chunk fleet.OutputChunk) error {
		got = append(got, chunk)
		return nil
	})
	if err != nil || !whole {
		t.Fatal(whole, err)
	}
	if diff := cmp.Diff(printed, got); diff != "" {
		t.Errorf("shown:\n%s", diff)
	}
	if diff := cmp.Diff([]int64{0, 4}, s.followed); diff != "" {
		t.Errorf("followed from:\n%s", diff)
	}
	full := errors.New("the disk is full")
	if _, err := c.FollowLog(t.Context(), "o1", 0, func(fleet.OutputChunk) error { return full }); !errors.Is(err, full) {
		t.Errorf("an error of who is shown: %v", err)
	}
}

func TestStreamOfALogIsPlainEvents(t *testing.T) {
	t.Parallel()
	_, url := serve(t)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url+"/api/v1/orders/o1/log/stream?from=4", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer see")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	want := ": the line is up\n\nevent: chunk\nid: 9\ndata: " +
		`{"from":4,"to":9,"step":"building","at":"2001-09-09T01:46:40Z","text":"two\n\ndata: x\n"}` +
		"\n\nevent: end\ndata: {\"whole\":true}\n\n"
	if string(body) != want || !strings.HasPrefix(resp.Header.Get("Content-Type"), "text/event-stream") {
		t.Errorf("%s:\n%s", resp.Header.Get("Content-Type"), body)
	}
}
