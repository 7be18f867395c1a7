package db

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/nixfleet/nixfleet/fleet"
)

// logsCursor names the cursor that RecordLogs moves.
const logsCursor = "logs"

// maxOutput is where the recording of an order's output ends. An honest host stops
// at half of that.
const maxOutput = 16 << 20

// LogRow is a piece of an order's output, as the bus delivered it.
type LogRow struct {
	StreamSeq uint64 // its place in the bus' stream
	Host      string // from the subject that the broker guards
	Order     string
	Offset    int64 // of its first byte in the order's output
	Step      string
	Text      []byte // as the host sent it, not to be believed
	Last      bool   // the output ends with it
}

// LogTaken tells a host how far an order's output is recorded.
type LogTaken struct {
	Host  string
	Order string
	Bytes int64
	Whole bool // nothing more is wanted
}

// RecordLogs stores a batch of output in one transaction, with the cursor. Output
// grows at its end only, so it has no gaps: what is recorded already changes
// nothing, and what does not follow is not stored. The host is told where to go
// on when that happens, and when a last piece came. What is printed by no order
// that the host has is not wanted.
func (d *DB) RecordLogs(ctx context.Context, rows []LogRow, now time.Time) ([]LogTaken, error) {
	if len(rows) == 0 {
		return nil, nil
	}
	var told []LogTaken
	err := d.tx(ctx, func(tx pgx.Tx) error {
		known, err := readOutputs(ctx, tx, rows, now)
		if err != nil {
			return err
		}
		b := &logBatch{now: now, known: known}
		for _, r := range rows {
			b.add(r)
		}
		told = b.told
		return tx.SendBatch(ctx, b.statements(d.outputChannel())).Close()
	})
	if err != nil {
		return nil, fmt.Errorf("record %d pieces of output: %w", len(rows), err)
	}
	return told, nil
}

// hostOrder is an order of a host: no host prints for another's.
type hostOrder struct{ Host, Order string }

// recordedOutput is how far an order's output is recorded.
type recordedOutput struct {
	bytes   int64
	whole   bool
	changed bool
}

// readOutputs locks the outputs that rows belong to, and begins those that are new.
func readOutputs(ctx context.Context, tx pgx.Tx, rows []LogRow, now time.Time) (map[hostOrder]*recordedOutput, error) {
	pairs := map[hostOrder]bool{}
	var hosts, orders []string
	for _, r := range rows {
		if k := (hostOrder{r.Host, r.Order}); !pairs[k] {
			pairs[k] = true
			hosts, orders = append(hosts, r.Host), append(orders, r.Order)
		}
	}
	var batch pgx.Batch
	batch.Queue(`
		insert into order_outputs (order_id, at)
		select o.id, @now from unnest(@hosts::text[], @orders::text[]) c (host, id) join orders o using (host, id)
		order by o.id on conflict do nothing`, args{"hosts": hosts, "orders": orders, "now": now})
	known := make(map[hostOrder]*recordedOutput, len(hosts))
	batch.Queue(`
		select o.host, o.id, p.bytes, p.whole
		from unnest(@hosts::text[], @orders::text[]) c (host, id) join orders o using (host, id)
		join order_outputs p on p.order_id = o.id
		order by p.order_id for no key update of p`, args{"hosts": hosts, "orders": orders}).Query(func(found pgx.Rows) error {
		var k hostOrder
		var out recordedOutput
		_, err := pgx.ForEachRow(found, []any{&k.Host, &k.Order, &out.bytes, &out.whole}, func() error {
			known[k] = &recordedOutput{bytes: out.bytes, whole: out.whole}
			return nil
		})
		return err
	})
	return known, tx.SendBatch(ctx, &batch).Close()
}

// logPiece is a piece of output as it is stored.
type logPiece struct {
	order string
	from  int64
	bytes int
	step  string
	text  []byte
}

// logBatch gathers what a batch of output writes.
type logBatch struct {
	now    time.Time
	known  map[hostOrder]*recordedOutput
	pieces []logPiece
	told   []LogTaken
	cursor uint64
}

func (b *logBatch) add(r LogRow) {
	b.cursor = max(b.cursor, r.StreamSeq)
	out := b.known[hostOrder{r.Host, r.Order}]
	switch {
	case out == nil && r.Last:
		b.tell(LogTaken{Host: r.Host, Order: r.Order, Whole: true})
		return
	case out == nil || out.whole && !r.Last:
		return
	case !out.whole && r.Offset > out.bytes:
		b.tell(LogTaken{Host: r.Host, Order: r.Order, Bytes: out.bytes})
		return
	}
	end := r.Offset + int64(len(r.Text))
	if !out.whole && end > out.bytes {
		text := r.Text[out.bytes-r.Offset:]
		b.pieces = append(b.pieces, logPiece{r.Order, out.bytes, len(text), r.Step, packText(fleet.PlainText(text))})
		out.bytes, out.changed = end, true
		out.whole = end >= maxOutput
	}
	if r.Last {
		if !out.whole && end == out.bytes {
			out.whole, out.changed = true, true
		}
		b.tell(LogTaken{Host: r.Host, Order: r.Order, Bytes: out.bytes, Whole: out.whole})
	}
}

// tell keeps the newest word for each order.
func (b *logBatch) tell(t LogTaken) {
	for i := range b.told {
		if b.told[i].Host == t.Host && b.told[i].Order == t.Order {
			b.told[i] = t
			return
		}
	}
	b.told = append(b.told, t)
}

func (b *logBatch) statements(channel string) *pgx.Batch {
	var batch pgx.Batch
	var ids []string
	var bytes []int64
	var whole []bool
	for k, out := range b.known {
		if out.changed {
			ids, bytes, whole = append(ids, k.Order), append(bytes, out.bytes), append(whole, out.whole)
		}
	}
	if len(ids) > 0 {
		batch.Queue(`
			update order_outputs p set bytes = c.bytes, whole = c.whole, at = @now
			from unnest(@ids::text[], @bytes::bigint[], @whole::boolean[]) c (id, bytes, whole) where p.order_id = c.id`,
			args{"ids": ids, "bytes": bytes, "whole": whole, "now": b.now})
		batch.Queue(`select pg_notify(@channel, '')`, args{"channel": channel})
	}
	if len(b.pieces) > 0 {
		b.queuePieces(&batch)
	}
	batch.Queue(`
		insert into cursors (name, seq) values (@name, @seq)
		on conflict (name) do update set seq = greatest(cursors.seq, excluded.seq)`,
		args{"name": logsCursor, "seq": int64(b.cursor)})
	return &batch
}

func (b *logBatch) queuePieces(batch *pgx.Batch) {
	n := len(b.pieces)
	ids, from, sizes := make([]string, n), make([]int64, n), make([]int32, n)
	steps, texts := make([]string, n), make([][]byte, n)
	for i, p := range b.pieces {
		ids[i], from[i], sizes[i], steps[i], texts[i] = p.order, p.from, int32(p.bytes), p.step, p.text
	}
	batch.Queue(`
		insert into order_logs (order_id, at_byte, bytes, step, at, text)
		select c.id, c.at_byte, c.bytes, c.step, @now, c.text
		from unnest(@ids::text[], @from::bigint[], @sizes::int[], @steps::text[], @texts::bytea[]) c (id, at_byte, bytes, step, text)
		on conflict do nothing`,
		args{"ids": ids, "from": from, "sizes": sizes, "steps": steps, "texts": texts, "now": b.now})
}
