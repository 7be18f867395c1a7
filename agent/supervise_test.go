package agent

import (
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestHowASwitchEnds(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, new, old string // bodies of the activations
		change         func(*bare)
		result, code   string
		reason         string // within the outcome's
		runs, at       string // what is activated, and what runs and boots in the end
	}{
		{name: "well", result: resultKept, runs: "NEW", at: "NEW"},
		{name: "status 1", new: "exit 1", result: resultReverted, code: "activation_failed", reason: "exit code 1", runs: "NEW OLD", at: "OLD"},
		{name: "status 2, half done", new: "MOVE; exit 2", result: resultReverted, code: "activation_failed", runs: "NEW OLD", at: "OLD"},
		{name: "status 4", new: "MOVE; exit 4", result: resultKept, runs: "NEW", at: "NEW"},
		{name: "status 4 of nix-darwin", new: "MOVE; exit 4", change: func(p *bare) { p.job.Platform = Darwin }, result: resultReverted, code: "activation_failed", runs: "NEW OLD", at: "OLD"},
		{name: "killed", new: "kill -9 $$", result: resultReverted, code: "activation_failed", reason: "by itself", runs: "NEW OLD", at: "OLD"},
		{name: "too long", new: "sleep 1000", change: func(p *bare) { p.job.SwitchTimeout = time.Second }, result: resultReverted, code: "activation_failed", reason: "longer than 1s", runs: "NEW OLD", at: "OLD"},
		{name: "the lock is taken for a while", new: "[ -e again ] || { touch again; exit 11; }; MOVE", result: resultKept, runs: "NEW NEW", at: "NEW"},
		{name: "the lock is taken for good", new: "exit 11", change: func(p *bare) { p.job.SwitchTimeout = time.Second }, result: resultUnchanged, code: "switch_busy", runs: "*", at: "OLD"},
		{name: "the profile can't be set", change: func(p *bare) { p.script(p.at("nix-env"), "exit 1") }, result: resultUnchanged, code: "activation_failed", reason: "profile", at: "OLD"},
		{name: "the first one", new: "MOVE; exit 2", change: func(p *bare) { p.job.Previous = "" }, result: resultStuck, code: "activation_failed", reason: "no previous", runs: "NEW", at: "NEW"},
		{name: "no word", change: func(p *bare) { p.job.VerifyTimeout = time.Nanosecond }, result: resultReverted, code: "no_word", runs: "NEW OLD", at: "OLD"},
		{name: "nothing has moved, and the way back fails", new: "exit 2", old: "exit 1", result: resultStuck, code: "activation_failed", reason: "failed too", runs: "NEW OLD", at: "OLD"},
		{name: "the way back does not arrive", new: "MOVE; exit 2", old: "exit 0", result: resultStuck, code: "activation_failed", reason: "NEW runs and not", runs: "NEW OLD", at: ""},
		{name: "the way back needs a reboot", new: "MOVE; exit 2", old: "exit 100", result: resultStuck, code: "activation_failed", reason: "reboot", runs: "NEW OLD", at: ""},
		{name: "units fail on the way back, as before", new: "exit 2", old: "MOVE; exit 4", change: func(p *bare) { p.write("failed", "old.service x\n") }, result: resultReverted, code: "activation_failed", reason: "had failed before the switch, too", runs: "NEW OLD", at: "OLD"},
		{name: "new units fail on the way back", new: "exit 2", old: "MOVE; exit 4", change: func(p *bare) { p.write("failed", "old.service x\nnew.service x\n") }, result: resultStuck, code: "activation_failed", reason: "not before: new.service", runs: "NEW OLD", at: "OLD"},
		{name: "who knows what fails on the way back", new: "exit 2", old: "MOVE; exit 4", change: func(p *bare) { p.write("mute", "") }, result: resultStuck, code: "activation_failed", reason: "not known which", runs: "NEW OLD", at: "OLD"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := newBare(t)
			p.system("NEW", tt.new)
			p.system("OLD", tt.old)
			if tt.change != nil {
				tt.change(p)
			}
			p.begin()
			if tt.code == "" {
				p.sayWell()
			}
			o := p.run()
			if tt.runs == "*" {
				tt.runs = p.runs()
			}
			if tt.at == "" {
				tt.at = "OLD"
				p.link("OLD", "current") // the test's own: it is stuck
			}
			p.check(o, tt.result, tt.code, tt.runs, tt.at)
			if !strings.Contains(strings.ReplaceAll(o.Reason, "had not before", "not before"), tt.reason) {
				t.Errorf("reason %q lacks %q", o.Reason, tt.reason)
			}
			if left, _ := os.ReadDir(string(p.record())); len(left) > 0 && p.record().has("spare-0") {
				t.Error("the spares are left")
			}
		})
	}
}

