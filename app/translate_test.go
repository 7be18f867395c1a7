package app

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nixfleet/nixfleet/agentbus"
	"github.com/nixfleet/nixfleet/fleet"
)

// fill sets every field of a struct to something that is not zero.
func fill(v reflect.Value) {
	if at, ok := v.Addr().Interface().(*time.Time); ok {
		*at = time.Unix(7, 0)
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			fill(v.Field(i))
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem())
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(v.Index(0))
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(reflect.ValueOf("fetch"), reflect.ValueOf("failed"))
	case reflect.String:
		v.SetString("text")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int64:
		v.SetInt(7)
	case reflect.Uint8, reflect.Uint32, reflect.Uint64:
		v.SetUint(7)
	case reflect.Float64:
		v.SetFloat(7)
	}
}

// A field that one side gains and the translation forgets would be lost without a
// sound, so nothing that is set on the wire may be zero in the domain.
func TestNothingThatAHostSaysIsLost(t *testing.T) {
	t.Parallel()
	var beat agentbus.Heartbeat
	fill(reflect.ValueOf(&beat).Elem())
	got := reflect.ValueOf(beatFacts(beat, time.Unix(1000, 0)))
	filledLater := map[string]bool{"StepSince": true} // the server's own clock, kept by the database
	for i := range got.NumField() {
		name := got.Type().Field(i).Name
		if got.Field(i).IsZero() && !filledLater[name] {
			t.Errorf("HostFacts.%s is empty though the host said it", name)
		}
	}
	var fault agentbus.StepError
	fill(reflect.ValueOf(&fault).Elem())
	told := reflect.ValueOf(*hostError(&fault))
	for i := range told.NumField() {
		if told.Field(i).IsZero() {
			t.Errorf("HostError.%s is empty though the host said it", told.Type().Field(i).Name)
		}
	}
}

func TestNothingOfAnOrderIsLost(t *testing.T) {
	t.Parallel()
	var o fleet.Order
	var plan fleet.Plan
	fill(reflect.ValueOf(&o).Elem())
	fill(reflect.ValueOf(&plan).Elem())
	o.IssuedAt, o.ExpiresAt = time.Unix(1, 0), time.Unix(2, 0)
	c := wireContext{CloneURL: "https://github.com/o/r.git", Attr: "nixosConfigurations.x", Fleet: "f", Nonce: "n"}
	got := wireOrder(o, fleet.Repo{DefaultBranch: "main"}, c, plan)
	optional := map[string]bool{"Expected": true, "NoEval": true} // of what others evaluated, not of the order
	nothingEmpty(t, "Order", got, optional)
	nothingEmpty(t, "OrderPolicy", got.Policy, nil)
	if got.Policy.SwitchTimeout != 1 {
		t.Errorf("7 ns became %d s; a timeout must not be rounded down to none", got.Policy.SwitchTimeout)
	}
}

// An order of its own is carried out by the policy that it was issued with, one of a
// rollout by the rollout's plan alone.
func TestWhosePolicyAnOrderKeepsTo(t *testing.T) {
	t.Parallel()
	own := &fleet.DeployPolicy{}
	fill(reflect.ValueOf(own).Elem())
	own.Reboot = "when_needed"
	plan := fleet.Plan{Reboot: "window"}
	alone := wireOrder(fleet.Order{Detail: fleet.OrderDetail{Deploy: own}}, fleet.Repo{}, wireContext{}, plan)
	nothingEmpty(t, "OrderPolicy", alone.Policy, nil)
	if alone.Policy.Reboot != "when_needed" {
		t.Errorf("an order of its own keeps to %q", alone.Policy.Reboot)
	}
	part := wireOrder(fleet.Order{Rollout: "R", Detail: fleet.OrderDetail{Deploy: own}}, fleet.Repo{}, wireContext{}, plan)
	if part.Policy.Reboot != "window" || part.Policy.Settle != 0 {
		t.Errorf("an order of a rollout keeps to %+v", part.Policy)
	}
	bare := wireOrder(fleet.Order{}, fleet.Repo{}, wireContext{}, plan)
	if bare.Policy.Reboot != "" {
		t.Errorf("an order without a policy keeps to %+v", bare.Policy)
	}
}

