package api_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nixfleet/nixfleet/api"
	"github.com/nixfleet/nixfleet/fleet"
)

// The product has updates 9 to 1 of octo/fleet, whose pull requests are 109 to 101.
func (*service) Updates(_ context.Context, q api.UpdateQuery, before int64, limit int) ([]api.Update, error) {
	if q.Repo != "" && q.Repo != "octo/fleet" {
		return nil, api.ErrUnknown
	}
	var list []api.Update
	for id := int64(9); id > 0 && len(list) < limit; id-- {
		if before == 0 || id < before {
			list = append(list, api.Update{ID: id, Repo: "octo/fleet", Number: int(100 + id), State: "holding"})
		}
	}
	return list, nil
}

func (*service) Update(_ context.Context, repo string, number int) (api.UpdateDetail, error) {
	if repo != "octo/fleet" || number != 101 {
		return api.UpdateDetail{}, api.ErrUnknown
	}
	return api.UpdateDetailOf(fleet.UpdateDetail{Update: fleet.Update{
		ID: 1, Repo: fleet.Repo{Owner: "octo", Name: "fleet"}, Number: 101, State: fleet.UpdateHolding,
		Verdict: fleet.Verdict{Headline: "Holds.", Conditions: []fleet.Condition{{ID: "open", Outcome: fleet.Passed}}},
		Hold:    &fleet.Hold{By: fleet.Actor{Login: "ada"}},
	}}), nil
}

func (s *service) ActOnUpdate(ctx context.Context, _ fleet.Actor, repo string, number int, act api.UpdateAct) error {
	if act.Head == strings.Repeat("b", 40) {
		return api.Refused("the head moved")
	}
	s.acted = append(s.acted, act)
	_, err := s.Update(ctx, repo, number)
	return err
}

func TestUpdatesArePressedOverTheAPI(t *testing.T) {
	t.Parallel()
	s, url := serve(t)
	c, head, until := &api.Client{Server: url, Token: "do"}, strings.Repeat("a", 40), time.Unix(1e9, 0).UTC()
	var errs []error
	note := func(u api.UpdateDetail, err error) {
		if u.Headline != "Holds." || u.Hold == nil || len(u.Conditions) != 1 {
			t.Errorf("answered %+v", u)
		}
		errs = append(errs, err)
	}
	note(c.Update(t.Context(), "octo/fleet", 101))
	note(c.MergeUpdate(t.Context(), "octo/fleet", 101, head, true))
	note(c.MergeUpdate(t.Context(), "octo/fleet", 101, head, false))
	note(c.HoldUpdate(t.Context(), "octo/fleet", 101, until))
	note(c.HoldUpdate(t.Context(), "octo/fleet", 101, time.Time{}))
	note(c.ReleaseUpdate(t.Context(), "octo/fleet", 101))
	note(c.LookAtUpdate(t.Context(), "octo/fleet", 101))
	if err := errors.Join(errs...); err != nil {
		t.Error(err)
	}
	want := []api.UpdateAct{
		{Verb: "merge", Head: head, Deploy: true}, {Verb: "merge", Head: head},
		{Verb: "hold", Until: until}, {Verb: "hold"}, {Verb: "release"}, {Verb: "look"},
	}
	if diff := cmp.Diff(want, s.acted); diff != "" {
		t.Error(diff)
	}
	viewer := &api.Client{Server: url, Token: "see"}
	for name, tt := range map[string]struct {
		err  error
		want string
	}{
		"a viewer":     {second(viewer.ReleaseUpdate(t.Context(), "octo/fleet", 101)), "403"},
		"a moved head": {second(c.MergeUpdate(t.Context(), "octo/fleet", 101, strings.Repeat("b", 40), true)), "the head moved"},
		"no head":      {second(c.MergeUpdate(t.Context(), "octo/fleet", 101, "", true)), "head: expected string to match pattern"},
		"unknown":      {second(c.HoldUpdate(t.Context(), "octo/fleet", 7, time.Time{})), "404"},
		"unwatched":    {second(c.Updates(t.Context(), "", "octo/other", 0)), "is not watched"},
	} {
		if tt.err == nil || !strings.Contains(tt.err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", name, tt.err, tt.want)
		}
	}
}

