package db_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nixfleet/nixfleet/db"
	"github.com/nixfleet/nixfleet/fleet"
	"pgregory.net/rapid"
)

// printing is a world with an order for each of two hosts.
func printing(t testing.TB) *world {
	t.Helper()
	w := newWorld(t)
	w.hosts("web1", "web2")
	w.running("R1", "ccc", "web1", "web2")
	return w
}

func (w *world) record(rows ...db.LogRow) []db.LogTaken {
	w.t.Helper()
	told, err := w.d.RecordLogs(w.t.Context(), rows, w.now)
	must(w.t, err)
	return told
}

func (w *world) output(order string, from int64) fleet.Output {
	w.t.Helper()
	out, err := w.d.OrderLog(w.t.Context(), order, from)
	must(w.t, err)
	return out
}

func text(out fleet.Output) string {
	var b strings.Builder
	for _, c := range out.Chunks {
		b.WriteString(c.Text)
	}
	return b.String()
}

func piece(offset int64, text string) db.LogRow {
	return db.LogRow{StreamSeq: uint64(offset) + 1, Host: "web1", Order: "R1-web1", Offset: offset, Step: "building", Text: []byte(text)}
}

func last(r db.LogRow) db.LogRow {
	r.Last = true
	return r
}

func TestOutputIsRecordedOnceAndInOrder(t *testing.T) {
	t.Parallel()
	w := printing(t)
	other := piece(0, "other\n")
	other.Host, other.Order = "web2", "R1-web2"
	equal(t, "told", w.record(piece(0, "one\n"), other, piece(4, "two\n")), []db.LogTaken(nil))
	at := w.now
	w.after(time.Second)
	// Repeated, overlapping, and with a gap before it.
	equal(t, "told", w.record(piece(4, "two\n"), piece(2, "e\ntwo\nthree\n"), piece(99, "lost")),
		[]db.LogTaken{{Host: "web1", Order: "R1-web1", Bytes: 14}})
	equal(t, "output", w.output("R1-web1", 0), fleet.Output{
		Order: "R1-web1", Host: "web1", Next: 14, Chunks: []fleet.OutputChunk{
			{From: 0, To: 4, Step: "building", At: at, Text: "one\n"},
			{From: 4, To: 8, Step: "building", At: at, Text: "two\n"},
			{From: 8, To: 14, Step: "building", At: w.now, Text: "three\n"},
		},
	})
	equal(t, "told", w.record(last(piece(14, "end\n"))), []db.LogTaken{{Host: "web1", Order: "R1-web1", Bytes: 18, Whole: true}})
	equal(t, "a whole output grows no more", w.record(piece(18, "more"), last(piece(18, "more"))),
		[]db.LogTaken{{Host: "web1", Order: "R1-web1", Bytes: 18, Whole: true}})
	out := w.output("R1-web1", 8)
	equal(t, "the rest", text(out), "three\nend\n")
	if !out.Whole || out.Next != 18 {
		t.Errorf("output %+v", out)
	}
	equal(t, "from within a piece", text(w.output("R1-web1", 9)), "three\nend\n")
	if out := w.output("R1-web1", 18); len(out.Chunks) != 0 || !out.Whole || out.Next != 18 {
		t.Errorf("after the end: %+v", out)
	}
	if out := w.output("R1-web2", 0); text(out) != "other\n" || out.Whole {
		t.Errorf("of the other: %+v", out)
	}
	if seq, err := w.d.Cursor(t.Context(), "logs"); err != nil || seq != 100 {
		t.Errorf("cursor %d, %v, want 100", seq, err)
	}
}

