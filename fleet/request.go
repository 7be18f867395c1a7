package fleet

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// OrderRequest is what a person asks of hosts.
type OrderRequest struct {
	Kind       string
	Hosts      string   // a selector
	Names      []string `json:",omitempty"` // exactly these hosts, instead of a selector
	Order      string   // with cancel: the one order to cancel, instead of Hosts
	Commit     string   // 40 hex digits; pull and deploy take the head of the default branch without it
	Generation int      // with rollback: the number of one of the host's generations
	Target     string   // with rollback: the path of one of them
	Reason     string   // for the record
	Confirm    []string // with reboot: the names of exactly the hosts that will restart
	Key        string   // makes repeating the request the same request; may be empty
}

// FieldError says which part of a request is not acceptable, and why.
type FieldError struct {
	Field string // as it is named on the wire
	Text  string
}

func (e *FieldError) Error() string { return e.Field + ": " + e.Text }

func wrong(field, format string, a ...any) error {
	return &FieldError{Field: field, Text: fmt.Sprintf(format, a...)}
}

// UnconfirmedError is the answer to a reboot that was not confirmed host by host.
type UnconfirmedError struct {
	Hosts []string // that would restart
	Found string
}

func (e *UnconfirmedError) Error() string { return e.Found }

// What a request may hold at most.
const (
	maxReason = 1000
	maxKey    = 200
)

var fullCommit = regexp.MustCompile(`^[0-9a-f]{40}$`)

// RequestKinds are the kinds of orders that people give.
func RequestKinds() []string {
	return []string{
		OrderPull, OrderSwitch, OrderDeploy, OrderTest, OrderBoot, OrderRollback, OrderRestartAgent, OrderReboot, OrderRefresh, OrderCancel,
	}
}

// Check says what of the request can't be right whatever the hosts are.
func (r OrderRequest) Check() error {
	takesCommit := r.Kind == OrderPull || r.Kind == OrderDeploy || r.Kind == OrderRollback
	switch {
	case !slices.Contains(RequestKinds(), r.Kind):
		return wrong("kind", "found %q, expected one of %s", r.Kind, strings.Join(RequestKinds(), ", "))
	case r.Order != "" && r.Kind != OrderCancel:
		return wrong("order", "only cancel names an order; %s takes hosts", r.Kind)
	case r.Order != "" && (r.Hosts != "" || len(r.Names) > 0):
		return wrong("order", "give either hosts or one order")
	case r.Hosts != "" && len(r.Names) > 0:
		return wrong("hosts", "give either a selector or names")
	case r.Order == "" && len(r.Names) == 0 && strings.TrimSpace(r.Hosts) == "":
		return wrong("hosts", `found nothing, expected a selector like "web1", "tag:canary" or "all"`)
	case r.Commit != "" && !takesCommit:
		return wrong("commit", "%s takes none: it goes by the host's checkout, which pull brings to a commit", r.Kind)
	case r.Commit != "" && !fullCommit.MatchString(r.Commit):
		return wrong("commit", "found %q, expected 40 hex digits", r.Commit)
	case (r.Generation != 0 || r.Target != "") && r.Kind != OrderRollback:
		return wrong("generation", "only rollback goes to a generation")
	case r.Generation < 0:
		return wrong("generation", "found %d, expected the number of a generation", r.Generation)
	case r.aims() > 1:
		return wrong("generation", "give one of generation, target and commit, or none for the system before the running one")
	case len(r.Reason) > maxReason:
		return wrong("reason", "it has %d bytes, at most %d are kept", len(r.Reason), maxReason)
	case len(r.Key) > maxKey:
		return wrong("Idempotency-Key", "it has %d bytes, at most %d are kept", len(r.Key), maxKey)
	}
	return nil
}

func (r OrderRequest) aims() int {
	n := 0
	for _, given := range []bool{r.Generation != 0, r.Target != "", r.Commit != ""} {
		if given {
			n++
		}
	}
	return n
}

// TakesOrders says why a host can't be given orders; nothing where it can.
func (h Host) TakesOrders() (why string) {
	switch {
	case !h.RevokedAt.IsZero():
		return "is revoked"
	case h.EnrolledAt.IsZero():
		return "has not enrolled yet"
	}
	return ""
}

