package db_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nixfleet/nixfleet/db"
	"github.com/nixfleet/nixfleet/fleet"
	"pgregory.net/rapid"
)

func answerTo(order, host string, seq uint32, step string) db.AnswerRow {
	return db.AnswerRow{
		StreamSeq: uint64(seq), Host: host, Order: order, Gen: 1, Seq: seq, Step: step, At: t0, Raw: []byte(step),
	}
}

func (w *world) answer(order, host string, seq uint32, step string) {
	w.t.Helper()
	_, err := w.d.RecordAnswers(w.t.Context(), []db.AnswerRow{answerTo(order, host, seq, step)}, w.now)
	must(w.t, err)
}

// answerNothing is an empty batch, which is allowed.
func (w *world) answerNothing() {
	w.t.Helper()
	confirmed, err := w.d.RecordAnswers(w.t.Context(), nil, w.now)
	if err != nil || confirmed != nil {
		w.t.Errorf("nothing to record: %v, %v", confirmed, err)
	}
}

func TestAnswersMoveOrderAndRollout(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.hosts("web1", "web2")
	w.running("R1", "ccc", "web1", "web2")
	w.after(time.Minute)
	last := answerTo("R1-web1", "web1", 3, "healthy")
	last.Facts = &fleet.HostFacts{At: w.now, AgentVersion: "1.2.3", RunningCommit: "ccc", RunningPath: "/nix/store/ccc"}
	failed := answerTo("R1-web2", "web2", 4, "failed")
	failed.Failure = &fleet.HostError{Step: "building", Code: "build_failed", Message: "nul \x00", ExitCode: 1, LogTail: "…"}
	confirmed, err := w.d.RecordAnswers(t.Context(), []db.AnswerRow{
		answerTo("R1-web1", "web1", 1, "received"), answerTo("R1-web1", "web1", 2, "switching"), last, failed,
	}, w.now)
	must(t, err)
	equal(t, "confirmed", confirmed, []db.Confirmed{{Host: "web1", Order: "R1-web1", Seq: 3}, {Host: "web2", Order: "R1-web2", Seq: 4}})

	r, err := w.d.Rollout(t.Context(), "R1")
	must(t, err)
	begun, cause := w.now.Add(-time.Minute), *failed.Failure
	cause.Message = "nul \uFFFD"
	equal(t, "hosts", r.Hosts, []fleet.HostProgress{
		{Host: "web1", State: fleet.HostHealthy, Order: "R1-web1", Since: w.now, StartedAt: begun, EndedAt: w.now,
			Switched: true, Target: fleet.System{Path: "/nix/store/ccc", Commit: "ccc"}},
		{Host: "web2", State: fleet.HostFailed, Order: "R1-web2", Since: w.now, StartedAt: begun, EndedAt: w.now, Failure: &cause},
	})
	o, err := w.d.Order(t.Context(), "R1-web1")
	must(t, err)
	if o.State != fleet.HostHealthy || !o.EndedAt.Equal(w.now) {
		t.Errorf("order = %+v", o)
	}
	hosts, err := w.d.Hosts(t.Context())
	must(t, err)
	equal(t, "facts", hosts[0].Facts, *last.Facts)
	if !hosts[1].LastSeen.Equal(w.now) {
		t.Error("an answer is a sign of life")
	}
	if seq, err := w.d.Cursor(t.Context(), "answers"); err != nil || seq != 4 {
		t.Errorf("cursor %d, %v, want 4", seq, err)
	}
	w.claimRollout("R1") // it is due
}

func TestAnswersThatAreNotToBeBelieved(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]db.AnswerRow{
		"of another host":          answerTo("R1-web1", "web2", 1, "healthy"),
		"to an unknown order":      answerTo("none", "web1", 1, "healthy"),
		"of an unknown host":       answerTo("R1-web1", "stranger \x00", 1, "healthy"),
		"of another generation":    {Host: "web1", Order: "R1-web1", Gen: 2, Seq: 1, Step: "healthy"},
		"of an impossible time":    {Host: "web1", Order: "R1-web1", Gen: 1, Seq: 1, Step: "dancing", At: time.Date(99999, 1, 1, 0, 0, 0, 0, time.UTC)},
		"with a step of ours":      answerTo("R1-web1", "web1", 1, "expired"),
		"with a step of ours, two": answerTo("R1-web1", "web1", 1, "unreachable"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.hosts("web1", "web2")
			w.running("R1", "ccc", "web1")
			row.StreamSeq = 9
			confirmed, err := w.d.RecordAnswers(t.Context(), []db.AnswerRow{row}, w.now)
			must(t, err)
			equal(t, "confirmed", confirmed, []db.Confirmed{{Host: row.Host, Order: row.Order, Seq: row.Seq}})
			equal(t, "states", w.states("R1"), map[string]fleet.HostState{"web1": fleet.HostOrdered})
			if seq, err := w.d.Cursor(t.Context(), "answers"); err != nil || seq != 9 {
				t.Errorf("cursor %d, %v, want 9", seq, err)
			}
		})
	}
}

