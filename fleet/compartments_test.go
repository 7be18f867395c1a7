package fleet

import (
	order "cmp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// goodFacts are those of a host on which all is well.
func goodFacts() CompartmentFacts {
	return CompartmentFacts{
		Host: Host{
			Name: "hsb0", Attr: "nixosConfigurations.hsb0", LastSeen: noon,
			Facts: HostFacts{
				At: noon, AgentVersion: "2.1.0",
				CheckoutCommit: headSHA, RemoteCommit: headSHA, RunningCommit: headSHA, ExpectedCommit: headSHA,
				RunningPath: "/nix/store/aaa-nixos", ExpectedPath: "/nix/store/aaa-nixos",
				Lock: &LockFacts{SHA256: "ab", Inputs: []LockInputFact{
					{Name: "home-manager", LastModified: noon.Add(-40 * 24 * time.Hour)},
					{Name: "nixpkgs", LastModified: noon.Add(-3 * 24 * time.Hour)},
				}},
			},
		},
		Branch: "main", RepoHead: headSHA, ExpectedAgent: "2.1.0",
	}
}

type lightCase struct {
	bend    func(*CompartmentFacts)
	light   Light
	label   string
	tooltip string // contained in its lines, joined by " | "
}

func runLights(t *testing.T, index int, cases map[string]lightCase) {
	t.Helper()
	for name, c := range cases {
		in := goodFacts()
		if c.bend != nil {
			c.bend(&in)
		}
		got := Compartments(in, noon)[index]
		if text := strings.Join(got.Tooltip, " | "); got.Light != c.light || got.Label != c.label || !strings.Contains(text, c.tooltip) {
			t.Errorf("%s: %s %q: %s\n\texpected %s %q: %s", name, got.Light, got.Label, text, c.light, c.label, c.tooltip)
		}
	}
}

func onFacts(change func(*HostFacts)) func(*CompartmentFacts) {
	return func(in *CompartmentFacts) { change(&in.Host.Facts) }
}

func silent(in *CompartmentFacts) { in.Host.Facts = HostFacts{} }

func TestGitCompartment(t *testing.T) {
	t.Parallel()
	runLights(t, 0, map[string]lightCase{
		"up to date":        {nil, LightOK, "Up to date", "Local repo matches `origin/main`"},
		"no report":         {silent, LightUnknown, "No report yet", "No report yet from this host."},
		"behind":            {onFacts(func(f *HostFacts) { f.CheckoutCommit, f.Behind = oldRev, 3 }), LightStale, "3 behind", "Local repo is behind (need to `git pull`) | Behind by 3 commits. | Checkout 1111111, origin/main aaaaaaa"},
		"behind by more":    {onFacts(func(f *HostFacts) { f.CheckoutCommit, f.RemoteCommit, f.Behind = oldRev, newRev, 1 }), LightStale, "1+ behind", "Behind by more than 1 commit; the host has not fetched the newest."},
		"not fetched":       {onFacts(func(f *HostFacts) { f.CheckoutCommit, f.RemoteCommit = oldRev, oldRev }), LightStale, "Behind", "can't say by how much"},
		"diverged":          {onFacts(func(f *HostFacts) { f.CheckoutCommit, f.Ahead, f.Behind = oldRev, 1, 2 }), LightStale, "Diverged", "1 ahead, 2 behind"},
		"fetch failed":      {onFacts(func(f *HostFacts) { f.Errors = map[string]string{"fetch": "no route\nto host"} }), LightError, "Fetch failed", "The last fetch failed: no route to host"},
		"no checkout":       {onFacts(func(f *HostFacts) { f.CheckoutCommit = "" }), LightUnknown, "No checkout yet", "first pull or deploy"},
		"head not read":     {func(in *CompartmentFacts) { in.RepoHead = "" }, LightUnknown, "GitHub not read", "has not read the head of `origin/main`"},
		"fetching":          {onFacts(func(f *HostFacts) { f.Working, f.Step = true, "fetching" }), LightWorking, "Pulling…", "Pulling…"},
		"fetched some time": {onFacts(func(f *HostFacts) { f.Working, f.Step = false, "fetching" }), LightOK, "Up to date", ""},
	})
}

func TestLockCompartment(t *testing.T) {
	t.Parallel()
	aged := func(d time.Duration) func(*CompartmentFacts) {
		return func(in *CompartmentFacts) {
			in.Host.Facts.Lock = &LockFacts{Inputs: []LockInputFact{{Name: "nixpkgs", LastModified: noon.Add(-d)}}}
		}
	}
	const d = 24 * time.Hour
	runLights(t, 1, map[string]lightCase{
		"three days, by the newest input": {nil, LightOK, "3 days", "Updated within the last 7 days | ─ | home-manager: 40 days | nixpkgs: 3 days"},
		"no report":                       {silent, LightUnknown, "No report yet", "No report yet"},
		"no lock reported":                {onFacts(func(f *HostFacts) { f.Lock = nil }), LightUnknown, "Not reported", "Host has not reported its flake.lock."},
		"no dates":                        {onFacts(func(f *HostFacts) { f.Lock = &LockFacts{} }), LightUnknown, "Age not known", "None of the root inputs"},
		"just now":                        {aged(0), LightOK, "less than a day", ""},
		"from the future":                 {aged(-d), LightOK, "less than a day", ""},
		"one day":                         {aged(d), LightOK, "1 day", ""},
		"the end of the seventh day":      {aged(8*d - 1), LightOK, "7 days", ""},
		"eight days":                      {aged(8 * d), LightStale, "8 days", "Consider updating | The newest input is 8 days old."},
		"thirty days":                     {aged(31*d - 1), LightStale, "30 days", "Consider updating"},
		"thirty-one days":                 {aged(31 * d), LightStale, "31 days", "Needs update"},
		"differs from the default branch": {func(in *CompartmentFacts) { in.HeadLock = "cd" }, LightOK, "3 days", "It differs from the flake.lock of `origin/main`."},
		"equals the default branch":       {func(in *CompartmentFacts) { in.HeadLock = "AB" }, LightOK, "3 days", "days | ─ | home-manager"},
		"agent newer than the server":     {onFacts(func(f *HostFacts) { f.AgentVersion = "2.2.0" }), LightOK, "3 days", "The server (2.1.0) is older than this agent (2.2.0)."},
		"agent older than the server":     {onFacts(func(f *HostFacts) { f.AgentVersion = "2.0.9" }), LightError, "Agent outdated", "✗ Agent needs update"},
		"a development build":             {onFacts(func(f *HostFacts) { f.AgentVersion = "dev" }), LightOK, "3 days", ""},
		"agent without a version":         {onFacts(func(f *HostFacts) { f.AgentVersion = "" }), LightOK, "3 days", ""},
	})
}

// The words are fixed by the specification.
func TestTheTooltipOfAnOutdatedAgent(t *testing.T) {
	t.Parallel()
	in := goodFacts()
	in.Host.Facts.AgentVersion = "2.0.0"
	in.Host.Facts.Lock.Inputs = in.Host.Facts.Lock.Inputs[1:]
	want := []string{
		"✗ Agent needs update",
		"",
		"Installed: 2.0.0",
		"Expected:  2.1.0",
		"",
		"Run 'switch' to update the agent.",
		"─",
		"✓ Dependencies up to date",
		"",
		"flake.lock matches the latest",
		"available package versions.",
		"─",
		"nixpkgs: 3 days",
	}
	if diff := cmp.Diff(want, Compartments(in, noon)[1].Tooltip); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	claims := func() bool {
		return strings.Contains(strings.Join(Compartments(in, noon)[1].Tooltip, "\n"), "✓ Dependencies up to date")
	}
	in.Pending = &PendingUpdate{Number: 42, Title: "flake.lock: Update"}
	if claims() {
		t.Error("an update is pending, and the tooltip claims that all is up to date")
	}
	in.Pending = nil
	in.Host.Facts.Lock = &LockFacts{Inputs: []LockInputFact{{Name: "nixpkgs", LastModified: noon.Add(-9 * 24 * time.Hour)}}}
	if claims() || !strings.Contains(strings.Join(Compartments(in, noon)[1].Tooltip, "\n"), "flake.lock is 9 days old: consider updating.") {
		t.Errorf("of a lock of 9 days: %q", Compartments(in, noon)[1].Tooltip)
	}
	in.Host.Attr = "darwinConfigurations.mba"
	if !strings.Contains(strings.Join(Compartments(in, noon)[1].Tooltip, "\n"), "After switch on macOS, restart the agent") {
		t.Error("on macOS the tooltip does not say to restart the agent")
	}
}

func TestAPendingUpdateIsABadge(t *testing.T) {
	t.Parallel()
	in := goodFacts()
	in.Pending = &PendingUpdate{Number: 42, Title: "flake.lock: Update", Changes: []InputChange{
		{Path: "nixpkgs", Kind: "updated", FromRev: oldRev, ToRev: newRev}, {Path: "hm/utils", Kind: "added"},
	}}
	c := Compartments(in, noon)[1]
	if c.Badge != "Update PR pending #42" || c.Light != LightOK {
		t.Errorf("%s with badge %q", c.Light, c.Badge)
	}
	if text := strings.Join(c.Tooltip, " | "); !strings.Contains(text, "Update PR pending #42: flake.lock: Update | • nixpkgs 1111111 → 2222222 | • hm/utils added | ─") {
		t.Errorf("tooltip %s", text)
	}
}

func TestSystemCompartment(t *testing.T) {
	t.Parallel()
	outdated := func(f *HostFacts) { f.RunningPath, f.RunningCommit = "/nix/store/old", oldRev }
	failed := func(step, why string) func(*CompartmentFacts) {
		return onFacts(func(f *HostFacts) { f.Errors = map[string]string{step: why} })
	}
	work := func(step string) func(*CompartmentFacts) {
		return onFacts(func(f *HostFacts) { f.Working, f.Step = true, step })
	}
	runLights(t, 2, map[string]lightCase{
		"current":              {nil, LightOK, "Current", "Running system = what flake would build | Running: aaaaaaa (/nix/store/aaa-nixos)"},
		"no report":            {silent, LightUnknown, "No report yet", ""},
		"outdated":             {onFacts(outdated), LightStale, "Outdated", "Running system is outdated (need to `switch`) | Running: 1111111 (/nix/store/old) | Checkout: aaaaaaa (/nix/store/aaa-nixos)"},
		"reboot needed":        {onFacts(func(f *HostFacts) { f.RebootNeeded = true }), LightStale, "Reboot needed", "A reboot is needed: kernel or initrd changed | The running system is what the flake would build"},
		"not evaluated":        {onFacts(func(f *HostFacts) { f.ExpectedPath = "" }), LightUnknown, "Not evaluated yet", "waits for the host"},
		"evaluated before":     {onFacts(func(f *HostFacts) { f.ExpectedCommit = oldRev }), LightUnknown, "Not evaluated yet", ""},
		"nothing known to run": {onFacts(func(f *HostFacts) { f.RunningPath = "" }), LightUnknown, "Not known", ""},
		"build failed":         {failed("build", "hash mismatch"), LightError, "Build failed", "The last build failed: hash mismatch | Running: aaaaaaa"},
		"evaluation failed":    {failed("evaluate", "no such attribute"), LightError, "Evaluation failed", "The last evaluation failed: no such attribute"},
		"rolled back, and says what runs": {onFacts(func(f *HostFacts) {
			outdated(f)
			f.Errors = map[string]string{"switch": "rolled back: no network", "build": "older"}
		}), LightError, "Switch failed", "The last switch failed: rolled back: no network | Running: 1111111 (/nix/store/old) | Checkout: aaaaaaa"},
		"building":       {work("building"), LightWorking, "Building…", "Building…"},
		"switching":      {work("switching"), LightWorking, "Switching…", ""},
		"verifying":      {work("verifying"), LightWorking, "Verifying…", ""},
		"only fetching":  {work("fetching"), LightOK, "Current", ""},
		"failed units":   {onFacts(func(f *HostFacts) { f.FailedUnits = []string{"sshd.service"} }), LightOK, "Current", "Failed units: sshd.service"},
		"the same build": {onFacts(func(f *HostFacts) { f.RunningCommit = oldRev }), LightOK, "Current", "Running: 1111111 (/nix/store/aaa-nixos) | Checkout: aaaaaaa"},
	})
}

func TestAnOfflineHostKeepsItsLastFactsDimmed(t *testing.T) {
	t.Parallel()
	in := goodFacts()
	in.Host.Facts.Working, in.Host.Facts.Step = true, "building"
	later := noon.Add(time.Hour)
	for _, c := range Compartments(in, later) {
		if !c.Dimmed || !c.AsOf.Equal(noon) || c.Light != LightOK {
			t.Errorf("%s: %s, dimmed %v, as of %s", c.ID, c.Light, c.Dimmed, c.AsOf)
		}
	}
	for _, c := range Compartments(in, noon) {
		if c.Dimmed || !c.AsOf.IsZero() {
			t.Errorf("%s of a host that is online is dimmed", c.ID)
		}
	}
	in.Host.Facts, in.Host.LastSeen = HostFacts{}, time.Time{}
	for _, c := range Compartments(in, noon) {
		if c.Light != LightUnknown || c.Dimmed {
			t.Errorf("%s of a host that never reported: %+v", c.ID, c)
		}
	}
}

func TestEveryCompartmentAsksItsQuestion(t *testing.T) {
	t.Parallel()
	var got []string
	for _, c := range Compartments(goodFacts(), noon) {
		got = append(got, c.ID+": "+c.Question)
	}
	want := []string{
		"git: Is my local repo up to date with GitHub?",
		"lock: How old is my `flake.lock`?",
		"system: Does my running system match what the config would build?",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestVersions(t *testing.T) {
	t.Parallel()
	ascending := []string{"1.9.9", "2.0.0-alpha", "2.0.0-alpha.1", "2.0.0-alpha.beta", "2.0.0-beta.2", "2.0.0-beta.11", "2.0.0-rc.1", "2.0.0", "v2.0.1", "2.1", "2.10.0", "10"}
	for i, a := range ascending {
		for j, b := range ascending {
			got, ok := compareVersions(a, b)
			if want := order.Compare(i, j); got != want || !ok {
				t.Errorf("%s against %s: %d, %v, expected %d", a, b, got, ok, want)
			}
		}
	}
	if got, ok := compareVersions("2.0.0+abc", "2.0.0+def"); got != 0 || !ok {
		t.Error("build metadata counts")
	}
	for _, s := range []string{"", "dev", "2.x", "1.2.3.4", "2.0.0-", "99999999999999999999", "2.0.0 "} {
		if _, ok := compareVersions(s, "2.0.0"); ok {
			t.Errorf("%q is taken for a version", s)
		}
	}
}
