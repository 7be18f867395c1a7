package db

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// SeeInputs returns when any lock first showed us each revision of an input, which
// is now for those that none had. Keys are the input's address and its revision,
// joined by an @, as [fleet.InputsToSee] makes them.
func (d *DB) SeeInputs(ctx context.Context, keys []string, now time.Time) (map[string]time.Time, error) {
	if len(keys) == 0 {
		return nil, nil
	}
	inputs, revs, err := splitSightings(keys)
	if err != nil {
		return nil, err
	}
	seen, err := d.inputsSeen(ctx, inputs, revs)
	if err != nil || len(seen) == len(inputs) {
		return seen, err
	}
	_, err = d.pool.Exec(ctx, `
		insert into input_sightings (input, rev, seen_at)
		select input, rev, @now from unnest(@inputs::text[], @revs::text[]) as k (input, rev)
		on conflict do nothing`, args{"inputs": inputs, "revs": revs, "now": now})
	if err != nil {
		return nil, fmt.Errorf("see inputs: %w", err)
	}
	return d.inputsSeen(ctx, inputs, revs)
}

// InputsSeen returns what [DB.SeeInputs] does of the revisions that were seen before,
// and remembers none.
func (d *DB) InputsSeen(ctx context.Context, keys []string) (map[string]time.Time, error) {
	inputs, revs, err := splitSightings(keys)
	if err != nil || len(inputs) == 0 {
		return nil, err
	}
	return d.inputsSeen(ctx, inputs, revs)
}

// splitSightings returns each key once, in one order, so that two looks never wait
// for each other.
func splitSightings(keys []string) (inputs, revs []string, err error) {
	for _, key := range slices.Compact(slices.Sorted(slices.Values(keys))) {
		at := strings.LastIndex(key, "@")
		if at < 0 {
			return nil, nil, fmt.Errorf("see inputs: %q names no revision", key)
		}
		inputs, revs = append(inputs, key[:at]), append(revs, key[at+1:])
	}
	return inputs, revs, nil
}

func (d *DB) inputsSeen(ctx context.Context, inputs, revs []string) (map[string]time.Time, error) {
	type row struct {
		Input  string
		Rev    string
		SeenAt time.Time
	}
	rows, err := all[row](ctx, d.pool, `
		select s.input, s.rev, s.seen_at from input_sightings s
		join unnest(@inputs::text[], @revs::text[]) as k (input, rev) using (input, rev)`,
		args{"inputs": inputs, "revs": revs})
	if err != nil {
		return nil, fmt.Errorf("see inputs: %w", err)
	}
	seen := make(map[string]time.Time, len(rows))
	for _, r := range rows {
		seen[r.Input+"@"+r.Rev] = r.SeenAt
	}
	return seen, nil
}
