package fleet

import (
	"slices"
	"time"
)

// The kinds of orders, see package agentbus for what a host does upon each.
const (
	OrderDeploy       = "deploy"
	OrderPull         = "pull"
	OrderSwitch       = "switch"
	OrderTest         = "test"
	OrderBoot         = "boot"
	OrderRollback     = "rollback"
	OrderRestartAgent = "restart_agent"
	OrderReboot       = "reboot"
	OrderRefresh      = "refresh"
	OrderUpdateInputs = "update_inputs"
	OrderCancel       = "cancel"
	OrderNoop         = "noop"
)

// ofTheSystem are the kinds that say what a host's checkout or system shall be. Of
// several that wait for one host only the last is what somebody still wants. Those that
// build what is checked out still want the pull before them.
var (
	ofTheSystem = []string{OrderDeploy, OrderPull, OrderSwitch, OrderTest, OrderBoot, OrderRollback}
	ofTheBuild  = []string{OrderDeploy, OrderSwitch, OrderTest, OrderBoot, OrderRollback}
)

// replaces says which orders lose their point when one of the kind is given while the
// host has not taken them up. A cancel ends the one that it names, see
// [Order.Replaces]; a noop only follows an order that has ended.
var replaces = map[string][]string{
	OrderDeploy:       ofTheSystem,
	OrderPull:         ofTheSystem,
	OrderSwitch:       ofTheBuild,
	OrderTest:         ofTheBuild,
	OrderBoot:         ofTheBuild,
	OrderRollback:     ofTheSystem,
	OrderRestartAgent: {OrderRestartAgent},
	OrderReboot:       {OrderReboot},
	OrderRefresh:      {OrderRefresh},
	OrderUpdateInputs: {OrderUpdateInputs},
	OrderCancel:       {},
	OrderNoop:         {},
}

// OrderWaits is how long an order outside of any rollout may be begun after it was
// issued: a person who presses a button means now, give or take a lunch.
const OrderWaits = 24 * time.Hour

// PolicyActor is who gives the orders that nobody asked for but the policy.
const PolicyActor = "policy"

// SystemKinds lists the kinds that say what a host's checkout or system shall be.
func SystemKinds() []string { return slices.Clone(ofTheSystem) }

// AllOrderKinds lists the kinds.
func AllOrderKinds() []string {
	return append(slices.Clone(ofTheSystem),
		OrderRestartAgent, OrderReboot, OrderRefresh, OrderUpdateInputs, OrderCancel, OrderNoop)
}

// Replaces reports whether o, newer and for the same host, makes older pointless as
// long as the host has not taken older up. What a host has taken up is the host's to
// judge.
func (o Order) Replaces(older Order) bool {
	switch {
	case o.Host != older.Host:
		return false
	case o.Kind == OrderCancel:
		return o.Detail.Cancels == older.ID
	case o.Kind == OrderRefresh && len(older.Detail.Evaluate) > 0 && len(o.Detail.Evaluate) == 0:
		return false // it looks, but does not evaluate for others
	}
	return slices.Contains(replaces[o.Kind], older.Kind)
}

// OrderEnded reports whether an order in s has ended. Unlike a host of a rollout, an
// order that was put off does not go on: another one follows it.
func OrderEnded(s HostState) bool { return s.Terminal() || s == HostDeferred }

// Codes of failures that nobody but the clock knows of.
const (
	codeExpired  = "expired"
	codeNoAnswer = "no_answer"
)

// Overdue says why an open order is given up, or nothing: it may not be begun any
// more and nobody took it up, or it was taken up and nothing was heard of it for
// longer than all its steps may take. plan is that of its rollout, zero where it has none.
func (o Order) Overdue(plan Plan, now time.Time) (code, text string) {
	if o.ExpiresAt.After(now) {
		return "", ""
	}
	if o.ReceivedAt.IsZero() {
		return codeExpired, "its time was up before the host took it up"
	}
	if p := o.Detail.Deploy; p != nil && o.Rollout == "" {
		plan.Timeouts = p.Timeouts
	}
	if o.ReceivedAt.Add(plan.OrderLifetime()).After(now) {
		return "", ""
	}
	return codeNoAnswer, "the host took it up and did not say how it ended"
}
