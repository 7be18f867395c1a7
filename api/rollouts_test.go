package api_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/nixfleet/nixfleet/api"
	"github.com/nixfleet/nixfleet/fleet"
)

// The product has one rollout, 01R, which is paused, and one commit in quarantine.
var paused = fleet.Rollout{
	ID: "01R", Kind: fleet.RolloutDeploy, Commit: "abc", State: fleet.RolloutPaused, Headline: "Paused at 1/2 hosts.", Actor: "ada",
	Plan: fleet.Plan{Waves: []fleet.Wave{{Name: "canary", Hosts: []string{"web1"}, Soak: 90e9}, {Name: "rest", Hosts: []string{"web2"}}}, OnFailure: "halt"},
	Hosts: []fleet.HostProgress{
		{Host: "web1", State: fleet.HostHealthy, Switched: true, Before: fleet.System{Path: "/nix/store/old"}},
		{Host: "web2", Wave: 1, State: fleet.HostWaiting},
	},
	Revert: fleet.Revert{Number: 9, Found: "Pull request #9 takes abc back."},
}

func (s *service) Rollouts(_ context.Context, state, before string, limit int) ([]api.Rollout, error) {
	s.did = append(s.did, fmt.Sprintf("list %q before %q, %d", state, before, limit))
	return []api.Rollout{api.RolloutOf(paused, "octo/fleet", false)}, nil
}

func (*service) Rollout(_ context.Context, id string) (api.Rollout, error) {
	if id != "01R" && id != "latest" {
		return api.Rollout{}, api.ErrUnknown
	}
	return api.RolloutOf(paused, "octo/fleet", true), nil
}

func (s *service) StartRollout(ctx context.Context, by fleet.Actor, w api.NewRollout, key string) (api.Rollout, error) {
	switch {
	case w.Repo == "octo/other":
		return api.Rollout{}, api.ErrUnknown
	case w.Hosts == "tag:none":
		return api.Rollout{}, fmt.Errorf("%w: no host", api.ErrInvalid)
	case w.Commit == "bad" && !w.Force:
		return api.Rollout{}, api.Refused("bad is in quarantine")
	}
	s.did = append(s.did, fmt.Sprintf("start %+v %s by %s", w, key, by.Login))
	return s.Rollout(ctx, "01R")
}

func (s *service) SteerRollout(ctx context.Context, by fleet.Actor, id, verb, reason string) (api.Rollout, error) {
	if verb == "resume" {
		return api.Rollout{}, api.Refused("it is halted")
	}
	s.did = append(s.did, fmt.Sprintf("%s %s %s by %s", verb, id, reason, by.Login))
	return s.Rollout(ctx, id)
}

func (s *service) RetryRollout(ctx context.Context, by fleet.Actor, id, reason, key string) (api.Rollout, error) {
	s.did = append(s.did, fmt.Sprintf("retry %s %s %s by %s", id, reason, key, by.Login))
	return s.Rollout(ctx, id)
}

func (s *service) ExcludeHost(ctx context.Context, by fleet.Actor, id, host, reason string) (api.Rollout, error) {
	s.did = append(s.did, fmt.Sprintf("exclude %s %s %s by %s", id, host, reason, by.Login))
	return s.Rollout(ctx, id)
}

func (*service) Quarantine(context.Context) ([]api.Quarantined, error) {
	return []api.Quarantined{{Repo: "octo/fleet", Commit: "abc", Rollout: "01R", Reason: "1 host failed"}}, nil
}

func (s *service) LiftQuarantine(_ context.Context, by fleet.Actor, commit, reason string) (api.Quarantined, error) {
	if commit != "abcd" {
		return api.Quarantined{}, api.ErrUnknown
	}
	s.did = append(s.did, fmt.Sprintf("lift %s %s by %s", commit, reason, by.Login))
	return api.Quarantined{Commit: commit}, nil
}