// An activation waits for its turn, and is not counted as failed for that.
// A system on trial, and one that waits for the next boot, are so again after a
// switch that went back.
func TestGoingBackKeepsApartWhatRunsAndWhatBoots(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, boot    string // body of the activation of what would be booted
		runs, profile string
	}{
		{"well", "", "NEW OLD test BOOT boot", "BOOT"},
		{"it can't be made what boots", "exit 1", "NEW OLD test BOOT boot OLD switch", "OLD"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := newBare(t)
			p.system("NEW", "MOVE; exit 2")
			p.system("OLD", "echo $1 >> runs; MOVE")
			p.system("BOOT", "echo $1 >> runs; "+or(tt.boot, "exit 0"))
			p.link("BOOT", "profile")
			p.job.PreviousProfile = p.at("BOOT")
			p.begin()
			if o := p.run(); o.Result != resultReverted || strings.Contains(o.Reason, "as before, but") != (tt.boot != "") {
				t.Errorf("outcome %+v", o)
			}
			if got := p.runs(); got != tt.runs {
				t.Errorf("activations %q, want %q", got, tt.runs)
			}
			if now, boots := readLink(p.at("current")), readLink(p.at("profile")); now != p.at("OLD") || boots != p.at(tt.profile) {
				t.Errorf("%s runs and %s would be booted", now, boots)
			}
		})
	}
}

func TestSwitchWaitsForAnother(t *testing.T) {
	t.Parallel()
	p := newBare(t)
	lock, err := lockFile(p.job.Paths.SwitchLock)
	if err != nil {
		t.Fatal(err)
	}
	d := p.begin()
	p.sayWell()
	cmd, _ := p.supervise()
	p.await("the supervisor has begun", func() bool { return d.has(startedFile) })
	if readLink(p.at("profile")) != p.at("OLD") || p.runs() != "" {
		t.Errorf("changed before its turn: %q", p.runs())
	}
	if err := lock.Close(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	p.check(p.outcome(), resultKept, "", "NEW", "NEW")
}

// What an activation starts and leaves running holds neither the supervisor's lock
// nor anything else of it but the log.
func TestDaemonHoldsNothing(t *testing.T) {
	t.Parallel()
	p := newBare(t)
	p.system("NEW", "sleep 1000 & echo $! > daemon; MOVE")
	d := p.begin()
	p.sayWell()
	o := p.run()
	p.check(o, resultKept, "", "NEW", "NEW")
	pid := p.pid("daemon")
	defer func() { _ = syscall.Kill(pid, syscall.SIGKILL) }()
	if err := syscall.Kill(pid, 0); err != nil {
		t.Errorf("the daemon is gone: %v", err)
	}
	lock, err := lockFile(d.path(lockName))
	if err != nil {
		t.Fatal(err)
	}
	_ = lock.Close()
	inherited := openFiles(os.Getpid()) // by all that this process starts
	for _, file := range openFiles(pid) {
		if file != os.DevNull && file != d.path(outputFile) && !slices.Contains(inherited, file) {
			t.Errorf("the daemon holds %s", file)
		}
	}
}
