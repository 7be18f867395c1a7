package fleet

import (
	"fmt"
	"time"

	"github.com/nixfleet/nixfleet/flakelock"
)

// sightingKey names a locked source in [Recorded.InputsSeen]: where it comes from,
// and which revision; the hash of its tree where it has no revision.
func sightingKey(r *flakelock.Ref) string {
	return r.Address() + "@" + orElse(r.Rev, r.NarHash)
}

// InputsToSee lists what [Recorded.InputsSeen] must hold for s: every source that
// came with the update, each once.
func InputsToSee(s Snapshot) []string {
	var keys []string
	seen := map[string]bool{}
	for path, lock := range s.Locks {
		if !lock.Known() {
			continue
		}
		d, err := diffLock(path, lock.Value)
		if err != nil {
			continue
		}
		for _, in := range d.fresh {
			if key := sightingKey(in.ref); !seen[key] {
				seen[key] = true
				keys = append(keys, key)
			}
		}
	}
	return keys
}

// age is condition 9: every new revision was seen by us, in any lock, for as long
// as policy asks. The dates of a commit are its author's choice and don't count.
// It returns when the youngest is old enough, where that lies ahead.
func (p *proof) age() (until time.Time) {
	least := p.policy.Updates.AutoMerge.MinInputAge
	c := p.lockCondition("input_age", "New revisions are known for long enough")
	c.Soft = true
	defer func() { p.add(c) }()
	if least <= 0 {
		c.Outcome, c.Found = Off, "Policy asks for no age."
		return time.Time{}
	}
	if c.Outcome != Passed {
		return time.Time{}
	}
	c.Source, c.At = "when NixFleet first saw each revision", p.now
	var youngest freshInput
	var seen time.Time
	for _, d := range p.diffs {
		for _, in := range d.fresh {
			at := p.s.Recorded.InputsSeen[sightingKey(in.ref)]
			if at.IsZero() {
				c.Outcome = Unread
				c.Found = fmt.Sprintf("It is not recorded when the revision of input '%s' was first seen.", plain(in.name, 200))
				return time.Time{}
			}
			if at.After(seen) {
				youngest, seen = in, at
			}
		}
	}
	switch until = seen.Add(least); {
	case seen.IsZero():
		c.Found = "No new revision."
	case until.After(p.now):
		c.Outcome = Waiting
		c.Found = fmt.Sprintf("The revision of '%s' was first seen %s; policy waits for %s, until %s.",
			plain(youngest.name, 200), clock(seen, p.now), duration(least), utc(roundUp(until)))
		c.Remedy = "Merge & Deploy does not wait for it."
		p.wake(until)
		return until
	default:
		c.Found = fmt.Sprintf("The youngest, of '%s', was first seen %s.", plain(youngest.name, 200), clock(seen, p.now))
	}
	return time.Time{}
}

// hashes is condition 8, which needs a host that fetches each tree by itself.
func (p *proof) hashes() {
	p.add(Condition{ID: "hashes", Title: "Hashes are those of the trees", Outcome: Off, Source: "hosts", At: p.now,
		Found: "No host fetches the trees to compare them in this version."})
}