// Pick lists the hosts that the request is for, by name: those that the selector
// picks and that may be given orders, whatever their mode. That there is none is an
// error that says why. Of hosts that are named, each must be able to take the order.
func (r OrderRequest) Pick(hosts []Host) ([]Host, error) {
	if len(r.Names) > 0 {
		return r.named(hosts)
	}
	s, err := ParseSelector(r.Hosts)
	if err != nil {
		return nil, wrong("hosts", "%v", err)
	}
	var picked []Host
	var not []string
	for _, h := range hosts {
		if !s.Match(h) {
			continue
		}
		if why := h.TakesOrders(); why != "" {
			not = append(not, h.Name+" "+why)
			continue
		}
		picked = append(picked, h)
	}
	switch {
	case len(picked) > 0:
	case len(not) > 0:
		return nil, wrong("hosts", "%q picks no host that takes orders: %s", r.Hosts, strings.Join(shorten(not, 5), ", "))
	default:
		return nil, wrong("hosts", "%q picks none of the %d hosts", r.Hosts, len(hosts))
	}
	slices.SortFunc(picked, func(a, b Host) int { return strings.Compare(a.Name, b.Name) })
	return picked, nil
}

// named lists the hosts that the request names. Somebody chose exactly these, so one
// that can't take the order stops all of it.
func (r OrderRequest) named(hosts []Host) ([]Host, error) {
	byName := make(map[string]Host, len(hosts))
	for _, h := range hosts {
		byName[h.Name] = h
	}
	var picked []Host
	var not []string
	for _, name := range slices.Compact(slices.Sorted(slices.Values(r.Names))) {
		h, known := byName[name]
		why := h.TakesOrders()
		switch {
		case !known:
			not = append(not, fmt.Sprintf("%.63q is none of our hosts", name))
		case why != "":
			not = append(not, name+" "+why)
		default:
			picked = append(picked, h)
		}
	}
	if len(not) > 0 {
		return nil, wrong("hosts", "%s", strings.Join(shorten(not, 5), ", "))
	}
	return picked, nil
}

// shorten keeps the first n of a list, and says how many there are beyond.
func shorten(list []string, n int) []string {
	if len(list) <= n {
		return list
	}
	return append(slices.Clone(list[:n]), fmt.Sprintf("and %d more", len(list)-n))
}

// Confirmed checks that a reboot names exactly the hosts that it restarts.
func (r OrderRequest) Confirmed(picked []Host) error {
	if r.Kind != OrderReboot {
		return nil
	}
	names := make([]string, len(picked))
	for i, h := range picked {
		names[i] = h.Name
	}
	given := slices.Sorted(slices.Values(r.Confirm))
	if slices.Equal(slices.Compact(given), names) {
		return nil
	}
	found := fmt.Sprintf("This restarts %d hosts, with all that runs on them: %s.", len(names), strings.Join(shorten(names, 20), ", "))
	if len(names) == 1 {
		found = fmt.Sprintf("This restarts %s, with all that runs on it.", names[0])
	}
	if len(given) > 0 {
		found += " What was confirmed is another list of hosts."
	}
	return &UnconfirmedError{Hosts: names, Found: found + " Nothing was ordered. To go on, send the request again with confirm set to exactly these names."}
}

// Aim is the store path that a rollback of the one host goes to, from what the host
// can go back to; empty where the request names none.
func (r OrderRequest) Aim(picked []Host, generations []Generation) (string, error) {
	if r.Generation == 0 && r.Target == "" {
		return "", nil
	}
	field, found := "generation", fmt.Sprint(r.Generation)
	if r.Target != "" {
		field, found = "target", fmt.Sprintf("%q", r.Target)
	}
	if len(picked) != 1 {
		return "", wrong(field, "each host has its own generations, and %q picks %d hosts; name one host", r.Hosts, len(picked))
	}
	name := picked[0].Name
	if len(generations) == 0 {
		return "", wrong(field, "it is not known yet what %s can go back to; order a refresh of it first", name)
	}
	var known []string
	for _, g := range generations {
		if g.Path == r.Target || g.Number == r.Generation && r.Generation != 0 {
			return g.Path, nil
		}
		known = append(known, fmt.Sprint(g.Number))
	}
	return "", wrong(field, "%s has no generation %s; it has %s", name, found, strings.Join(shorten(known, 20), ", "))
}