func TestCursorOnlyGoesBackOnPurpose(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.answer("none", "web1", 9, "received")
	w.answer("none", "web1", 5, "received") // from a replica that is behind
	seq, err := w.d.Cursor(t.Context(), "answers")
	must(t, err)
	if seq != 9 {
		t.Errorf("cursor %d, want 9", seq)
	}
	must(t, w.d.ResetCursor(t.Context(), "answers", 0))
	if seq, err := w.d.Cursor(t.Context(), "answers"); err != nil || seq != 0 {
		t.Errorf("cursor %d, %v after a reset", seq, err)
	}
}

func TestAnswersToAnOrderThatWasReplacedMoveOnlyThat(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.hosts("web1")
	w.running("R1", "ccc", "web1")
	_, err := w.d.Pool().Exec(t.Context(), `update rollout_hosts set order_id = 'other'`)
	must(t, err)
	w.answer("R1-web1", "web1", 1, "failed")
	equal(t, "states", w.states("R1"), map[string]fleet.HostState{"web1": fleet.HostOrdered})
	if o, err := w.d.Order(t.Context(), "R1-web1"); err != nil || o.State != fleet.HostFailed {
		t.Errorf("order = %+v, %v", o, err)
	}
}

// However answers are cut into batches, repeated and reordered: host, order and
// record end where the table of package fleet leads the answers in the order in
// which they were first seen.
func TestAnswersAreAppliedAsTheTableSays(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.hosts("web1")
	steps := []string{"received", "fetching", "building", "switching", "verifying", "healthy", "failed", "reverted", "refused", "superseded", "cancelled"}
	round := 0
	rapid.Check(t, func(t *rapid.T) {
		round++
		id, gen := fmt.Sprintf("R%d", round), uint64(round)
		w.running(id, id, "web1")
		want, seen := fleet.HostOrdered, map[uint32]bool{}
		for range rapid.IntRange(1, 4).Draw(t, "batches") {
			var batch []db.AnswerRow
			for _, seq := range rapid.SliceOfN(rapid.Uint32Range(1, 8), 1, 5).Draw(t, "seqs") {
				row := answerTo(id+"-web1", "web1", seq, steps[(int(seq)+round)%len(steps)])
				row.Gen = gen
				batch, seen[seq] = append(batch, row), true
				want = fleet.NextHostState(want, fleet.HostEvent(row.Step))
			}
			if _, err := w.d.RecordAnswers(w.t.Context(), batch, w.now); err != nil {
				t.Fatal(err)
			}
		}
		if got := w.states(id)["web1"]; got != want {
			t.Fatalf("the host is %s, want %s", got, want)
		}
		o, err := w.d.Order(w.t.Context(), id+"-web1")
		if err != nil || o.State != want || o.EndedAt.IsZero() == want.Terminal() {
			t.Fatalf("order %+v, %v, want %s", o, err, want)
		}
		if n := w.count(`select count(*) from answers where order_id = $1`, id+"-web1"); n != len(seen) {
			t.Fatalf("%d answers are kept, want %d", n, len(seen))
		}
	})
}

// A host can't fill the disk with answers, and its order ends all the same.
func TestAFloodOfAnswersIsNotKept(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.hosts("web1")
	w.running("R1", "ccc", "web1")
	var flood []db.AnswerRow
	for seq := range uint32(600) {
		flood = append(flood, answerTo("R1-web1", "web1", seq+1, "building"))
	}
	flood = append(flood, answerTo("R1-web1", "web1", 601, "failed"))
	for seq := range uint32(600) {
		flood = append(flood, answerTo("R1-web1", "web1", seq+602, "failed"))
	}
	confirmed, err := w.d.RecordAnswers(t.Context(), flood, w.now)
	must(t, err)
	equal(t, "confirmed", confirmed, []db.Confirmed{{Host: "web1", Order: "R1-web1", Seq: 1201}})
	equal(t, "states", w.states("R1"), map[string]fleet.HostState{"web1": fleet.HostFailed})
	if n := w.count(`select count(*) from answers`); n != 501 {
		t.Errorf("%d answers are kept", n)
	}
}

