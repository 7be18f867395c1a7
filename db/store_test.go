package db_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/nixfleet/nixfleet/db"
	"github.com/nixfleet/nixfleet/db/dbtest"
)

// A burst, in which each delivery comes twice, to two replicas.
func TestABurstIsStoredOnceEach(t *testing.T) {
	t.Parallel()
	d := dbtest.New(t)
	const n = 300
	var fresh [n]atomic.Int64
	var g sync.WaitGroup
	for i := range 2 * n {
		g.Go(func() {
			give := delivery(fmt.Sprint("delivery ", i%n))
			give.Payload = []byte(give.GUID + strings.Repeat(".", i%n*500)) // some too large to share a batch
			is, err := d.StoreDelivery(t.Context(), give)
			if err != nil {
				t.Error(err)
			}
			if is {
				fresh[i%n].Add(1)
			}
		})
	}
	g.Wait()
	claimed, err := d.ClaimDeliveries(t.Context(), t0, lease, 2*n)
	must(t, err)
	if len(claimed) != n {
		t.Errorf("%d rows, want %d", len(claimed), n)
	}
	for _, c := range claimed {
		if !strings.HasPrefix(string(c.Payload), c.GUID+".") && string(c.Payload) != c.GUID {
			t.Errorf("%s holds the payload of another: %.40q", c.GUID, c.Payload)
		}
	}
	for i := range fresh {
		if got := fresh[i].Load(); got != 1 {
			t.Errorf("delivery %d was new %d times", i, got)
		}
	}
}

func TestOneThatPostgresRefusesKeepsOutNoOther(t *testing.T) {
	t.Parallel()
	d := dbtest.New(t)
	noise := make([]byte, 20<<10)
	_, _ = rand.Read(noise)
	var g sync.WaitGroup
	for i := range 100 {
		g.Go(func() {
			bad := i%10 == 0
			give := delivery(fmt.Sprint(i))
			if bad {
				give.GUID += fmt.Sprintf("%x", noise) // longer than an index can hold
			}
			fresh, err := d.StoreDelivery(t.Context(), give)
			if bad && err == nil || !bad && (err != nil || !fresh) {
				t.Errorf("delivery %d: %v, %v", i, fresh, err)
			}
		})
	}
	g.Wait()
	claimed, err := d.ClaimDeliveries(t.Context(), t0, lease, 200)
	must(t, err)
	if len(claimed) != 90 {
		t.Errorf("%d rows, want 90", len(claimed))
	}
}

func TestNothingIsStoredForWhoHasGoneOrAfterClosing(t *testing.T) {
	t.Parallel()
	d, err := db.Open(t.Context(), db.Options{URL: dbtest.Server(t)})
	must(t, err)
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	large := delivery("large")
	large.Payload = make([]byte, 1<<20)
	for _, give := range []db.Delivery{delivery("small"), large} {
		if fresh, err := d.StoreDelivery(gone, give); fresh || !errors.Is(err, context.Canceled) {
			t.Errorf("%s, for nobody: %v, %v", give.GUID, fresh, err)
		}
	}
	// Closing waits for what was begun and refuses the rest; nobody is left without
	// an answer.
	var g sync.WaitGroup
	var kept, refused atomic.Int64
	begun := make(chan struct{}, 200)
	for i := range cap(begun) {
		g.Go(func() {
			begun <- struct{}{}
			if _, err := d.StoreDelivery(t.Context(), delivery(fmt.Sprint(i))); err != nil {
				refused.Add(1)
			} else {
				kept.Add(1)
			}
		})
	}
	<-begun
	d.Close()
	g.Wait()
	if kept.Load()+refused.Load() != 200 {
		t.Errorf("%d kept and %d refused", kept.Load(), refused.Load())
	}
	for _, give := range []db.Delivery{delivery("small"), large} {
		if fresh, err := d.StoreDelivery(t.Context(), give); fresh || err == nil {
			t.Errorf("%s, after closing: %v, %v", give.GUID, fresh, err)
		}
	}
}