func TestRolloutsAreShown(t *testing.T) {
	t.Parallel()
	s, url := serve(t)
	viewer := &api.Client{Server: url, Token: "see"}
	list, err := viewer.Rollouts(t.Context(), api.RolloutQuery{State: "paused", Limit: 5})
	if err != nil || len(list) != 1 || list[0].Hosts != nil || list[0].Done != 1 || list[0].Total != 2 {
		t.Errorf("the list: %+v, %v", list, err)
	}
	if want := []string{`list "paused" before "", 6`}; !cmp.Equal(s.did, want) {
		t.Errorf("asked for %q, want %q", s.did, want)
	}
	r, err := viewer.Rollout(t.Context(), "latest")
	want := api.RolloutOf(paused, "octo/fleet", true)
	if diff := cmp.Diff(want, r); diff != "" || err != nil {
		t.Errorf("%v, (-want +got)\n%s", err, diff)
	}
	if r.Waves[0].SoakS != 90 || r.Hosts[1].Wave != 2 || r.Hosts[0].Before.Path != "/nix/store/old" || r.Revert.Number != 9 {
		t.Errorf("it shows %+v", r)
	}
	if q, err := viewer.Quarantine(t.Context()); err != nil || len(q) != 1 || q[0].Reason != "1 host failed" {
		t.Errorf("quarantine: %+v, %v", q, err)
	}
	for _, err := range []error{
		errOf(viewer.Rollout(t.Context(), "01X")),
		errOf(viewer.Rollouts(t.Context(), api.RolloutQuery{State: "odd"})),
	} {
		if err == nil {
			t.Error("no error")
		}
	}
}

func errOf[T any](_ T, err error) error { return err }

func TestPeopleSteerRolloutsOverTheAPI(t *testing.T) {
	t.Parallel()
	s, url := serve(t)
	ctx, operator := t.Context(), &api.Client{Server: url, Token: "do"}
	for _, err := range []error{
		errOf(operator.StartRollout(ctx, api.NewRollout{Commit: "main", Hosts: "web1", Backward: true, Reason: "now"}, "K1")),
		errOf(operator.SteerRollout(ctx, "01R", "pause", "wait")),
		errOf(operator.SteerRollout(ctx, "01R", "rollback", "")),
		errOf(operator.SteerRollout(ctx, "latest", "abort", "")),
		errOf(operator.RetryRollout(ctx, "01R", "again", "K2")),
		errOf(operator.ExcludeHost(ctx, "01R", "web2", "no disk")),
		errOf(operator.LiftQuarantine(ctx, "abcd", "it was the disk")),
	} {
		if err != nil {
			t.Error(err)
		}
	}
	want := []string{
		"start {Repo: Commit:main Hosts:web1 AtOnce:false Backward:true Force:false Reason:now} K1 by do",
		"pause 01R wait by do", "rollback 01R  by do", "abort latest  by do", "retry 01R again K2 by do",
		"exclude 01R web2 no disk by do", "lift abcd it was the disk by do",
	}
	if diff := cmp.Diff(want, s.did); diff != "" {
		t.Errorf("done (-want +got):\n%s", diff)
	}
	viewer := &api.Client{Server: url, Token: "see"}
	for what, tt := range map[string]struct {
		err  error
		want string
	}{
		"a viewer starts":       {errOf(viewer.StartRollout(ctx, api.NewRollout{}, "")), "needs the role operator"},
		"a viewer aborts":       {errOf(viewer.SteerRollout(ctx, "01R", "abort", "")), "needs the role operator"},
		"a viewer lifts":        {errOf(viewer.LiftQuarantine(ctx, "abcd", "")), "needs the role operator"},
		"as things are":         {errOf(operator.SteerRollout(ctx, "01R", "resume", "")), "409 Conflict: it is halted"},
		"an unknown rollout":    {errOf(operator.SteerRollout(ctx, "01X", "abort", "")), "There is no rollout 01X."},
		"an unknown verb":       {errOf(operator.SteerRollout(ctx, "01R", "stir", "")), "404"},
		"an unknown repository": {errOf(operator.StartRollout(ctx, api.NewRollout{Repo: "octo/other"}, "")), "no watched repository"},
		"no host":               {errOf(operator.StartRollout(ctx, api.NewRollout{Hosts: "tag:none"}, "")), "422 Unprocessable Entity: invalid request: no host"},
		"quarantine":            {errOf(operator.StartRollout(ctx, api.NewRollout{Commit: "bad"}, "")), "bad is in quarantine"},
		"what is no commit":     {errOf(operator.LiftQuarantine(ctx, "main", "")), "path.commit"},
		"not in quarantine":     {errOf(operator.LiftQuarantine(ctx, "eeee", "")), "There is no commit eeee in quarantine."},
	} {
		if tt.err == nil || !strings.Contains(tt.err.Error(), tt.want) {
			t.Errorf("%s: got %v, want an error with %q", what, tt.err, tt.want)
		}
	}
}
