package fleet

import (
	"strings"
	"testing"
)

// Whatever the state: a verb is done already, leads along the table, is a rollout of its
// own, or says why not.
func TestEveryVerbHasAnAnswerInEveryState(t *testing.T) {
	t.Parallel()
	for _, state := range AllRolloutStates() {
		for _, v := range append(Verbs(), "dance") {
			for _, kind := range []RolloutKind{RolloutDeploy, RolloutBackward, RolloutRestore} {
				s := Steer(Rollout{State: state, Kind: kind}, v, Around{})
				answers := 0
				for _, is := range []bool{s.Already, s.To != "", s.Restore, s.Why != ""} {
					if is {
						answers++
					}
				}
				if answers != 1 || s.To != "" && !LegalRollout(state, s.To) {
					t.Errorf("%s of a %s that is %s: %+v", v, kind, state, s)
				}
			}
		}
	}
}

func TestWhatCantBeDoneSaysWhyAndWhatHelps(t *testing.T) {
	t.Parallel()
	ran := timeline(RolloutSucceeded, "hhhhhh")
	for i := range ran.Hosts {
		ran.Hosts[i].Before, ran.Hosts[i].Switched = System{Path: "/nix/store/old"}, true
	}
	all := map[string]Host{}
	for _, p := range ran.Hosts {
		all[p.Host] = Host{Name: p.Host}
	}
	if s := Steer(ran, VerbRollback, Around{Hosts: all}); !s.Restore {
		t.Errorf("an ended rollout whose hosts switched: %+v", s)
	}
	for what, tt := range map[string]struct {
		r    Rollout
		v    Verb
		near Around
		want string
	}{
		"ended":            {ran, VerbPause, Around{}, "The rollout is succeeded, so it can't be paused."},
		"halted":           {timeline(RolloutHalted, "hf"), VerbResume, Around{}, "retry it once they are repaired"},
		"planned":          {Rollout{State: RolloutPlanned}, VerbRollback, Around{}, "No host has begun; abort it"},
		"restores":         {Rollout{State: RolloutRunning, Kind: RolloutRestore}, VerbRollback, Around{}, "To stop it, abort it."},
		"restored":         {Rollout{State: RolloutSucceeded, Kind: RolloutRestore}, VerbRollback, Around{}, "brought hosts back itself"},
		"overtaken":        {ran, VerbRollback, Around{Hosts: all, Overtook: "01NEXT"}, "The rollout 01NEXT of another commit has begun since."},
		"nobody goes back": {ran, VerbRollback, Around{}, "No host has to go back"},
	} {
		if s := Steer(tt.r, tt.v, tt.near); !strings.Contains(s.Why, tt.want) {
			t.Errorf("%s: %+v, want %q", what, s, tt.want)
		}
	}
}

func TestARetryIsOfWhatDidNotGetThere(t *testing.T) {
	t.Parallel()
	halted := timeline(RolloutHalted, "hfwwox")
	for what, tt := range map[string]struct {
		r     Rollout
		near  Around
		only  []string
		hosts string
		why   string
	}{
		"all":       {halted, Around{}, nil, "web1 web2 web3", ""},
		"one":       {halted, Around{}, []string{"web1"}, "web1", ""},
		"what runs": {halted, Around{}, []string{"web0"}, "", "web0 can't be tried again"},
		"running":   {timeline(RolloutRunning, "hfwwww"), Around{}, nil, "", "once it has halted or ended"},
		"all done":  {timeline(RolloutSucceeded, "hhhhhh"), Around{}, nil, "", "There is nothing to try again"},
		"overtaken": {halted, Around{Overtook: "01NEXT"}, nil, "", "01NEXT of another commit has begun since"},
		"a restore": {Rollout{State: RolloutFailed, Kind: RolloutRestore, Restores: "01OLD"}, Around{}, nil, "", "roll back 01OLD once more"},
	} {
		hosts, why := Retry(tt.r, tt.near, tt.only...)
		if strings.Join(hosts, " ") != tt.hosts || !strings.Contains(why, tt.why) || (why == "") != (tt.why == "") {
			t.Errorf("%s: %v, %q", what, hosts, why)
		}
	}
}