// An answer that can't be stored keeps no other waiting, whatever makes it so. Here it
// is an evaluation of an attribute that no index holds.
func TestAnAnswerThatCannotBeStoredIsPassedOver(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.hosts("web1", "web2")
	w.running("R1", "ccc", "web1", "web2")
	_, err := w.d.Pool().Exec(t.Context(), `
		update hosts set attr = (select string_agg(md5(i::text), '') from generate_series(1, 200) i) where name = 'web1'`)
	must(t, err)
	bad := answerTo("R1-web1", "web1", 3, "healthy")
	bad.Facts = &fleet.HostFacts{At: t0, ExpectedCommit: strings.Repeat("a", 40), ExpectedPath: "/nix/store/" + strings.Repeat("b", 40)}
	batch := []db.AnswerRow{answerTo("R1-web2", "web2", 2, "building"), bad, answerTo("R1-web2", "web2", 4, "healthy")}
	confirmed, err := w.d.RecordAnswers(t.Context(), batch, w.now)
	must(t, err)
	if len(confirmed) != 2 {
		t.Errorf("confirmed %+v", confirmed)
	}
	equal(t, "states", w.states("R1"), map[string]fleet.HostState{"web1": fleet.HostOrdered, "web2": fleet.HostHealthy})
	if seq, err := w.d.Cursor(t.Context(), "answers"); err != nil || seq != 4 {
		t.Errorf("cursor %d, %v", seq, err)
	}
	if n := w.count(`select count(*) from history where kind = 'answer.unstorable' and subject = 'order/R1-web1' and reason like '%healthy%'`); n != 1 {
		t.Errorf("%d lines of history", n)
	}
	// Also where it is the last one.
	bad.StreamSeq = 5
	_, err = w.d.RecordAnswers(t.Context(), []db.AnswerRow{bad}, w.now)
	must(t, err)
	if seq, err := w.d.Cursor(t.Context(), "answers"); err != nil || seq != 5 {
		t.Errorf("cursor %d, %v", seq, err)
	}
}

func TestAnswersSayWhatChangesAndWhereToGoBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.hosts("web1")
	w.running("R1", "ccc", "web1")
	before := answerTo("R1-web1", "web1", 1, "switching")
	before.Change = &fleet.Change{
		To: fleet.System{Path: "/nix/store/x", Commit: "ccc"}, More: 3, SizeTo: 9,
		Packages: []fleet.PackageChange{{Name: "nginx \x00", From: []string{"1"}, To: []string{""}, Bytes: -5}},
	}
	after := answerTo("R1-web1", "web1", 2, "healthy")
	after.Generations = []fleet.Generation{{Number: 7, System: before.Change.To, At: t0, Running: true}}
	_, err := w.d.RecordAnswers(t.Context(), []db.AnswerRow{before}, w.now)
	must(t, err)
	// A heartbeat of a moment later is kept first: its facts are the newer ones, and
	// generations it has none.
	later := fleet.HostFacts{At: w.now.Add(time.Second), RunningPath: "/nix/store/later"}
	must(t, w.d.SaveBeats(t.Context(), []db.Beat{{Host: "web1", At: later.At, Facts: later}}))
	after.Facts = &fleet.HostFacts{At: w.now, RunningPath: "/nix/store/earlier"}
	_, err = w.d.RecordAnswers(t.Context(), []db.AnswerRow{after}, w.now)
	must(t, err)
	hosts, err := w.d.Hosts(t.Context())
	must(t, err)
	equal(t, "facts", hosts[0].Facts.RunningPath, later.RunningPath)
	before.Change.Packages[0].Name = "nginx \uFFFD"
	equal(t, "change", w.output("R1-web1", 0).Change, before.Change)
	var generations []fleet.Generation
	must(t, w.d.Pool().QueryRow(t.Context(), `select generations from hosts where name = 'web1'`).Scan(&generations))
	equal(t, "generations", generations, after.Generations)

	beat := db.Beat{Host: "web1", At: w.after(time.Minute), Facts: fleet.HostFacts{At: w.now}}
	must(t, w.d.SaveBeats(t.Context(), []db.Beat{beat}))
	must(t, w.d.Pool().QueryRow(t.Context(), `select generations from hosts where name = 'web1'`).Scan(&generations))
	equal(t, "generations after a heartbeat", generations, after.Generations)
}
