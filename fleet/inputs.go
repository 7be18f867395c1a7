package fleet

import (
	"cmp"
	"slices"
	"time"
)

// PickForInputs chooses the host that makes a newer lock for a repository: one that is
// online, an evaluator before the others, one that takes part in rollouts before one
// that people keep for themselves, one that is free before one that works.
func PickForInputs(hosts []Host, repoID int64, now time.Time) (Host, bool) {
	able := slices.DeleteFunc(slices.Clone(hosts), func(h Host) bool {
		return h.RepoID != repoID || h.EnrolledAt.IsZero() || !h.RevokedAt.IsZero() || !h.Online(now)
	})
	if len(able) == 0 {
		return Host{}, false
	}
	return slices.MinFunc(able, func(a, b Host) int {
		return cmp.Or(
			-falseFirst(a.Evaluates(), b.Evaluates()), falseFirst(a.Facts.Working, b.Facts.Working),
			falseFirst(a.Mode == "manual", b.Mode == "manual"), cmp.Compare(a.Name, b.Name),
		)
	}), true
}

// falseFirst puts false before true.
func falseFirst(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}
