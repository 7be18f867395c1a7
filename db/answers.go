package db

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/nixfleet/nixfleet/fleet"
)

// answersCursor names the cursor that RecordAnswers moves.
const answersCursor = "answers"

// AnswerRow is one answer of one host, as the bus delivered it.
type AnswerRow struct {
	StreamSeq uint64 // its place in the bus' stream
	Host      string // from the subject that the broker guards
	Order     string
	Gen       uint64
	Seq       uint32 // counts from 1 within the order
	Step      string
	At        time.Time // the host's clock
	Note      string    // one line for people
	Failure   *fleet.HostError
	Facts     *fleet.HostFacts // what the host saw after the step
	// Change and Generations take the place of what is known; nil leaves it.
	Change      *fleet.Change      // what the order does to the system
	Generations []fleet.Generation // that the host can go back to
	Evaluated   []Evaluated        // of an evaluator
	Lock        bool               // Raw has a lock in it
	Raw         []byte             // the answer as it was sent
}

// Confirmed tells a host up to where its answers to an order need not be repeated.
type Confirmed struct {
	Host  string
	Order string
	Seq   uint32
}

// answerEvents are the steps that move a host: the words of its answers. The
// other events of the table are for the server alone to raise.
var answerEvents = map[string]fleet.HostEvent{
	"received":   fleet.HostSaysReceived,
	"fetching":   fleet.HostSaysFetching,
	"building":   fleet.HostSaysBuilding,
	"switching":  fleet.HostSaysSwitching,
	"verifying":  fleet.HostSaysVerifying,
	"healthy":    fleet.HostSaysHealthy,
	"failed":     fleet.HostSaysFailed,
	"reverted":   fleet.HostSaysReverted,
	"refused":    fleet.HostSaysRefused,
	"superseded": fleet.HostSaysSuperseded,
	"deferred":   fleet.HostPutOff,
	"cancelled":  fleet.HostSaysCancelled,
}

// maxStored is how many answers to one order are kept, each up to the size of a
// message. An honest agent sends about ten. What comes after is confirmed like any
// other; of it, only what ends the order is kept.
const maxStored = 500

// ends reports whether an answer is the one that ends its order.
func ends(o *answered, r AnswerRow) bool {
	event, ok := answerEvents[r.Step]
	return ok && !fleet.OrderEnded(o.state) && fleet.OrderEnded(fleet.NextHostState(o.state, event))
}

// Cursor returns how far a stream has been recorded; 0 means not at all.
func (d *DB) Cursor(ctx context.Context, name string) (uint64, error) {
	seq, err := value[int64](ctx, d.pool, `select coalesce((select seq from cursors where name = @name), 0)`, args{"name": name})
	if err != nil {
		return 0, fmt.Errorf("read cursor %s: %w", name, err)
	}
	return uint64(seq), nil
}

// ResetCursor puts a cursor back, for a stream that was lost and begins anew.
func (d *DB) ResetCursor(ctx context.Context, name string, seq uint64) error {
	_, err := d.pool.Exec(ctx, `
		insert into cursors (name, seq) values (@name, @seq) on conflict (name) do update set seq = excluded.seq`,
		args{"name": name, "seq": int64(seq)})
	if err != nil {
		return fmt.Errorf("reset cursor %s: %w", name, err)
	}
	return nil
}

// RecordAnswers stores a batch of answers in one transaction: the answers
// themselves, the state of their orders and of the hosts in their rollouts, the
// facts that came along, and the cursor. An answer that was recorded before, or
// comes late, changes nothing. Every answer is confirmed, also one to an order
// that we do not know or that is another host's: repeating it would not help.
func (d *DB) RecordAnswers(ctx context.Context, rows []AnswerRow, now time.Time) ([]Confirmed, error) {
	if len(rows) == 0 {
		return nil, nil
	}
	err := d.tx(ctx, func(tx pgx.Tx) error { return d.recordAnswers(ctx, tx, rows, now) })
	if unstorable(err) {
		err = d.recordApart(ctx, rows, err, now)
	}
	if err != nil {
		return nil, fmt.Errorf("record %d answers: %w", len(rows), err)
	}
	return confirmed(rows), nil
}

func confirmed(rows []AnswerRow) []Confirmed {
	type order struct{ host, id string }
	at := make(map[order]int, len(rows))
	var list []Confirmed
	for _, r := range rows {
		i, ok := at[order{r.Host, r.Order}]
		if !ok {
			at[order{r.Host, r.Order}] = len(list)
			list = append(list, Confirmed{r.Host, r.Order, r.Seq})
			continue
		}
		list[i].Seq = max(list[i].Seq, r.Seq)
	}
	return list
}

