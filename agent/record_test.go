package agent

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/nixfleet/nixfleet/agentbus"
)

// openLedger opens the journal in dir as an agent would.
func openLedger(t rapid.TB, dir string) *ledger {
	j, err := openJournal(filepath.Join(dir, "journal.jsonl"), func(line string) { t.Log(line) })
	if err != nil {
		t.Fatal(err)
	}
	return newLedger(j,
		func(o agentbus.Order) *agentbus.StepError { return checkOrder(o, NixOS) },
		func() agentbus.Answer { return agentbus.Answer{V: agentbus.ProtocolVersion} },
		func() *agentbus.Observation { return &agentbus.Observation{AgentVersion: Version} })
}

func testOrder(gen uint64, kind agentbus.Kind) agentbus.Order {
	return agentbus.Order{
		V: 1, Gen: gen, ID: fmt.Sprintf("o%d", gen), Kind: kind, Repo: "https://example.com/fleet.git", Branch: "main",
		Commit: "0123456789012345678901234567890123456789", Attr: "nixosConfigurations.web1",
	}
}

// Whatever happens to an agent, and wherever a crash cuts its journal, what it
// reads back is what it had written at some moment, with the rules kept.
func TestJournalSurvivesAnyHistory(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	rapid.Check(t, func(t *rapid.T) {
		dir, err := os.MkdirTemp(root, "")
		if err != nil {
			t.Fatal(err)
		}
		l := openLedger(t, dir)
		defer func() { _ = l.journal.close() }()
		gen := uint64(0)
		moments := []record{l.snapshot()}
		steps := []agentbus.Step{
			agentbus.StepFetching, agentbus.StepBuilding, agentbus.StepSwitching, agentbus.StepVerifying,
		}
		act := func(f func() error) {
			if err := f(); err != nil && !slices.Contains([]error{errSuperseded, errCancelled, errTwoSwitches}, err) {
				t.Fatal(err)
			}
			checkRecord(t, moments[len(moments)-1], l.snapshot())
			moments = append(moments, l.snapshot())
		}
		anID := func(t *rapid.T) string { return fmt.Sprintf("o%d", rapid.Uint64Range(0, gen+1).Draw(t, "order")) }
		t.Repeat(map[string]func(*rapid.T){
			"order": func(t *rapid.T) {
				gen += rapid.Uint64Range(0, 2).Draw(t, "ahead")
				kind := rapid.SampledFrom([]agentbus.Kind{
					agentbus.KindDeploy, agentbus.KindRefresh, agentbus.KindCancel, agentbus.KindNoop, agentbus.KindReboot, "run",
				}).Draw(t, "kind")
				o := testOrder(gen, kind)
				o.Cancels = anID(t)
				act(func() error { return l.accept(o) })
			},
			"step": func(t *rapid.T) {
				id, step := anID(t), rapid.SampledFrom(steps).Draw(t, "step")
				act(func() error { return l.begin(id, agentbus.Answer{Step: step}) })
			},
			"end": func(t *rapid.T) {
				id := anID(t)
				step := rapid.SampledFrom([]agentbus.Step{agentbus.StepHealthy, agentbus.StepFailed, agentbus.StepReverted}).Draw(t, "end")
				act(func() error { return l.finish(id, agentbus.Answer{Step: step}) })
			},
			"forgery": func(t *rapid.T) {
				o := testOrder(0, agentbus.KindDeploy)
				o.ID = anID(t)
				act(func() error { return l.refuse(o, agentbus.RefusedSignature, "forged") })
			},
			"confirm": func(t *rapid.T) {
				c := agentbus.Confirm{Order: anID(t), Seq: rapid.Uint32Range(0, 7).Draw(t, "seq")}
				act(func() error { return l.confirm(c) })
			},
			"compaction": func(t *rapid.T) { act(l.journal.compact) },
			"restart": func(t *rapid.T) {
				_ = l.journal.close()
				l = openLedger(t, dir)
				if diff := cmp.Diff(plain(moments[len(moments)-1]), plain(l.snapshot())); diff != "" {
					t.Fatalf("read back something else:\n%s", diff)
				}
			},
			"crash in a write": func(t *rapid.T) {
				_ = l.journal.close()
				entries, err := os.ReadFile(l.journal.path)
				if err != nil {
					t.Fatal(err)
				}
				o := testOrder(gen+1, agentbus.KindDeploy)
				line, _ := json.Marshal(entry{Order: &o})
				cut := rapid.IntRange(0, len(line)).Draw(t, "cut")
				if err := os.WriteFile(l.journal.path, append(entries, line[:cut]...), 0o600); err != nil {
					t.Fatal(err)
				}
				l = openLedger(t, dir)
				if diff := cmp.Diff(plain(moments[len(moments)-1]), plain(l.snapshot())); diff != "" {
					t.Fatalf("half a line counted:\n%s", diff)
				}
			},
			"": func(t *rapid.T) {},
		})
	})
}

