package agent

import (
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"testing"
	"time"
)

// Whoever decides at the same moment: all hear the same verdict, it is one of
// theirs, and it stays.
func TestVerdictsAgree(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for round := range 300 {
		d := jobDir(fmt.Sprintf("%s/%d", dir, round))
		if err := os.Mkdir(string(d), 0o700); err != nil {
			t.Fatal(err)
		}
		given := []verdict{{Keep: true}, {Code: "no_word", Reason: "late"}, {Keep: true, Note: "again"}, {Code: findUnhealthy}}[:2+round%3]
		heard := make([]verdict, len(given))
		start := make(chan struct{})
		var wg sync.WaitGroup
		for i, v := range given {
			wg.Go(func() {
				<-start
				var err error
				if heard[i], err = d.decide(v); err != nil {
					t.Error(err)
				}
			})
		}
		close(start)
		wg.Wait()
		var kept verdict
		if ok, err := d.read(verdictFile, &kept); !ok || err != nil {
			t.Fatal(ok, err)
		}
		theirs := false
		for i := range given {
			theirs = theirs || given[i] == kept
			if heard[i] != kept {
				t.Fatalf("round %d: %+v heard %+v, but %+v is on record", round, given[i], heard[i], kept)
			}
		}
		if again, err := d.decide(verdict{Code: "later"}); err != nil || again != kept || !theirs {
			t.Fatalf("round %d: %+v became %+v, %v", round, kept, again, err)
		}
	}
}

// The agent's word comes about when the supervisor's patience ends. Either may
// win, but then it has won for both: a switch that the agent may call good is
// never undone, and one that is undone is never called good.
func TestWordAtTheLastMoment(t *testing.T) {
	t.Parallel()
	won := map[bool]int{}
	for round := range 16 {
		p := newBare(t)
		p.job.VerifyTimeout = time.Duration(5+rand.IntN(20)) * time.Millisecond
		d := p.begin()
		cmd, _ := p.supervise()
		eventually(t, "the word is awaited", func() bool { return d.has(waitingFile) || d.has(outcomeFile) })
		pause(t.Context(), time.Duration(rand.Int64N(int64(p.job.VerifyTimeout)))) // anything else is a race, too
		v, err := d.decide(verdict{Keep: true})
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Wait(); err != nil {
			t.Fatal(err)
		}
		won[v.Keep]++
		o, at := p.outcome(), readLink(p.at("current"))
		if v.Keep != (o.Result == resultKept) || v.Keep != (at == p.at("NEW")) {
			t.Fatalf("round %d: the agent heard %+v, the outcome is %+v, and %s runs", round, v, o, at)
		}
	}
	t.Logf("the agent was first in %d rounds, the supervisor in %d", won[true], won[false])
}
