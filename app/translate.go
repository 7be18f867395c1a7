package app

import (
	"time"

	"github.com/nixfleet/nixfleet/agentbus"
	"github.com/nixfleet/nixfleet/fleet"
)

// The wire outlives the domain: agents of last year speak to the server of
// today. So the two never share a type, and this file is the one place where a
// word of one becomes a word of the other.

// wireContext is what an order on the wire needs beyond the order itself.
type wireContext struct {
	CloneURL string // where the host fetches its flake from
	Attr     string // its attribute
	Fleet    string // who signs
	Nonce    string
}

func wireOrder(o fleet.Order, repo fleet.Repo, c wireContext, plan fleet.Plan) agentbus.Order {
	if o.Rollout == "" {
		plan = ownPlan(o.Detail.Deploy)
	}
	return agentbus.Order{
		V: agentbus.ProtocolVersion, Fleet: c.Fleet, Host: o.Host, Gen: o.Gen, ID: o.ID, Rollout: o.Rollout,
		Kind: agentbus.Kind(o.Kind), Repo: c.CloneURL, Branch: repo.DefaultBranch, Commit: o.Commit, Attr: c.Attr,
		Target: o.Detail.Target, Cancels: o.Detail.Cancels, Evaluate: o.Detail.Evaluate,
		Inputs: o.Detail.Inputs, LockFile: o.Detail.LockFile,
		IssuedAt: o.IssuedAt.UnixMilli(), ExpiresAt: o.ExpiresAt.UnixMilli(), Nonce: c.Nonce,
		Policy: agentbus.OrderPolicy{
			FetchTimeout:  wireSeconds(plan.Timeouts.Fetch),
			BuildTimeout:  wireSeconds(plan.Timeouts.Build),
			SwitchTimeout: wireSeconds(plan.Timeouts.Switch),
			VerifyTimeout: wireSeconds(plan.Timeouts.Verify),
			Health:        wireHealth(plan.Health),
			Settle:        wireSeconds(plan.Settle),
			Anchors:       plan.Anchors,
			Unreachable:   plan.Unreachable,
			Reboot:        plan.Reboot,
		},
	}
}

// ownPlan is what an order outside of any rollout keeps to: the policy that it was
// issued with, or the agent's own defaults where it has none.
func ownPlan(p *fleet.DeployPolicy) fleet.Plan {
	if p == nil {
		return fleet.Plan{}
	}
	return fleet.Plan{
		Timeouts: p.Timeouts, Health: p.Health, Settle: p.Settle, Anchors: p.Anchors, Unreachable: p.Unreachable, Reboot: p.Reboot,
	}
}

func wireSeconds(d time.Duration) agentbus.Seconds {
	return agentbus.Seconds((d + time.Second - 1) / time.Second)
}

func wireHealth(checks []fleet.HealthCheck) []agentbus.HealthCheck {
	out := make([]agentbus.HealthCheck, 0, len(checks))
	for _, c := range checks {
		out = append(out, agentbus.HealthCheck(c))
	}
	return out
}

// hostFacts takes what a host saw of itself; at is the server's clock, since a
// host's own may be wrong by an hour.
func hostFacts(o agentbus.Observation, at time.Time) fleet.HostFacts {
	f := fleet.HostFacts{
		At: at, AgentVersion: o.AgentVersion, BootID: o.BootID, Uptime: time.Duration(o.UptimeSeconds) * time.Second,
		CheckoutCommit: o.CheckoutCommit, RemoteCommit: o.RemoteCommit, Behind: o.Behind, Ahead: o.Ahead,
		RunningCommit: o.RunningCommit, RunningPath: o.RunningPath, BootedPath: o.BootedPath, ProfilePath: o.ProfilePath,
		ExpectedPath: o.ExpectedPath, ExpectedCommit: o.ExpectedCommit, RebootNeeded: o.RebootNeeded,
		FailedUnits: o.FailedUnits, Load1: o.Load1, MemoryUsed: o.MemoryUsed, MemoryTotal: o.MemoryTotal,
		StoreFree: o.StoreFree, StoreTotal: o.StoreTotal, Errors: o.Errors, OrderKeys: o.OrderKeys,
	}
	if o.Lock != nil {
		f.Lock = &fleet.LockFacts{SHA256: o.Lock.SHA256}
		for _, in := range o.Lock.Inputs {
			fact := fleet.LockInputFact{Name: in.Name, Rev: in.Rev}
			if in.LastModified > 0 {
				fact.LastModified = time.Unix(in.LastModified, 0).UTC()
			}
			f.Lock.Inputs = append(f.Lock.Inputs, fact)
		}
	}
	return f
}

// beatFacts adds to the observation what the host is busy with.
func beatFacts(b agentbus.Heartbeat, at time.Time) fleet.HostFacts {
	f := hostFacts(b.Observed, at)
	if f.ClockOff = at.Sub(time.UnixMilli(b.At)); b.At == 0 || f.ClockOff.Abs() < time.Minute {
		f.ClockOff = 0 // as good as right, and no reason to write another value each time
	}
	f.Order, f.Step = b.Order, string(b.Step)
	f.Working = b.Step != "" && !b.Step.Final()
	return f
}

// Bounds of what hosts may tell of a failure. An honest agent keeps to less.
const (
	maxCodeBytes    = 100
	maxMessageBytes = 2000
	maxTailBytes    = 8 << 10
)

// hostError takes why an order did not end well, in the host's words: it is stored
// with the order and the rollout, and shown.
func hostError(e *agentbus.StepError) *fleet.HostError {
	if e == nil {
		return nil
	}
	return &fleet.HostError{
		Step: string(e.Step), Code: fleet.PlainLine(e.Code, maxCodeBytes), Message: fleet.PlainLine(e.Message, maxMessageBytes),
		ExitCode: e.ExitCode, LogTail: fleet.PlainText([]byte(e.LogTail[max(0, len(e.LogTail)-maxTailBytes):])),
	}
}
