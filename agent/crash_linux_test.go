package agent

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// The supervisor is killed as soon as each of its files is there, and another one
// goes on. Whatever the moment: the target is activated at most once, and the
// host ends as it was or as it was to become, with both links at the same system.
func TestSupervisorKilledAtEachMoment(t *testing.T) {
	t.Parallel()
	for _, fails := range []bool{false, true} {
		for _, moment := range []string{lockName, startedFile, runningFile, outputFile, activatedFile, waitingFile, verdictFile, "OLD.pid", outcomeFile} {
			t.Run(moment+map[bool]string{true: " of a bad one"}[fails], func(t *testing.T) {
				t.Parallel()
				p := newBare(t)
				if fails {
					p.system("NEW", "MOVE; exit 2")
				}
				d := p.begin()
				p.sayWell()
				cmd, kill := p.supervise()
				ended := make(chan struct{})
				go func() { defer close(ended); _, _ = cmd.Process.Wait() }()
				p.await(moment, func() bool {
					select {
					case <-ended:
						return true
					default:
						return d.has(moment) || exists(p.at(moment))
					}
				})
				_ = cmd.Process.Kill()
				<-ended
				kill()
				if !d.has(outcomeFile) {
					p.run()
				}
				o := p.outcome()
				runs := strings.Fields(p.runs())
				if n := count(runs, "NEW"); n > 1 || n == 0 && o.Result == resultKept {
					t.Errorf("the target was activated %d times: %v", n, runs)
				}
				at := p.at("OLD")
				if o.Result == resultKept {
					at = p.at("NEW")
				}
				if now, boots := readLink(p.at("current")), readLink(p.at("profile")); now != at || boots != at {
					t.Errorf("outcome %+v, but %s runs and %s would be booted", o, now, boots)
				}
				if fails && o.Result == resultKept || o.Result == resultStuck {
					t.Errorf("outcome %+v", o)
				}
			})
		}
	}
}

