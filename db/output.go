package db

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/klauspost/compress/zstd"
	"github.com/nixfleet/nixfleet/fleet"
)

// piecesAtOnce bounds one answer of OrderLog, to some megabytes.
const piecesAtOnce = 128

// OrderLog reads the output of an order from a byte on, which is 0 or the Next of
// an earlier call. Output that was never recorded, or is forgotten, is empty.
func (d *DB) OrderLog(ctx context.Context, order string, from int64) (fleet.Output, error) {
	type row struct {
		AtByte int64
		Bytes  int32
		Step   string
		At     time.Time
		Text   []byte
	}
	type state struct {
		ID      string
		Host    string
		EndedAt time.Time
		Bytes   int64
		Whole   bool
		Change  *fleet.Change
	}
	var pieces []row
	var states []state
	var b pgx.Batch
	collect(&b, `
		select at_byte, bytes, step, at, text from order_logs
		where order_id = @id and at_byte + bytes > @from
			and at_byte >= coalesce((select max(at_byte) from order_logs where order_id = @id and at_byte <= @from), 0)
		order by at_byte limit @limit`, args{"id": order, "from": from, "limit": piecesAtOnce}, func(r row) { pieces = append(pieces, r) })
	collect(&b, `
		select o.id, o.host, o.ended_at, coalesce(p.bytes, 0) as bytes, coalesce(p.whole, false) as whole, o.change
		from orders o left join order_outputs p on p.order_id = o.id where o.id = @id`,
		args{"id": order}, func(s state) { states = append(states, s) })
	err := d.pool.SendBatch(ctx, &b).Close()
	if err == nil && len(states) == 0 {
		err = ErrNotFound
	}
	if err != nil {
		return fleet.Output{}, fmt.Errorf("read output of order %s: %w", cleanText(order), err)
	}
	s := states[0]
	out := fleet.Output{Order: s.ID, Host: s.Host, EndedAt: s.EndedAt, Next: from, Change: s.Change}
	for _, r := range pieces {
		text, err := unpackText(r.Text)
		if err != nil {
			return out, fmt.Errorf("read output of order %s at %d: %w", s.ID, r.AtByte, err)
		}
		out.Next = r.AtByte + int64(r.Bytes)
		out.Chunks = append(out.Chunks, fleet.OutputChunk{From: r.AtByte, To: out.Next, Step: r.Step, At: r.At, Text: text})
	}
	out.Whole = s.Whole && out.Next >= s.Bytes
	return out, nil
}

// OrderLogEnd reads the end of what an order has printed by now: so many bytes, and
// what belongs to the first one's piece.
func (d *DB) OrderLogEnd(ctx context.Context, order string, bytes int64) (fleet.Output, error) {
	size, err := value[int64](ctx, d.pool, `select coalesce(max(bytes), 0) from order_outputs where order_id = @id`, args{"id": order})
	if err != nil {
		return fleet.Output{}, fmt.Errorf("read output of order %s: %w", cleanText(order), err)
	}
	end, err := d.OrderLog(ctx, order, max(0, size-bytes))
	for err == nil && end.Next < size { // it came in many small pieces
		var more fleet.Output
		if more, err = d.OrderLog(ctx, order, end.Next); len(more.Chunks) == 0 {
			break
		}
		more.Chunks = append(end.Chunks, more.Chunks...)
		end = more
	}
	return end, err
}

// OrderWithOutput is the newest order of a host that is under way or has printed
// something.
func (d *DB) OrderWithOutput(ctx context.Context, host string) (string, error) {
	id, err := value[string](ctx, d.pool, `
		select o.id from orders o
		where o.host = @host and (o.ended_at is null or exists (select from order_outputs p where p.order_id = o.id and p.bytes > 0))
		order by o.gen desc limit 1`, args{"host": host})
	if err != nil {
		return "", fmt.Errorf("find output of host %s: %w", cleanText(host), err)
	}
	return id, nil
}

// RepoPolicies are the policies of the watched repositories as they were last read.
func (d *DB) RepoPolicies(ctx context.Context) (map[int64]fleet.Policy, error) {
	policies, err := repoPolicies(ctx, d.pool)
	if err != nil {
		return nil, fmt.Errorf("read policies: %w", err)
	}
	return policies, nil
}

func repoPolicies(ctx context.Context, q querier) (map[int64]fleet.Policy, error) {
	type row struct {
		ID     int64
		Policy *fleet.Policy
	}
	rows, err := all[row](ctx, q, `select id, policy from repos`, args{})
	if err != nil {
		return nil, err
	}
	policies := make(map[int64]fleet.Policy, len(rows))
	for _, r := range rows {
		policies[r.ID] = fleet.DefaultPolicy()
		if r.Policy != nil {
			policies[r.ID] = *r.Policy
		}
	}
	return policies, nil
}

// PruneLogs forgets whole outputs that last grew before a time: those of a
// repository's orders, or, for repository 0, of those that belong to none any
// more. It returns how many it forgot, at most limit.
func (d *DB) PruneLogs(ctx context.Context, repoID int64, before time.Time, limit int) (int, error) {
	tag, err := d.pool.Exec(ctx, `
		delete from order_outputs where order_id in (
			select p.order_id from order_outputs p left join orders o on o.id = p.order_id left join repos r on r.id = o.repo_id
			where p.at < @before and coalesce(r.id, 0) = @repo
			order by p.at limit @limit for update of p skip locked)`,
		args{"before": before, "repo": repoID, "limit": limit})
	if err != nil {
		return 0, fmt.Errorf("prune output: %w", err)
	}
	return int(tag.RowsAffected()), nil
}

var (
	textPacker, _   = zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithLowerEncoderMem(true))
	textUnpacker, _ = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(1<<20))
)

// packText compresses a piece of output; both are safe for concurrent use.
func packText(s string) []byte { return textPacker.EncodeAll([]byte(s), nil) }

func unpackText(b []byte) (string, error) {
	text, err := textUnpacker.DecodeAll(b, nil)
	return string(text), err
}