func TestOutputThatIsNotToBeBelieved(t *testing.T) {
	t.Parallel()
	w := printing(t)
	foreign := piece(0, "forged")
	foreign.Host = "web2"
	unknown := last(piece(0, "x"))
	unknown.Order = "none \x00"
	equal(t, "told", w.record(foreign, unknown, last(foreign)), []db.LogTaken{
		{Host: "web1", Order: "none \x00", Whole: true}, {Host: "web2", Order: "R1-web1", Whole: true},
	})
	if n := w.count(`select count(*) from order_outputs`); n != 0 {
		t.Errorf("%d outputs, want none", n)
	}
	w.record(piece(0, "\x1b]0;title\a\x1b[31mred\x1b[0m \xff\x00\r\n"))
	equal(t, "output", text(w.output("R1-web1", 0)), "red \uFFFD\n")
	if out := w.output("R1-web1", 0); out.Next != 27 {
		t.Errorf("next %d, want what the host printed: 27", out.Next)
	}
	if _, err := w.d.OrderLog(t.Context(), "none \x00", 0); !errors.Is(err, db.ErrNotFound) {
		t.Errorf("output of no order: %v", err)
	}
}

func TestOutputWithoutEndIsNotKept(t *testing.T) {
	t.Parallel()
	w := printing(t)
	line := strings.Repeat("x", 32<<10)
	for i := range int64(33) {
		var rows []db.LogRow
		for j := range int64(16) {
			rows = append(rows, piece((16*i+j)*int64(len(line)), line))
		}
		w.record(rows...)
	}
	if n := w.count(`select bytes from order_outputs where whole`); n != 16<<20 {
		t.Errorf("%d bytes", n)
	}
	if n := w.count(`select sum(length(text)) from order_logs`); n > 100_000 {
		t.Errorf("%d bytes for one line that is repeated: not compressed?", n)
	}
	out := w.output("R1-web1", 0)
	if out.Next != 4<<20 || out.Whole {
		t.Errorf("a read goes to %d, whole %v", out.Next, out.Whole)
	}
}

// Whatever is repeated, late, overlaps or is lost, two servers at once included:
// what is stored is the beginning of what was printed.
func TestStoredOutputIsTheBeginningOfWhatWasPrinted(t *testing.T) {
	t.Parallel()
	w := printing(t)
	n := 0
	rapid.Check(t, func(rt *rapid.T) {
		n++
		id := "R1-web1"
		_, err := w.d.Pool().Exec(context.Background(), `delete from order_outputs`)
		must(t, err)
		printed := rapid.SliceOfN(rapid.ByteRange('a', 'z'), 1, 60).Draw(rt, "printed")
		batches := rapid.SliceOfN(rapid.SliceOfN(rapid.Custom(func(t *rapid.T) db.LogRow {
			from := rapid.IntRange(0, len(printed)).Draw(t, "from")
			to := rapid.IntRange(from, len(printed)).Draw(t, "to")
			return db.LogRow{Host: "web1", Order: id, Offset: int64(from), Text: printed[from:to], Last: to == len(printed)}
		}), 1, 6), 1, 6).Draw(rt, "batches")
		done := make(chan error)
		go func() {
			_, err := w.d.RecordLogs(context.Background(), batches[0], t0)
			done <- err
		}()
		for _, b := range batches {
			_, err := w.d.RecordLogs(context.Background(), b, t0)
			must(t, err)
		}
		must(t, <-done)
		out, err := w.d.OrderLog(context.Background(), id, 0)
		must(t, err)
		if got := text(out); !bytes.HasPrefix(printed, []byte(got)) || out.Whole && got != string(printed) {
			rt.Fatalf("stored %q (whole: %v) of %q", got, out.Whole, printed)
		}
		told, err := w.d.RecordLogs(context.Background(), []db.LogRow{{Host: "web1", Order: id, Text: printed, Last: true}}, t0)
		must(t, err)
		if out, err = w.d.OrderLog(context.Background(), id, 0); err != nil || text(out) != string(printed) || !out.Whole || !told[0].Whole {
			rt.Fatalf("in the end %+v, %v, told %+v", out, err, told)
		}
	})
}

