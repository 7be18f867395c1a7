package fleet

import "time"

// HostRecord is what is kept of one host beside the overview, which leaves out hosts
// that were revoked.
type HostRecord struct {
	Host        Host
	Generations []Generation  // that it can go back to, newest first, as it told them last
	Orders      []Order       // the newest ones, newest first
	Brought     []SystemOrder // which of them came to a system that it can go back to, newest first
	Changed     *OrderRecord  // the newest one that says what it does to the system; without steps
}

// SystemOrder is a system, and the order that came to it.
type SystemOrder struct {
	Path     string
	Order    string // id
	Kind     string
	Actor    string
	Rollout  string
	IssuedAt time.Time
}

// OrderRecord is an order with all that is known of its way.
type OrderRecord struct {
	Order  Order
	Change *Change // what it does to the system, nil where that is not known
	Steps  []OrderStep
}

// OrderStep is one answer of a host to an order.
type OrderStep struct {
	Step     string
	At       time.Time // the host's clock
	Recorded time.Time // the server's
}

// BroughtBy is the order by which a generation came, as far as that is known: the
// newest one from before it that came to its system. A host that somebody switched by
// hand has generations that no order brought.
func (r HostRecord) BroughtBy(g Generation) (SystemOrder, bool) {
	for _, o := range r.Brought {
		if o.Path == g.Path && o.Kind != OrderTest && !o.IssuedAt.After(g.At) {
			return o, true
		}
	}
	return SystemOrder{}, false
}