// checkRecord checks the rules between two moments of a record.
func checkRecord(t *rapid.T, before, after record) {
	if after.Gen < before.Gen {
		t.Fatalf("generation went back from %d to %d", before.Gen, after.Gen)
	}
	begun := 0
	for i, w := range after.Works {
		if w.begun() {
			begun++
		}
		if w.Step.Final() || (i > 0 && w.Order.Gen <= after.Works[i-1].Order.Gen) {
			t.Fatalf("works out of order: %+v", after.Works)
		}
	}
	if begun > 1 {
		t.Fatalf("%d orders have begun to switch at once: %+v", begun, after.Works)
	}
	for _, w := range before.Works {
		now, open := after.work(w.Order.ID)
		if open && (now.Seq < w.Seq || rank(now.Step) < rank(w.Step)) {
			t.Fatalf("order %s went back from %s to %s", w.Order.ID, w.Step, now.Step)
		}
		ended := after.Last.Order.ID == w.Order.ID || slices.ContainsFunc(after.Unconfirmed, func(a agentbus.Answer) bool {
			return a.Order == w.Order.ID && a.Step.Final()
		})
		if !open && !ended {
			t.Fatalf("order %s is lost", w.Order.ID)
		}
	}
	last := map[string]uint32{}
	for _, a := range after.Unconfirmed {
		if prev, ok := last[a.Order]; ok && a.Seq != prev+1 {
			t.Fatalf("answers of %s are not one after the other: %+v", a.Order, after.Unconfirmed)
		}
		last[a.Order] = a.Seq
	}
}

// plain is r as the journal would write it, which does not tell nil from empty.
func plain(r record) string {
	data, _ := json.MarshalIndent(r, "", " ")
	return string(data)
}

func TestApplyingAnEntryTwiceChangesNothing(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var r record
		for range rapid.IntRange(1, 40).Draw(t, "entries") {
			o := testOrder(rapid.Uint64Range(1, 5).Draw(t, "gen"), agentbus.KindDeploy)
			var e entry
			switch rapid.IntRange(0, 3).Draw(t, "kind") {
			case 0:
				e.Order = &o
			case 1:
				e.Answer = &agentbus.Answer{
					Order: o.ID, Gen: o.Gen, Seq: rapid.Uint32Range(1, 6).Draw(t, "seq"),
					Step: rapid.SampledFrom([]agentbus.Step{
						agentbus.StepReceived, agentbus.StepBuilding, agentbus.StepHealthy, agentbus.StepRefused,
					}).Draw(t, "step"),
				}
			case 2:
				e.Confirm = &agentbus.Confirm{Order: o.ID, Seq: rapid.Uint32Range(1, 6).Draw(t, "seq")}
			case 3:
				e.Passed = o.Gen
			}
			r.apply(e)
			once := r.clone()
			r.apply(e)
			if diff := cmp.Diff(plain(once), plain(r)); diff != "" {
				t.Fatalf("applied twice:\n%s", diff)
			}
		}
	})
}

func TestJournalKeepsItsBounds(t *testing.T) {
	t.Parallel()
	l := openLedger(t, t.TempDir())
	defer l.journal.close()
	if _, _, _, err := l.next(t.Context()); err != nil {
		t.Fatal(err)
	}
	for gen := range uint64(maxUnconfirmed) {
		if err := l.accept(testOrder(gen+1, agentbus.KindRefresh)); err != nil {
			t.Fatal(err)
		}
	}
	rec := l.snapshot()
	if len(rec.Unconfirmed) > maxUnconfirmed || len(rec.Recent) > maxRecent || len(rec.Works) != 1 {
		t.Errorf("%d answers, %d ids, %d orders", len(rec.Unconfirmed), len(rec.Recent), len(rec.Works))
	}
	if l.journal.size > compactAt+64<<10 {
		t.Errorf("the journal has %d bytes", l.journal.size)
	}
}

func TestDamagedLineIsSkipped(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l := openLedger(t, dir)
	for gen := range uint64(3) {
		if err := l.accept(testOrder(gen+1, agentbus.KindNoop)); err != nil {
			t.Fatal(err)
		}
	}
	_ = l.journal.close()
	data, err := os.ReadFile(l.journal.path)
	if err != nil {
		t.Fatal(err)
	}
	copy(data[len(data)/2:], "\x00\x00{{")
	if err := os.WriteFile(l.journal.path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	l = openLedger(t, dir)
	defer l.journal.close()
	if rec := l.snapshot(); rec.Gen != 3 {
		t.Errorf("generation %d after a damaged line, want 3", rec.Gen)
	}
}

func TestForgedCopyOfAnOrderDoesNotEndIt(t *testing.T) {
	t.Parallel()
	l := openLedger(t, t.TempDir())
	defer l.journal.close()
	o := testOrder(1, agentbus.KindDeploy)
	for _, err := range []error{l.accept(o), l.refuse(o, agentbus.RefusedStale, "a replay")} {
		if err != nil {
			t.Fatal(err)
		}
	}
	rec := l.snapshot()
	if w, ok := rec.work(o.ID); !ok || w.Step != agentbus.StepReceived {
		t.Errorf("the order is now %+v", w)
	}
}