func nothingEmpty(t *testing.T, what string, got any, optional map[string]bool) {
	t.Helper()
	v := reflect.ValueOf(got)
	for i := range v.NumField() {
		name := v.Type().Field(i).Name
		if v.Field(i).IsZero() && !optional[name] {
			t.Errorf("%s.%s is empty on the wire", what, name)
		}
	}
}

// Every step that an agent may answer with means something to a rollout.
func TestEveryStepIsAnEventOfTheDomain(t *testing.T) {
	t.Parallel()
	known := map[string]bool{}
	for _, e := range fleet.AllHostEvents() {
		known[string(e)] = true
	}
	for _, s := range []agentbus.Step{
		agentbus.StepReceived, agentbus.StepFetching, agentbus.StepBuilding, agentbus.StepSwitching, agentbus.StepVerifying,
		agentbus.StepHealthy, agentbus.StepFailed, agentbus.StepReverted, agentbus.StepRefused, agentbus.StepSuperseded, agentbus.StepCancelled,
		agentbus.StepDeferred,
	} {
		if !known[string(s)] {
			t.Errorf("the step %s is no event of a host", s)
		}
	}
}

func TestNothingOfAChangeIsLostAndAllOfItIsPlain(t *testing.T) {
	t.Parallel()
	var a agentbus.Answer
	fill(reflect.ValueOf(&a).Elem())
	row, err := answerRow(agentbus.Received{Host: "web1", Answer: a}, time.Unix(9, 0))
	must(t, err)
	system := fleet.System{Path: "text", Commit: "text"}
	change := fleet.Change{
		From: system, To: system, More: 7, SizeFrom: 7, SizeTo: 7,
		Packages: []fleet.PackageChange{{Name: "text", From: []string{"text"}, To: []string{"text"}, Bytes: 7}},
	}
	if diff := cmp.Diff(change, *row.Change); diff != "" {
		t.Errorf("change:\n%s", diff)
	}
	generations := []fleet.Generation{{Number: 7, System: system, At: time.Unix(7, 0).UTC(), Running: true, Booted: true}}
	if diff := cmp.Diff(generations, row.Generations); diff != "" {
		t.Errorf("generations:\n%s", diff)
	}

	hostile := agentbus.Change{To: "/nix/\x1b[2Jstore\n/x", More: -1, SizeTo: -1}
	for range 1000 {
		hostile.Packages = append(hostile.Packages, agentbus.PackageChange{Name: "a\u202eb", To: make([]string, 100)})
	}
	got := hostChange(&hostile)
	if got.To.Path != "/nix/store /x" || got.More != 500 || got.SizeTo != 0 || len(got.Packages) != 500 ||
		got.Packages[0].Name != "ab" || len(got.Packages[0].To) != 20 {
		t.Errorf("%d packages and %d more, to %+v, the first %+v", len(got.Packages), got.More, got.To, got.Packages[0])
	}
	list := hostGenerations(append(make([]agentbus.Generation, 500), agentbus.Generation{At: -1}))
	if len(list) != 200 || hostGenerations(nil) != nil || hostGenerations([]agentbus.Generation{{At: 1 << 62}})[0].At != (time.Time{}) {
		t.Errorf("%d generations", len(list))
	}
}

func TestFailuresAreBoundedAndPlain(t *testing.T) {
	t.Parallel()
	got := hostError(&agentbus.StepError{
		Code: strings.Repeat("c", 1<<10), Message: "\x1b[31mno\nroom\x1b[0m " + strings.Repeat("m", 1<<16), ExitCode: 7,
		LogTail: strings.Repeat("early ", 1<<14) + "\x1b]0;title\x07late\nlines\n",
	})
	if !strings.HasPrefix(got.Message, "no room mmm") || !strings.HasSuffix(got.LogTail, "late\nlines\n") || strings.Contains(got.LogTail, "title") || got.ExitCode != 7 {
		t.Errorf("message %.40q, tail %q", got.Message, got.LogTail[max(0, len(got.LogTail)-40):])
	}
	if n := len(got.Code) + len(got.Message) + len(got.LogTail); n > 11<<10 {
		t.Errorf("%d bytes are kept", n)
	}
}
