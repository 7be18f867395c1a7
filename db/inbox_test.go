package db_test

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/nixfleet/nixfleet/db"
	"github.com/nixfleet/nixfleet/db/dbtest"
	"github.com/nixfleet/nixfleet/fleet"
)

func delivery(guid string) db.Delivery {
	return db.Delivery{
		HookID: 1, GUID: guid, Event: "push", Action: "created", Headers: map[string]string{"User-Agent": "GitHub-Hookshot/x"},
		Payload: []byte(`{"zen":"x"}`), ReceivedAt: t0,
	}
}

func TestStoreDeliveryKeepsWhatCame(t *testing.T) {
	t.Parallel()
	d := dbtest.New(t)
	give := delivery("a")
	give.Payload = append([]byte("{\"nul\": \"\\u0000\"} \x00\xff\xfe"), bytes.Repeat([]byte("x"), 1<<20)...)
	give.Headers["X-Odd"] = "nul \x00 and \xff"
	for i, want := range []bool{true, false} {
		fresh, err := d.StoreDelivery(t.Context(), give)
		must(t, err)
		if fresh != want {
			t.Errorf("time %d: fresh = %v, want %v", i+1, fresh, want)
		}
	}
	other := give
	other.HookID = 2
	if fresh, err := d.StoreDelivery(t.Context(), other); err != nil || !fresh {
		t.Errorf("the same id from another hook: fresh = %v, %v", fresh, err)
	}
	claimed, err := d.ClaimDeliveries(t.Context(), t0, lease, 1)
	must(t, err)
	give.ID, give.Attempt = 1, 1
	give.Headers["X-Odd"] = "nul \uFFFD and \uFFFD"
	equal(t, "claimed", claimed, []db.Delivery{give}, cmpopts.IgnoreUnexported(db.Delivery{}),
		cmp.Comparer(bytes.Equal)) // by itself cmp takes seconds for a megabyte
}

func TestStoreDeliveryOfTheLargestPayload(t *testing.T) {
	t.Parallel()
	d := dbtest.New(t)
	give := delivery("a")
	give.Payload = bytes.Repeat([]byte{0xff}, 25<<20)
	_, err := d.StoreDelivery(t.Context(), give)
	must(t, err)
	claimed, err := d.ClaimDeliveries(t.Context(), t0, lease, 1)
	must(t, err)
	if !bytes.Equal(claimed[0].Payload, give.Payload) {
		t.Error("came back differently")
	}
}

func TestDeliveryIsClaimedAgainWhenItsWorkerDies(t *testing.T) {
	t.Parallel()
	d := dbtest.New(t)
	_, err := d.StoreDelivery(t.Context(), delivery("a"))
	must(t, err)
	first, err := d.ClaimDeliveries(t.Context(), t0, lease, 5)
	must(t, err)
	during, err := d.ClaimDeliveries(t.Context(), t0.Add(lease-time.Second), lease, 5)
	must(t, err)
	if len(first) != 1 || len(during) != 0 {
		t.Fatalf("claimed %d, then %d during the lease, want 1 and 0", len(first), len(during))
	}
	second, err := d.ClaimDeliveries(t.Context(), t0.Add(lease), lease, 5)
	must(t, err)
	if len(second) != 1 || second[0].Attempt != 2 {
		t.Fatalf("after the lease: %+v, want the second attempt", second)
	}
	facts := []fleet.Fact{fleetRepo(7)}
	if err := d.FinishDelivery(t.Context(), first[0], facts, t0); !errors.Is(err, db.ErrConflict) {
		t.Errorf("the dead worker finished: %v, want ErrConflict", err)
	}
	if repos, _ := d.Repos(t.Context()); len(repos) != 0 {
		t.Error("the dead worker's facts were recorded")
	}
	must(t, d.FinishDelivery(t.Context(), second[0], facts, t0))
	if repos, _ := d.Repos(t.Context()); len(repos) != 1 {
		t.Error("the facts were not recorded")
	}
	if err := d.FinishDelivery(t.Context(), second[0], facts, t0); !errors.Is(err, db.ErrConflict) {
		t.Errorf("finished twice: %v, want ErrConflict", err)
	}
}

func TestFailedDeliveryIsTriedAgainOrGivenUp(t *testing.T) {
	t.Parallel()
	d := dbtest.New(t)
	_, err := d.StoreDelivery(t.Context(), delivery("a"))
	must(t, err)
	claimed, err := d.ClaimDeliveries(t.Context(), t0, lease, 5)
	must(t, err)
	must(t, d.FailDelivery(t.Context(), claimed[0], errors.New("nul \x00"), t0.Add(time.Second)))
	claimed, err = d.ClaimDeliveries(t.Context(), t0.Add(time.Second), lease, 5)
	must(t, err)
	must(t, d.FailDelivery(t.Context(), claimed[0], nil, time.Time{}))
	claimed, err = d.ClaimDeliveries(t.Context(), t0.Add(time.Hour), lease, 5)
	must(t, err)
	if len(claimed) != 0 {
		t.Error("claimed although it was given up")
	}
}

func TestPruneDeliveriesKeepsWhatIsNotDone(t *testing.T) {
	t.Parallel()
	d := dbtest.New(t)
	for _, guid := range []string{"a", "b", "c"} {
		_, err := d.StoreDelivery(t.Context(), delivery(guid))
		must(t, err)
	}
	claimed, err := d.ClaimDeliveries(t.Context(), t0, lease, 2)
	must(t, err)
	for i, c := range claimed {
		must(t, d.FinishDelivery(t.Context(), c, nil, t0.Add(time.Duration(i)*time.Hour)))
	}
	n, err := d.PruneDeliveries(t.Context(), t0.Add(time.Minute), 100)
	must(t, err)
	if n != 1 {
		t.Errorf("pruned %d, want the one that was done before", n)
	}
}
