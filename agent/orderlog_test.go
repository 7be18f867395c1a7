package agent

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/nixfleet/nixfleet/agentbus"
	"pgregory.net/rapid"
)

// recorded is the output of one order as a server records it: each byte once, in
// order. What does not follow is asked for again.
type recorded struct {
	text  []byte
	whole bool
}

// take returns what the server says to a chunk, or nil.
func (r *recorded) take(c agentbus.LogChunk) *agentbus.LogConfirm {
	have, end := int64(len(r.text)), c.Offset+int64(len(c.Text))
	switch {
	case c.Offset > have:
		return &agentbus.LogConfirm{Bytes: have}
	case end > have:
		r.text = append(r.text, c.Text[have-c.Offset:]...)
	}
	if !c.Last {
		return nil
	}
	r.whole = r.whole || end == int64(len(r.text))
	return &agentbus.LogConfirm{Bytes: int64(len(r.text)), Whole: r.whole}
}

// outputs is the server's end for the output of a rig's host.
type outputs struct {
	mu  sync.Mutex
	got map[string]*recorded
}

func (r *rig) recordLogs() *outputs {
	r.t.Helper()
	o := &outputs{got: map[string]*recorded{}}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		_ = r.bus.Control.Logs(ctx, 0, func(ctx context.Context, batch []agentbus.ReceivedLog) error {
			o.mu.Lock()
			defer o.mu.Unlock()
			for _, l := range batch {
				rec := o.got[l.Chunk.Order]
				if rec == nil {
					rec = &recorded{}
					o.got[l.Chunk.Order] = rec
				}
				if say := rec.take(l.Chunk); say != nil {
					_ = r.bus.Control.Confirm(ctx, []agentbus.Confirm{{Host: l.Host, Order: l.Chunk.Order, Log: say}})
				}
			}
			return nil
		})
	})
	r.t.Cleanup(func() { cancel(); wg.Wait() })
	return o
}

// text is what is recorded of an order, and whether that is all.
func (o *outputs) text(order agentbus.Order) (string, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if r := o.got[order.ID]; r != nil {
		return string(r.text), r.whole
	}
	return "", false
}

func TestOutputIsStreamed(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	hold := r.path("hold")
	r.touch(hold)
	logs := r.recordLogs()
	r.start()
	o := r.send(agentbus.KindDeploy, r.commit(system{version: "v1 streamed", hold: hold}))
	eventually(t, "output of a build under way", func() bool {
		text, whole := logs.text(o)
		return strings.Contains(text, "building v1 streamed\n") && !whole
	})
	r.remove(hold)
	eventually(t, "all of it", func() bool { _, whole := logs.text(o); return whole })
	text, _ := logs.text(o)
	for _, want := range []string{"fetching branch main", "activating v1 streamed", "[nixfleet] done: "} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing in the output:\n%s", want, text)
		}
	}
	if kept, err := os.ReadFile(r.path("state", "logs", o.ID+".log")); err != nil || string(kept) != text {
		t.Errorf("the host keeps something else (%v):\n%s", err, kept)
	}
}

// deafLink is a bus that takes no output.
type deafLink struct{ Link }

func (deafLink) Log(context.Context, []agentbus.LogChunk) (int, error) {
	return 0, errors.New("the stream is full")
}

func TestOutputThatTheBusDidNotTakeIsSentByTheNextProcess(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.deaf = true
	stop := r.start()
	o := r.send(agentbus.KindPull, r.commit(system{version: "v1"}))
	r.await(o, agentbus.StepHealthy)
	stop()
	logs := r.recordLogs()
	r.deaf = false
	stop = r.start()
	eventually(t, "all of the output", func() bool { _, whole := logs.text(o); return whole })
	if text, _ := logs.text(o); !strings.Contains(text, "fetching branch main") {
		t.Errorf("output:\n%s", text)
	}
	eventually(t, "the host knows", func() bool {
		var s logState
		return readJSON(r.path("state", "logs", o.ID+".json"), &s) == nil && s.Whole
	})
	stop()
}

