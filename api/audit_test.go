package api_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/nixfleet/nixfleet/api"
	"github.com/nixfleet/nixfleet/fleet"
)

func (s *service) Acts(_ context.Context, q fleet.ActQuery) ([]fleet.Act, error) {
	s.did = append(s.did, fmt.Sprintf("%+v", q))
	act := fleet.Act{
		ID: 9, At: time.Unix(1e9, 0), Actor: "ada", Way: fleet.WayPage, Kind: "update.merged", Subject: "update/12", Repo: "octo/fleet", Number: 42,
		Reason: "all conditions hold", Detail: map[string]any{"head_sha": "abc"},
	}
	if q.Text == "" {
		return []fleet.Act{act}, nil
	}
	return []fleet.Act{act, {ID: 8}}[:min(2, q.Limit)], nil
}

func TestTheHistoryIsReadInPages(t *testing.T) {
	t.Parallel()
	s := &service{}
	mux := http.NewServeMux()
	api.Mount(mux, "test", "build", s)
	server := httptest.NewServer(mux)
	defer server.Close()
	c := api.Client{Server: server.URL, Token: "see"}
	at := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	got, err := c.Audit(t.Context(), api.AuditQuery{
		Who: "a&b", Host: "web1", About: "updates", Kind: "update.merged", Repo: "octo/fleet", Update: 42, Rollout: "R", Text: "100 %",
		From: at, To: at.Add(time.Hour), Page: api.Page{Cursor: "MTo5OQ", Limit: 1}, // of 99
	})
	if err != nil {
		t.Fatal(err)
	}
	want := api.Audit{Next: "MTo5", Lines: []api.AuditLine{{
		ID: 9, At: time.Unix(1e9, 0).UTC(), Who: "ada", Way: "page", Kind: "update.merged", Says: "ada merged #42 of octo/fleet", Reason: "all conditions hold",
		Subject: "update/12", Repo: "octo/fleet", Number: 42, Detail: map[string]any{"head_sha": "abc"},
	}}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	asked := fmt.Sprintf("%+v", fleet.ActQuery{
		Actor: "a&b", Host: "web1", Repo: "octo/fleet", Number: 42, Rollout: "R", Group: fleet.ActUpdates, Kind: "update.merged", Text: "100 %",
		From: at, To: at.Add(time.Hour), Before: 99, Limit: 2,
	})
	if diff := cmp.Diff([]string{asked}, s.did); diff != "" {
		t.Errorf("asked for (-want +got):\n%s", diff)
	}
	if got, err := c.Audit(t.Context(), api.AuditQuery{}); err != nil || got.Next != "" {
		t.Errorf("a page that is not full names a next one: %+v, %v", got, err)
	}
	if _, err := c.Audit(t.Context(), api.AuditQuery{About: "everything"}); err == nil {
		t.Error("a group that there is not is accepted")
	}
}