// Whatever the size of its pages, a list is the same.
func TestAListIsReadPageByPage(t *testing.T) {
	t.Parallel()
	s, url := serve(t)
	for _, name := range []string{"e", "b", "d", "a", "c"} {
		s.hostList = append(s.hostList, fleet.HostView{Host: fleet.Host{Name: name}})
	}
	follow := func(token, first, field string) (ids []string) {
		for at := first; at != ""; {
			resp, text := send(t, "GET", url+at, token, "", "")
			if resp.StatusCode != 200 {
				t.Fatalf("%s: %d %s", at, resp.StatusCode, text)
			}
			for _, part := range strings.Split(text, `"`+field+`":`)[1:] {
				ids = append(ids, strings.Trim(part[:strings.IndexAny(part, ",}")], `"`))
			}
			link, rel, _ := strings.Cut(resp.Header.Get("Link"), ">; ")
			if at = strings.TrimPrefix(link, "<"); at != "" && rel != `rel="next"` {
				t.Errorf("Link: %s>; %s", link, rel)
			}
		}
		return ids
	}
	for _, limit := range []string{"1", "2", "4", "5", "1000"} {
		if got := follow("see", "/api/v1/hosts?limit="+limit+"&q=", "name"); !slices.Equal(got, []string{"a", "b", "c", "d", "e"}) {
			t.Errorf("hosts, %s a page: %q", limit, got)
		}
		if got := follow("see", "/api/v1/updates?limit="+limit, "number"); !slices.Equal(got, []string{"109", "108", "107", "106", "105", "104", "103", "102", "101"}) {
			t.Errorf("updates, %s a page: %q", limit, got)
		}
	}
	if list, err := (&api.Client{Server: url, Token: "see"}).Updates(t.Context(), "", "", 4); err != nil || len(list) != 4 {
		t.Errorf("four updates: %d, %v", len(list), err)
	}
	for _, query := range []string{"cursor=x", "cursor=MjpX", "limit=0", "limit=1001", "state=loud"} {
		if resp, text := send(t, "GET", url+"/api/v1/updates?"+query, "see", "", ""); resp.StatusCode != 422 || !strings.Contains(text, `"location":"query.`) {
			t.Errorf("%s: %d %s", query, resp.StatusCode, text)
		}
	}
}

func TestHostsAreFilteredByTheWordsOfTheFleetPage(t *testing.T) {
	t.Parallel()
	s, url := serve(t)
	light := func(l fleet.Light) []fleet.Compartment { return []fleet.Compartment{{ID: "git", Light: l}} }
	s.hostList = []fleet.HostView{
		{Host: fleet.Host{Name: "mac", Attr: "darwinConfigurations.mac", Tags: []string{"desk"}}, Online: true, Compartments: light(fleet.LightOK)},
		{Host: fleet.Host{Name: "web1", Attr: "nixosConfigurations.web1", Tags: []string{"web", "canary"}}, Compartments: light(fleet.LightError)},
		{Host: fleet.Host{Name: "web2", Attr: "nixosConfigurations.web2", Tags: []string{"web"}, Facts: fleet.HostFacts{Working: true}}, Online: true, Compartments: light(fleet.LightWorking)},
	}
	c := &api.Client{Server: url, Token: "see"}
	for want, f := range map[string]fleet.HostFilter{
		"mac web1 web2": {},
		"mac":           {OS: "darwin"},
		"mac ":          {Query: "macos desk", State: "ok"},
		"web1 web2":     {Query: "WEB"},
		"web1":          {Tags: []string{"web", "canary"}},
		"web2":          {State: "working"},
		"mac web2":      {State: "online"},
		"web1 ":         {State: "offline"},
		"web1  ":        {State: "attention"},
		"":              {Query: "web", OS: "home"},
	} {
		list, err := c.Hosts(t.Context(), f)
		var names []string
		for _, h := range list {
			names = append(names, h.Name)
		}
		if got := strings.Join(names, " "); err != nil || got != strings.TrimSpace(want) {
			t.Errorf("%+v: %q, %v; want %q", f, got, err, want)
		}
	}
}
