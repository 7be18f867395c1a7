package db

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
)

// args are the named arguments of a statement: each must be used, and each that
// is used must be given. Two things differ between Go and Postgres, and are
// settled here once for every statement: text may hold no NUL and must be UTF-8,
// and a zero time is null.
type args map[string]any

// RewriteQuery implements pgx.QueryRewriter.
func (a args) RewriteQuery(ctx context.Context, c *pgx.Conn, sql string, _ []any) (string, []any, error) {
	stored := make(pgx.StrictNamedArgs, len(a))
	for name, v := range a {
		stored[name] = storable(v)
	}
	return stored.RewriteQuery(ctx, c, sql, nil)
}

func storable(v any) any {
	switch v := v.(type) {
	case string:
		return cleanText(v)
	case []string:
		clean := make([]string, len(v)) // never nil: no tags is '{}', not null
		for i, s := range v {
			clean[i] = cleanText(s)
		}
		return clean
	case time.Time:
		if v.IsZero() {
			return nil
		}
	case []time.Time:
		nullable := make([]*time.Time, len(v))
		for i := range v {
			if !v[i].IsZero() {
				nullable[i] = &v[i]
			}
		}
		return nullable
	}
	return v
}

// cleanText makes hostile text storable: what Postgres cannot hold becomes U+FFFD.
func cleanText(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}

// jsonbCodec stores Go values as jsonb. Postgres refuses the escape \u0000 there,
// which hostile strings may well contain.
var jsonbCodec = &pgtype.JSONBCodec{Marshal: marshalJSON, Unmarshal: json.Unmarshal}

func marshalJSON(v any) ([]byte, error) {
	b, err := json.Marshal(v)
	if err != nil || !bytes.Contains(b, []byte(`\u0000`)) && !bytes.Contains(b, []byte(`\ufffd`)) {
		return b, err
	}
	// An escape counts only where the backslash is not itself escaped.
	out := make([]byte, 0, len(b))
	for i := 0; i < len(b); i++ {
		switch {
		case b[i] != '\\':
			out = append(out, b[i])
		case bytes.HasPrefix(b[i:], []byte(`\u0000`)), bytes.HasPrefix(b[i:], []byte(`\ufffd`)):
			// Written out, as what was stored is when it is encoded again: the two must compare equal.
			out = append(out, "\uFFFD"...)
			i += len(`\u0000`) - 1
		default:
			out = append(out, b[i], b[i+1])
			i++
		}
	}
	return out, nil
}

// timeCodec reads null as the zero time, and every time in UTC.
type timeCodec struct{ *pgtype.TimestamptzCodec }

// PlanScan implements pgtype.Codec.
func (c timeCodec) PlanScan(m *pgtype.Map, oid uint32, format int16, target any) pgtype.ScanPlan {
	if _, ok := target.(*time.Time); !ok {
		return c.TimestamptzCodec.PlanScan(m, oid, format, target)
	}
	return timePlan{c.TimestamptzCodec.PlanScan(m, oid, format, (*pgtype.Timestamptz)(nil))}
}

type timePlan struct{ next pgtype.ScanPlan }

func (p timePlan) Scan(src []byte, dst any) error {
	var v pgtype.Timestamptz
	if err := p.next.Scan(src, &v); err != nil {
		return err
	}
	*dst.(*time.Time) = time.Time{}
	if v.Valid {
		*dst.(*time.Time) = v.Time.UTC()
	}
	return nil
}
