package agent

import (
	"errors"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var (
	wasUnwell = &finding{code: findUnhealthy, err: errors.New("unwell")}
	wasLost   = &finding{code: findNetworkLost, err: errors.New("lost")}
	wasDown   = &finding{code: findServerDown, err: errors.New("down")}
	wasBroken = &finding{code: findUnitsFailed, err: errors.New("a unit failed"), lasting: true}
)

// Looks come once a second and take no time; the settle time is 3 s, and one has
// to begin within 10 s.
func TestPatience(t *testing.T) {
	t.Parallel()
	well := (*finding)(nil)
	for _, tt := range []struct {
		name  string
		alone bool
		looks []*finding // the last one goes on for ever
		at    int        // second of the verdict
		want  string     // "keep", "keep with a note", or the code
	}{
		{"well at once", false, []*finding{well}, 3, "keep"},
		{"well after a while", false, []*finding{wasLost, wasUnwell, well}, 5, "keep"},
		{"unwell once more begins anew", false, []*finding{well, well, wasUnwell, well}, 6, "keep"},
		{"the last good begin", false, []*finding{wasLost, wasLost, wasLost, wasLost, wasLost, wasLost, wasLost, wasLost, wasLost, well}, 12, "keep"},
		{"one fails late, for good", false, []*finding{well, well, wasBroken}, 2, findUnitsFailed},
		{"never well", false, []*finding{wasUnwell}, 10, findUnhealthy},
		{"the last reason counts", false, []*finding{wasUnwell, wasLost}, 10, findNetworkLost},
		{"well, then unwell at the end", false, []*finding{wasLost, wasLost, wasLost, wasLost, wasLost, wasLost, wasLost, wasLost, well, well, wasUnwell}, 10, findUnhealthy},
		{"the server is down, and that counts", false, []*finding{wasDown}, 10, findServerDown},
		{"the server is down, and that is all", true, []*finding{wasDown}, 10, "keep with a note"},
		{"the server comes back", true, []*finding{wasDown, wasDown, well}, 5, "keep"},
		{"the server comes and goes", true, []*finding{wasDown, well, wasDown, well, well, wasDown}, 10, "keep with a note"},
		{"the server is down, and late all else is well", true, []*finding{wasLost, wasLost, wasLost, wasLost, wasLost, wasLost, wasLost, wasLost, wasLost, wasDown}, 12, "keep with a note"},
		{"the server is down, and something is wrong", true, []*finding{wasDown, wasUnwell}, 10, findUnhealthy},
		{"the server is down, and a unit fails", true, []*finding{wasDown, wasBroken}, 1, findUnitsFailed},
	} {
		t.Run(tt.name, func(t *testing.T) {
			start := time.Unix(0, 0)
			p := patience{settle: 3 * time.Second, until: start.Add(10 * time.Second), alone: tt.alone}
			for n := 0; ; n++ {
				now := start.Add(time.Duration(n) * time.Second)
				v, wait := p.see(tt.looks[min(n, len(tt.looks)-1)], now, now)
				if v == nil {
					if n > 20 {
						t.Fatal("no verdict")
					}
					if wait <= 0 || wait > checkPause {
						t.Fatalf("waits %s for the next look", wait)
					}
					continue
				}
				got := v.Code
				if v.Keep {
					got = "keep"
				}
				if v.Note != "" {
					got += " with a note"
				}
				if got != tt.want || n != tt.at {
					t.Errorf("%s at second %d, want %s at %d", got, n, tt.want, tt.at)
				}
				return
			}
		})
	}
}

// Whatever the looks say and however long they take: a switch is kept only after
// looks that were all good for the whole settle time, and it is decided by the
// time that one which began in time can have ended.
func TestPatienceKeepsOnlyWhatStayedWell(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		start := time.Unix(0, 0)
		settle := time.Duration(rapid.IntRange(0, 5000).Draw(t, "settle")) * time.Millisecond
		p := patience{settle: settle, until: start.Add(10 * time.Second), alone: rapid.Bool().Draw(t, "alone")}
		now, since := start, time.Time{}
		for {
			began := now
			bad := rapid.SampledFrom([]*finding{nil, nil, nil, wasDown, wasUnwell, wasLost, wasBroken}).Draw(t, "finding")
			now = now.Add(time.Duration(rapid.IntRange(0, 2000).Draw(t, "took")) * time.Millisecond)
			good := bad == nil || p.alone && bad == wasDown
			if !good {
				since = time.Time{}
			} else if since.IsZero() {
				since = now
			}
			v, wait := p.see(bad, began, now)
			if v == nil {
				now = now.Add(wait)
				if now.After(p.until.Add(settle + 3*time.Second)) {
					t.Fatal("no verdict in time")
				}
				continue
			}
			if v.Keep && (!good || settle > 0 && began.Sub(since) < settle) {
				t.Fatalf("kept at %s, well since %s", now, since)
			}
			if !v.Keep && good {
				t.Fatalf("went back although all was well: %+v", v)
			}
			return
		}
	})
}
