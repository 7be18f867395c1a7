package db

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/nixfleet/nixfleet/fleet"
)

// unstorable reports whether Postgres refuses what is to be stored, and would again:
// it is no value of its type, or larger than something can hold.
func unstorable(err error) bool {
	refused, ok := errors.AsType[*pgconn.PgError](err)
	return ok && len(refused.Code) == 5 && (refused.Code[:2] == "22" || refused.Code[:2] == "54")
}

// recordApart records the answers of a batch that Postgres refuses one by one, so that
// the one at fault does not keep all others waiting, those of other hosts too. What
// can't be stored by itself is a line of history, and is passed over.
func (d *DB) recordApart(ctx context.Context, rows []AnswerRow, refusal error, now time.Time) error {
	if len(rows) > 1 {
		for i := range rows {
			if _, err := d.RecordAnswers(ctx, rows[i:i+1], now); err != nil {
				return err
			}
		}
		return nil
	}
	r := rows[0]
	return d.tx(ctx, func(tx pgx.Tx) error {
		passed := &answerBatch{now: now, cursor: r.StreamSeq}
		if err := tx.SendBatch(ctx, passed.statements(d.channel)).Close(); err != nil {
			return err
		}
		reason := "it could not be stored"
		if refused, ok := errors.AsType[*pgconn.PgError](refusal); ok {
			reason = fleet.PlainLine(refused.Message, 300)
		}
		return remember(ctx, tx, Event{
			At: now, Actor: "host:" + r.Host, Kind: "answer.unstorable", Subject: "order/" + r.Order,
			Reason: fmt.Sprintf("Its answer %d (%s) is passed over: %s", r.Seq, r.Step, reason),
		})
	})
}
