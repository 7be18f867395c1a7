package app

import (
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/nixfleet/nixfleet/db"
	"github.com/nixfleet/nixfleet/db/dbtest"
)

func TestADeliveryThatCannotBeStoredKeepsNoOtherWaiting(t *testing.T) {
	t.Parallel()
	url := dbtest.Server(t)
	d, err := db.Open(t.Context(), db.Options{URL: url})
	must(t, err)
	t.Cleanup(d.Close)
	conn, err := pgx.Connect(t.Context(), url)
	must(t, err)
	defer func() { _ = conn.Close(t.Context()) }()
	_, err = conn.Exec(t.Context(), `alter table updates add check (number <> 666)`)
	must(t, err)
	r := newReplica(t, d)
	for i, number := range []string{"666", "7", "8"} {
		_, err := d.StoreDelivery(t.Context(), db.Delivery{
			HookID: 1, GUID: number, Event: "pull_request", ReceivedAt: r.clock.now().Add(time.Duration(i) * time.Millisecond),
			Payload: []byte(`{"action":"opened","number":` + number + `,"pull_request":{"number":` + number + `},` +
				`"repository":{"id":7,"name":"r","default_branch":"main","owner":{"login":"o"}},"installation":{"id":3}}`),
		})
		must(t, err)
	}
	r.clock.forward(time.Second)
	_, err = r.workInbox(t.Context())
	must(t, err)
	claims, err := d.ClaimUpdates(t.Context(), r.clock.now(), lease, 10)
	must(t, err)
	if len(claims) != 2 {
		t.Errorf("%d updates are due, want those of the two deliveries behind", len(claims))
	}
	if !strings.Contains(r.log.String(), "tried again later") {
		t.Errorf("the log says %q", r.log)
	}
	if left := r.empty(t); left != 0 {
		t.Errorf("%d deliveries are due at once", left)
	}
}