// A bus that loses, repeats and answers in vain, a server that is away, processes
// that end at any time: once that stops, the server has all of the output.
func TestOutputArrivesWholeWhateverIsLost(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		dir, err := os.MkdirTemp("", "logs")
		if err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(dir)
		now := time.Unix(1e9, 0)
		var server recorded
		var wrote []byte
		var book *logbook
		var log *orderLog
		begin := func() {
			if book, err = openLogbook(dir); err != nil {
				t.Fatal(err)
			}
			if log, err = book.open("o1"); err != nil {
				t.Fatal(err)
			}
		}
		begin()
		send := func(ended, faulty bool) {
			chunks, _ := log.next(ended, now)
			taken := len(chunks)
			if faulty {
				taken = rapid.IntRange(0, len(chunks)).Draw(t, "acknowledged")
			}
			late := faulty && rapid.Bool().Draw(t, "the bus answers after the server")
			if !late {
				log.took(chunks[:taken], now)
			}
			for _, c := range chunks {
				if faulty && rapid.IntRange(0, 3).Draw(t, "lost") == 0 {
					continue
				}
				say := server.take(c)
				if say != nil && (!faulty || rapid.Bool().Draw(t, "heard")) {
					book.confirm("o1", *say)
				}
			}
			if late {
				log.took(chunks[:taken], now)
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"print": func(t *rapid.T) {
				text := rapid.SliceOfN(rapid.Byte(), 1, 200).Draw(t, "text")
				text = bytes.Repeat(text, rapid.SampledFrom([]int{1, 1, 1, 1000}).Draw(t, "times"))
				log.write(text)
				wrote = append(wrote, text...)
			},
			"step":    func(*rapid.T) { log.at(rapid.SampledFrom(workSteps).Draw(t, "step")) },
			"send":    func(*rapid.T) { send(false, true) },
			"crash":   func(*rapid.T) { begin() },
			"restart": func(*rapid.T) { log.rest(); begin() },
		})
		log.close()
		if rapid.Bool().Draw(t, "sent before the end of the process") {
			send(true, true)
		}
		if book, err = openLogbook(dir); err != nil {
			t.Fatal(err)
		}
		for i := 0; len(book.pending()) > 0; i++ {
			if i == 1000 {
				t.Fatalf("never confirmed: %d of %d bytes", len(server.text), len(wrote))
			}
			log = book.pending()[0]
			send(true, false)
			now = now.Add(unconfirmedMax)
		}
		if !server.whole || !bytes.Equal(server.text, wrote) {
			t.Fatalf("the server has %d bytes (whole: %v), %d were written", len(server.text), server.whole, len(wrote))
		}
	})
}

var workSteps = []agentbus.Step{agentbus.StepFetching, agentbus.StepBuilding, agentbus.StepSwitching, agentbus.StepVerifying}

func TestChunksKeepLinesStepsAndCharactersTogether(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		text string
		more bool
		want int
	}{
		"a short text":            {"abc", true, 3},
		"a character begun":       {"ab\xe2\x82", true, 2},
		"a character that ends":   {"ab€", true, 5},
		"begun and never ended":   {"ab\xe2\x82", false, 4},
		"only a beginning":        {"\xf0\x9f", true, 0},
		"no text at all":          {"\x80\x80\x80\x80\x80", true, 5},
		"lines":                   {strings.Repeat("x", 30000) + "\n" + strings.Repeat("y", 9000), true, 30001},
		"an endless line":         {strings.Repeat("x", 40000), true, chunkBytes},
		"endless, in characters":  {"x" + strings.Repeat("ü", 20000), true, chunkBytes - 1},
		"a line too far in front": {"x\n" + strings.Repeat("y", 40000), false, chunkBytes},
	} {
		if got := cut([]byte(c.text), c.more); got != c.want {
			t.Errorf("%s: cut at %d, want %d", name, got, c.want)
		}
	}
	book := newTestBook(t)
	log, err := book.open("o1")
	if err != nil {
		t.Fatal(err)
	}
	log.write([]byte("a\xe2\x82")) // broken off by the next step
	log.at(agentbus.StepBuilding)
	log.write([]byte("b"))
	log.close()
	chunks, _ := log.next(true, time.Unix(1e9, 0))
	if len(chunks) != 2 || string(chunks[0].Text) != "a\xe2\x82" || chunks[0].Last || !chunks[1].Last || chunks[1].Step != agentbus.StepBuilding {
		t.Errorf("chunks %+v", chunks)
	}
}

func newTestBook(t *testing.T) *logbook {
	t.Helper()
	book, err := openLogbook(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return book
}

func TestOutputWithoutEndIsCutAndSaysSo(t *testing.T) {
	t.Parallel()
	book := newTestBook(t)
	log, err := book.open("o1")
	if err != nil {
		t.Fatal(err)
	}
	line := bytes.Repeat([]byte("ä"), 1<<19)
	for range 20 {
		log.write(line)
	}
	log.printf("failed at building: %s", "no end")
	log.close()
	text, err := os.ReadFile(filepath.Join(book.dir, "o1.log"))
	if err != nil {
		t.Fatal(err)
	}
	if len(text) > logLimit+ownRoom || !bytes.HasSuffix(text, []byte("the log is full; what follows is not kept\n[nixfleet] failed at building: no end\n")) {
		t.Errorf("%d bytes, ending with %q", len(text), text[max(0, len(text)-200):])
	}
	n, at := 0, int64(0)
	for {
		chunks, _ := log.next(true, time.Unix(1e9, 0))
		log.took(chunks, time.Unix(1e9, 0))
		for _, c := range chunks {
			if len(c.Text) > chunkBytes || !utf8.Valid(c.Text) || c.Offset != at {
				t.Fatalf("chunk of %d bytes at %d, want one at %d", len(c.Text), c.Offset, at)
			}
			at, n = at+int64(len(c.Text)), n+1
		}
		if len(chunks) == 0 {
			break
		}
	}
	if at != int64(len(text)) || n > 400 {
		t.Errorf("%d of %d bytes in %d chunks", at, len(text), n)
	}
}