// recordAnswers takes two round trips however large the batch is: one to lock
// and read what the answers are about, one to write what follows.
func (d *DB) recordAnswers(ctx context.Context, tx pgx.Tx, rows []AnswerRow, now time.Time) error {
	ids := make([]string, len(rows))
	for i, r := range rows {
		ids[i] = r.Order
	}
	known, err := readAnswered(ctx, tx, ids, now)
	if err != nil {
		return err
	}
	b := &answerBatch{now: now, known: known}
	for _, r := range rows {
		b.add(r)
	}
	return tx.SendBatch(ctx, b.statements(d.channel)).Close()
}

// answerBatch gathers what a batch of answers writes.
type answerBatch struct {
	now    time.Time
	known  map[string]*answered
	stored []AnswerRow
	cursor uint64
}

// add applies one answer. One that names another host's order, or another
// generation, is none of that order's.
func (b *answerBatch) add(r AnswerRow) {
	b.cursor = max(b.cursor, r.StreamSeq)
	o, ok := b.known[r.Order]
	if !ok || o.row.Host != r.Host || uint64(o.row.Gen) != r.Gen {
		return
	}
	if r.Seq <= maxStored || ends(o, r) {
		b.stored = append(b.stored, r)
	}
	o.received = true
	if r.Facts != nil && (o.facts == nil || !r.Facts.At.Before(o.facts.At)) {
		o.facts = r.Facts
	}
	if r.Change != nil {
		o.change = r.Change
	}
	o.learn(r)
	event, ok := answerEvents[r.Step]
	if !ok || fleet.OrderEnded(o.state) {
		return // what has ended stays as it ended
	}
	was := o.state
	o.apply(event, r.Failure, b.now)
	if o.state != was && r.Note != "" {
		o.note = r.Note
	}
}

func (b *answerBatch) statements(channel string) *pgx.Batch {
	var batch pgx.Batch
	orders, hosts := movedOf(b.known)
	if len(hosts) > 0 {
		queueProgress(&batch, hosts)
	}
	b.queueFacts(&batch)
	if len(orders) > 0 {
		queueOrders(&batch, orders, b.now)
		queueNext(&batch, hostsOf(orders), b.now)
	}
	b.queueBrought(&batch)
	if len(b.stored) > 0 {
		b.queueAnswers(&batch)
		batch.Queue(`select pg_notify(@channel, '')`, args{"channel": channel})
	}
	batch.Queue(`
		insert into cursors (name, seq) values (@name, @seq)
		on conflict (name) do update set seq = greatest(cursors.seq, excluded.seq)`,
		args{"name": answersCursor, "seq": int64(b.cursor)})
	return &batch
}

func (b *answerBatch) queueAnswers(batch *pgx.Batch) {
	n := len(b.stored)
	orders, seqs, steps, at, raw := make([]string, n), make([]int64, n), make([]string, n), make([]time.Time, n), make([][]byte, n)
	for i, r := range b.stored {
		orders[i], seqs[i], steps[i], at[i], raw[i] = r.Order, int64(r.Seq), r.Step, storableTime(r.At), nonNil(r.Raw)
	}
	batch.Queue(`
		insert into answers (order_id, seq, step, at, recorded, raw)
		select c.order_id, c.seq, c.step, c.at, @now, c.raw
		from unnest(@orders::text[], @seqs::bigint[], @steps::text[], @at::timestamptz[], @raw::bytea[]) c (order_id, seq, step, at, raw)
		on conflict do nothing`,
		args{"orders": orders, "seqs": seqs, "steps": steps, "at": at, "raw": raw, "now": b.now})
}

// storableTime bounds a host's clock to what Postgres and people can read.
func storableTime(t time.Time) time.Time {
	if t.Year() < 1970 || t.Year() > 9999 {
		return time.Unix(0, 0)
	}
	return t
}

func (b *answerBatch) queueFacts(batch *pgx.Batch) {
	beats := map[string]Beat{}
	for _, r := range b.stored {
		beat := beats[r.Host]
		beat.Host, beat.At = r.Host, b.now // an answer is a sign of life
		if o := b.known[r.Order]; o.facts != nil {
			beat.Facts = *o.facts
		}
		if r.Generations != nil {
			beat.Generations = r.Generations
		}
		beats[r.Host] = beat
	}
	if len(beats) > 0 {
		queueBeats(batch, beats)
	}
}
