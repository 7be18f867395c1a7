package fleet

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// FollowFacts is what decides which hosts of a repository that follow its default
// branch by themselves go to the head now.
type FollowFacts struct {
	Head       string // of the default branch, as last read
	Quarantine string // why the head must not spread by itself, empty where it may
	Deploy     DeployPolicy
	Hosts      []Following
}

// Following is one host in the mode automatic.
type Following struct {
	Host Host
	Open bool // it has an order that has not ended
	// Tried is its newest deploy order for the head, zero where it had none yet.
	Tried Order
	// Stopped says that a person cancelled Tried, or has ordered another system since.
	Stopped bool
}

// Followed is what comes of it.
type Followed struct {
	Hosts []string          // that are to be given a deploy order now, by name
	Why   map[string]string // for each host that gets none: why, in words
}

// Follow says which hosts in the mode automatic are to be brought to the head, at most
// deploy.max_parallel at once. What failed on as many of them as deploy.max_failures
// allows is not tried on others. An order is not repeated where it ended badly for
// this very head: another commit, or a person, goes on from there.
func Follow(f FollowFacts, now time.Time) (Followed, error) {
	out := Followed{Why: map[string]string{}}
	inside, _, err := opens(f.Deploy.Windows, now)
	if err != nil {
		return out, fmt.Errorf("deploy.windows: %w", err)
	}
	freeze, _, err := frozen(f.Deploy.Freeze, now)
	if err != nil {
		return out, fmt.Errorf("updates.freeze: %w", err)
	}
	places, failed := max(1, f.Deploy.MaxParallel), 0
	for _, h := range f.Hosts {
		if h.Open {
			places--
		}
		if bad := h.Tried.State; bad == HostFailed && !h.lapsed() || bad == HostReverted {
			failed++
		}
	}
	budget := max(1, f.Deploy.MaxFailures.of(len(f.Hosts), false))
	hosts := slices.Clone(f.Hosts)
	slices.SortFunc(hosts, func(a, b Following) int { return strings.Compare(a.Host.Name, b.Host.Name) })
	for _, h := range hosts {
		why := h.stays(f.Head, now)
		switch {
		case why != "":
		case f.Quarantine != "":
			why = "the head is in quarantine: " + f.Quarantine
		case failed >= budget:
			why = fmt.Sprintf("the head failed on %d of the hosts that follow", failed)
		case freeze != nil:
			why = "it waits for the end of a freeze"
		case !inside:
			why = "it waits for a window of deploy.windows"
		case len(out.Hosts) >= places:
			why = "it waits for others: deploy.max_parallel are under way"
		default:
			out.Hosts = append(out.Hosts, h.Host.Name)
			continue
		}
		out.Why[h.Host.Name] = why
	}
	return out, nil
}

// stays says why a host that follows stays where it is, as far as that is up to the
// host itself.
func (h Following) stays(head string, now time.Time) string {
	ended := h.Tried.ID != "" && OrderEnded(h.Tried.State)
	switch {
	case head == "":
		return "the default branch was not read yet"
	case h.Host.Mode != "automatic" || h.Host.EnrolledAt.IsZero() || !h.Host.RevokedAt.IsZero():
		return "it does not follow"
	case h.Host.Facts.RunningCommit == head:
		return "it runs the head"
	case h.Open:
		return "it has an order"
	case !h.Host.Online(now):
		return "it is offline"
	case h.Host.Facts.At.IsZero():
		return "it has not said what it runs"
	case h.Stopped:
		return "a person has decided otherwise since its order for the head"
	case ended && h.Tried.State != HostCancelled && !h.lapsed():
		return fmt.Sprintf("its order for the head ended as %s", h.Tried.State)
	}
	return ""
}

// lapsed reports whether the host never took the order for the head up.
func (h Following) lapsed() bool { return h.Tried.Failure != nil && h.Tried.Failure.Code == "expired" }