func TestWhoFollowsAnOutputIsTold(t *testing.T) {
	t.Parallel()
	w := printing(t)
	ctx, cancel := context.WithCancel(t.Context())
	told, loops := make(chan struct{}, 100), make(chan struct{}, 100)
	ended := make(chan error, 2)
	go func() { ended <- w.d.ListenOutput(ctx, func() { told <- struct{}{} }) }()
	go func() { ended <- w.d.Listen(ctx, func() { loops <- struct{}{} }) }()
	<-told // both listen
	<-loops
	w.record(piece(0, "one\n"))
	<-told
	w.answer("R1-web1", "web1", 1, "healthy")
	<-told
	<-loops
	select {
	case <-loops:
		t.Error("output of orders wakes the loops")
	default:
	}
	cancel()
	must(t, <-ended)
	must(t, <-ended)
}

func TestTheEndOfAnOutput(t *testing.T) {
	t.Parallel()
	w := printing(t)
	var rows []db.LogRow
	for i := range 300 { // more pieces than one reading brings
		rows = append(rows, piece(int64(4*i), fmt.Sprintf("%03d\n", i)))
	}
	w.record(rows...)
	for _, c := range []struct {
		bytes int64
		first string
		lines int
	}{{1, "299\n", 1}, {4, "299\n", 1}, {9, "297\n", 3}, {1 << 20, "000\n", 300}} {
		out, err := w.d.OrderLogEnd(t.Context(), "R1-web1", c.bytes)
		must(t, err)
		if got := text(out); !strings.HasPrefix(got, c.first) || !strings.HasSuffix(got, "299\n") || len(got) != 4*c.lines {
			t.Errorf("the last %d bytes are %d, beginning with %.8q", c.bytes, len(got), got)
		}
	}
	if out, err := w.d.OrderLogEnd(t.Context(), "R1-web2", 10); err != nil || len(out.Chunks) > 0 {
		t.Errorf("of an order that printed nothing: %+v, %v", out, err)
	}
}

func TestNewestOrderWithOutput(t *testing.T) {
	t.Parallel()
	w := printing(t)
	find := func() string {
		t.Helper()
		id, err := w.d.OrderWithOutput(t.Context(), "web1")
		must(t, err)
		return id
	}
	equal(t, "under way", find(), "R1-web1")
	w.record(piece(0, "one\n"))
	w.answer("R1-web1", "web1", 1, "healthy")
	w.after(time.Minute)
	_, err := w.d.IssueOrders(t.Context(), []fleet.Order{w.order("O2", "web1", "", "ddd")}, w.now)
	must(t, err)
	equal(t, "a newer one is under way", find(), "O2")
	row := answerTo("O2", "web1", 1, "refused")
	row.Gen = 2
	_, err = w.d.RecordAnswers(t.Context(), []db.AnswerRow{row}, w.now)
	must(t, err)
	equal(t, "the newer one printed nothing", find(), "R1-web1")
	if _, err = w.d.OrderWithOutput(t.Context(), "nobody"); !errors.Is(err, db.ErrNotFound) {
		t.Errorf("of no host: %v", err)
	}
}

func TestOldOutputIsForgottenWhole(t *testing.T) {
	t.Parallel()
	w := printing(t)
	w.record(piece(0, "one\n"))
	w.after(time.Hour)
	w.record(last(piece(4, "two\n")))
	other := piece(0, "other\n")
	other.Host, other.Order = "web2", "R1-web2"
	w.record(other)
	prune := func(repo int64, before time.Time, limit int) int {
		t.Helper()
		n, err := w.d.PruneLogs(t.Context(), repo, before, limit)
		must(t, err)
		return n
	}
	equal(t, "while it grows", prune(w.repo.ID, w.now, 10), 0)
	later := w.after(time.Hour)
	equal(t, "of another repository", prune(0, later, 10)+prune(99, later, 10), 0)
	equal(t, "bounded", prune(w.repo.ID, later, 1), 1)
	equal(t, "the rest", prune(w.repo.ID, later, 10), 1)
	if out := w.output("R1-web1", 0); len(out.Chunks) != 0 || w.count(`select count(*) from order_logs`) != 0 {
		t.Errorf("kept %+v", out)
	}
	// The host may send its end again: it is not wanted, or begins anew, but nothing breaks.
	w.record(last(piece(8, "")))
}