func count(all []string, what string) (n int) {
	for _, s := range all {
		if s == what {
			n++
		}
	}
	return n
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// An activation whose supervisor was killed is stopped with all that belongs to
// it before anything else is done.
func TestActivationOfAKilledSupervisorIsStopped(t *testing.T) {
	t.Parallel()
	p := newBare(t)
	p.system("NEW", "sleep 1000 & echo $! > child; MOVE; while :; do sleep 0.05; done")
	p.begin()
	_, kill := p.supervise()
	p.await("the activation has a child", func() bool { return exists(p.at("child")) && readLink(p.at("current")) == p.at("NEW") })
	kill()
	leader, child := p.pid("NEW.pid"), p.pid("child")
	if !runs(leader) || !runs(child) {
		t.Fatal("the activation did not outlive its supervisor: nothing to prove")
	}
	p.check(p.run(), resultReverted, "interrupted", "NEW OLD", "OLD")
	if runs(leader) || runs(child) {
		t.Error("the old activation still runs")
	}
}

// runs reports whether a process is there and not dead.
func runs(pid int) bool {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	m, _, ok := parseStat(data)
	return err == nil && ok && !m.dead
}

// A machine that restarts in the middle of an activation goes back by the path on
// record, with nothing left of /run, no network and no agent.
func TestResumeAfterARestartInTheActivation(t *testing.T) {
	t.Parallel()
	p := newBare(t)
	p.write("NEW.hold", "")
	d := p.begin()
	_, kill := p.supervise()
	p.await("the activation runs", func() bool { return p.runs() == "NEW" })
	p.restart(d, kill)
	p.remove("NEW.hold")
	p.resume()
	p.check(p.outcome(), resultReverted, "interrupted", "NEW OLD", "OLD")
}

// A machine that restarts while the word is awaited comes up with the new system,
// which gets its whole time anew.
func TestResumeAfterARestartWhileWaiting(t *testing.T) {
	t.Parallel()
	for _, well := range []bool{true, false} {
		t.Run(map[bool]string{true: "well", false: "no word"}[well], func(t *testing.T) {
			t.Parallel()
			p := newBare(t)
			d := p.begin()
			_, kill := p.supervise()
			p.await("the word is awaited", func() bool { return d.has(waitingFile) })
			p.restart(d, kill)
			p.link("NEW", "current") // as the boot does it
			if well {
				p.sayWell()
				p.resume()
				p.check(p.outcome(), resultKept, "", "NEW", "NEW")
				return
			}
			var j job
			if ok, err := d.read(jobFile, &j); !ok || err != nil {
				t.Fatal(err)
			}
			j.VerifyTimeout = time.Millisecond
			if err := writeJSON(d.path(jobFile), j); err != nil {
				t.Fatal(err)
			}
			p.resume()
			p.check(p.outcome(), resultReverted, "no_word", "NEW OLD", "OLD")
		})
	}
}

// Nothing is to be resumed: a switch that has not begun is the agent's to begin,
// and one that is over stays as it is.
func TestResumeLeavesTheRestAlone(t *testing.T) {
	t.Parallel()
	p := newBare(t)
	p.resume()
	d := p.begin()
	p.resume()
	if d.has(outcomeFile) || p.runs() != "" {
		t.Fatalf("a switch that had not begun was taken up: %q", p.runs())
	}
	p.sayWell()
	p.check(p.run(), resultKept, "", "NEW", "NEW")
	p.resume()
	p.check(p.outcome(), resultKept, "", "NEW", "NEW")
}

// A switch that never came to its end is closed when the next one begins: should
// its supervisor begin again, it would undo that one. While it is at work there is
// no next one.
func TestNextSwitchClosesTheOneBefore(t *testing.T) {
	t.Parallel()
	p := newBare(t)
	d := p.begin()
	_, kill := p.supervise()
	p.await("the word is awaited", func() bool { return d.has(waitingFile) })
	next := &task{Agent: &Agent{cfg: Config{StateDir: p.state(), Now: time.Now}}}
	next.order.ID = "order-2"
	var busy *stepError
	if err := next.closeOthers(t.Context(), "order-2"); !errors.As(err, &busy) || busy.code != "switch_under_way" {
		t.Fatalf("a second switch at the same time: %v", err)
	}
	kill()
	if err := next.closeOthers(t.Context(), "order-2"); err != nil {
		t.Fatal(err)
	}
	p.resume()
	p.check(p.outcome(), resultStuck, "abandoned", "NEW", "NEW")
}

// On a slow disk a supervisor may still write down how its switch ended when the
// next order comes.
func TestNextSwitchWaitsForTheEndOfTheOneBefore(t *testing.T) {
	t.Parallel()
	p := newBare(t)
	d := p.begin()
	if err := d.record(startedFile, started{}); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		lock, err := lockFile(d.path(lockName))
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			time.Sleep(time.Second)
			if err := errors.Join(d.record(outcomeFile, outcome{Result: resultKept}), lock.Close()); err != nil {
				t.Error(err)
			}
		}()
		next := &task{Agent: &Agent{cfg: Config{StateDir: p.state(), Now: time.Now}}}
		if err := next.closeOthers(t.Context(), "order-2"); err != nil {
			t.Error(err)
		}
	})
	if o := p.outcome(); o.Result != resultKept {
		t.Errorf("the end of the switch before was written over: %+v", o)
	}
}

// restart ends everything of a switch as a restart of the machine does.
func (p *bare) restart(d jobDir, kill func()) {
	p.t.Helper()
	kill()
	var child process
	if ok, err := d.read(runningFile, &child); ok && err == nil {
		_ = syscall.Kill(-child.PID, syscall.SIGKILL)
	}
	p.remove("current") // /run is empty
	// What is on record is of another boot now.
	for _, name := range []string{runningFile, waitingFile} {
		if d.has(name) {
			data, err := os.ReadFile(d.path(name))
			if err != nil {
				p.t.Fatal(err)
			}
			text := strings.ReplaceAll(string(data), readBootID(), "another-boot")
			if err := os.WriteFile(d.path(name), []byte(text), 0o600); err != nil {
				p.t.Fatal(err)
			}
		}
	}
}

// resume runs what a machine runs when it boots.
func (p *bare) resume() {
	p.t.Helper()
	cmd, _ := p.start("resume", p.state())
	if err := cmd.Wait(); err != nil {
		p.t.Fatalf("resume: %v", err)
	}
}
