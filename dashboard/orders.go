package dashboard

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/nixfleet/nixfleet/fleet"
)

// Orders gives orders to hosts, one host or many, outside of any rollout.
type Orders interface {
	// Order gives the hosts that the request picks their order. What can't be is a
	// *fleet.FieldError, a reboot that was not confirmed a *fleet.UnconfirmedError, and
	// an order to cancel that is not known [ErrUnknown]. The same request with the same
	// key is given once.
	Order(ctx context.Context, by fleet.Actor, r fleet.OrderRequest) ([]Placed, error)
	// OpenOrders are the orders of hosts that have not ended, in the order they were given.
	OpenOrders(ctx context.Context, hosts []string) ([]fleet.Order, error)
	// Generations are the systems that a host can go back to, newest first. A host that
	// is not known is [ErrUnknown].
	Generations(ctx context.Context, host string) ([]fleet.Generation, error)
}

// Placed is what came of a request for one host.
type Placed struct {
	Host    string
	Ordered bool   // false where there was nothing to order
	Online  bool   // it has its order at once
	Found   string // in words, what happens now
}

// orderWish is what a person wants of hosts, as an address or a form carries it.
type orderWish struct {
	kind       string
	hosts      []string // by name, each once
	order      string   // with cancel: only this one
	commit     string
	generation int
	target     string
	reason     string
	sure       bool // asked twice
}

// maxWished is how many hosts one request may name.
const maxWished = 20_000

// readOrderWish reads a wish from a query or a form. Hosts are fields of their own, or
// stand in one field, since an address or a form takes only so many.
func readOrderWish(form url.Values) (orderWish, error) {
	w := orderWish{
		kind: form.Get("kind"), order: form.Get("order"), commit: form.Get("commit"), target: form.Get("target"),
		reason: strings.TrimSpace(form.Get("reason")), sure: form.Get("sure") == "yes",
	}
	if !slices.Contains(fleet.RequestKinds(), w.kind) {
		return w, BadRequest("This is no order that a host can be given.")
	}
	w.hosts = namesIn(form["hosts"])
	if len(w.hosts) > maxWished {
		return w, BadRequest(fmt.Sprintf("At most %d hosts can be given an order at once.", maxWished))
	}
	if g := form.Get("generation"); g != "" {
		n, err := strconv.Atoi(g)
		if err != nil || n < 1 {
			return w, BadRequest("The generation is not a number.")
		}
		w.generation = n
	}
	return w, nil
}

// namesIn are the names in lists of names, each once.
func namesIn(lists []string) []string {
	var names []string
	for _, list := range lists {
		names = append(names, strings.FieldsFunc(list, func(r rune) bool { return r == ',' || r <= ' ' })...)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func (d *Dashboard) orderRoutes(mux *http.ServeMux) {
	mux.Handle("GET /orders", d.signedIn(d.chooseOrder))
	// A selection may be longer than an address can be; asking by POST changes nothing.
	mux.Handle("GET /orders/new", d.signedIn(d.askOrder))
	mux.Handle("POST /orders/new", d.signedIn(d.askOrder))
	mux.Handle("POST /orders", d.press(RoleOperator, d.order))
}

// chooseOrder lists what hosts can be ordered, for those whom no menu opens.
func (d *Dashboard) chooseOrder(w http.ResponseWriter, r *http.Request, who visitor) {
	p := d.page(w, r, who)
	p.At = "fleet"
	d.show(w, r, http.StatusOK, chooseOrderPage(p, namesIn(r.URL.Query()["hosts"])))
}

// askOrder says what an order would do to the hosts, and asks.
func (d *Dashboard) askOrder(w http.ResponseWriter, r *http.Request, who visitor) {
	a, err := d.questionOf(r, who)
	if err != nil {
		d.answer(w, r, d.refusal(r, who, err))
		return
	}
	d.ask(w, r, who, a)
}

func (d *Dashboard) questionOf(r *http.Request, who visitor) (asking, error) {
	if err := r.ParseForm(); err != nil {
		return asking{}, BadRequest("The form did not arrive whole, so nothing was asked. Reload the page and try again.")
	}
	w, err := readOrderWish(r.Form)
	if err != nil {
		return asking{}, err
	}
	if len(w.hosts) == 0 && w.order == "" {
		return asking{}, BadRequest("No host is selected. Select the hosts first, then press the button.")
	}
	o, err := d.cfg.Views.Overview(r.Context())
	if err != nil {
		return asking{}, fmt.Errorf("read the fleet: %w", err)
	}
	k, err := d.situation(r.Context(), &w, o)
	if err != nil {
		return asking{}, err
	}
	return foresee(w, d.scene(o), k).question(w, who), nil
}

// situation is what a question about hosts needs beyond the overview.
type situation struct {
	open        map[string][]fleet.Order // by host
	generations []fleet.Generation       // of the one host, for a rollback
}

func (d *Dashboard) situation(ctx context.Context, w *orderWish, o fleet.Overview) (situation, error) {
	k := situation{open: map[string][]fleet.Order{}}
	if w.order != "" && len(w.hosts) == 0 { // whose it is follows from the order
		for _, h := range o.Hosts {
			w.hosts = append(w.hosts, h.Host.Name)
		}
	}
	open, err := d.cfg.Orders.OpenOrders(ctx, w.hosts)
	if err != nil {
		return k, fmt.Errorf("read open orders: %w", err)
	}
	for _, order := range open {
		if w.order == "" || w.order == order.ID {
			k.open[order.Host] = append(k.open[order.Host], order)
		}
	}
	if w.order != "" {
		w.hosts = slices.DeleteFunc(w.hosts, func(name string) bool { return len(k.open[name]) == 0 })
		if len(w.hosts) == 0 {
			return k, Refused("This order has ended meanwhile, so there is nothing to cancel.")
		}
	}
	if w.kind != fleet.OrderRollback || len(w.hosts) != 1 {
		return k, nil
	}
	k.generations, err = d.cfg.Orders.Generations(ctx, w.hosts[0])
	if errors.Is(err, ErrUnknown) {
		return k, nil // the question says that there is no such host
	}
	return k, err
}

// order carries out what was asked.
func (d *Dashboard) order(r *http.Request, who visitor) (pressed, error) {
	w, err := readOrderWish(r.PostForm)
	if err != nil {
		return pressed{}, err
	}
	request := fleet.OrderRequest{
		Kind: w.kind, Names: w.hosts, Order: w.order, Commit: w.commit, Generation: w.generation, Target: w.target,
		Reason: w.reason, Key: r.PostFormValue("key"), Confirm: namesIn(r.PostForm["confirm"]),
	}
	if w.order != "" {
		request.Names = nil
	}
	if w.kind == fleet.OrderReboot && !w.sure {
		return pressed{}, Refused("A reboot is asked for twice, and this was asked for once. Nothing was ordered.")
	}
	placed, err := d.cfg.Orders.Order(r.Context(), who.actor, request)
	if err != nil {
		return pressed{}, orderRefused(err)
	}
	p := pressed{text: outcome(w.kind, placed)}
	if hosts := hostsOf(placed); len(hosts) == 1 && !scripted(r) {
		p.next = hostPath(hosts[0])
	}
	return p, nil
}

// orderRefused says in plain words why no order was given.
func orderRefused(err error) error {
	if field, ok := errors.AsType[*fleet.FieldError](err); ok {
		if field.Field == "Idempotency-Key" {
			return Refused("This form was used for another order already. Nothing was ordered; close it and ask again.")
		}
		return Refused("Nothing was ordered: " + field.Text + ".")
	}
	if not, ok := errors.AsType[*fleet.UnconfirmedError](err); ok {
		return Refused(fmt.Sprintf("Nothing was ordered: %s would restart, and that is not what was confirmed. Close this and ask again.", andMore(not.Hosts, 10)))
	}
	return err
}

// outcome says what came of an order. A host may have several answers: of each of
// its orders that is cancelled.
func outcome(kind string, placed []Placed) string {
	var sent, waits, not, said []string
	for _, p := range placed {
		said = append(said, p.Found)
		list := &not
		switch {
		case p.Ordered && p.Online:
			list = &sent
		case p.Ordered:
			list = &waits
		}
		*list = append(*list, p.Host)
	}
	hosts := hostsOf(placed)
	if len(hosts) == 1 {
		return nameOf(kind, 1, hosts[0]) + ": " + strings.Join(slices.Compact(said), " ")
	}
	var parts []string
	if n := len(slices.Compact(sent)); n > 0 {
		parts = append(parts, "sent to "+plural(n, "host", "hosts"))
	}
	if n := len(slices.Compact(waits)); n > 0 {
		parts = append(parts, plural(n, "is offline and gets", "are offline and get")+" it when heard again")
	}
	if len(not) > 0 {
		parts = append(parts, "nothing to do on "+andMore(not, 5))
	}
	return nameOf(kind, len(hosts), "") + ": " + strings.Join(parts, ", ") + "."
}

// hostsOf are the hosts of answers, each once.
func hostsOf(placed []Placed) []string {
	var hosts []string
	for _, p := range placed {
		hosts = append(hosts, p.Host)
	}
	slices.Sort(hosts)
	return slices.Compact(hosts)
}

// andMore is a list of names of which only the first ones are told.
func andMore(names []string, most int) string {
	if len(names) > most {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
	}
	if len(names) < 2 {
		return strings.Join(names, "")
	}
	return strings.Join(names[:len(names)-1], ", ") + " and " + names[len(names)-1]
}
