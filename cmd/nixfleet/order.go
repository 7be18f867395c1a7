package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/nixfleet/nixfleet/api"
)

type orderCmd struct {
	serverFlags
	Kind       string        `arg:"" help:"pull, switch, deploy, test, boot, rollback, restart_agent, reboot, refresh or cancel."`
	Hosts      string        `arg:"" predictor:"selector" help:"Which hosts: a name, tag:x, platform:nixos, all; joined with and, or, not."`
	Commit     string        `help:"With pull, deploy and rollback: the commit. Pull and deploy take the head of the default branch without it."`
	Generation int           `help:"With rollback: number of the generation, as nixfleet generations lists it."`
	Path       string        `help:"With rollback: store path of the generation."`
	Reason     string        `help:"Why, for the record."`
	Confirm    []string      `help:"With reboot: names of exactly the hosts that will restart; nothing is asked then." placeholder:"HOST,…"`
	Yes        bool          `help:"With reboot: answer the first of the two questions."`
	Wait       bool          `help:"Wait until the orders have ended; exit code 1 if one did not end well."`
	Within     time.Duration `help:"How long to wait." default:"24h"`
}

// Run gives the order, and follows it if that is wanted.
func (c *orderCmd) Run(e *env) error {
	n := api.NewOrder{
		Kind: c.Kind, Hosts: c.Hosts, Commit: c.Commit, Generation: c.Generation, Target: c.Path, Reason: c.Reason, Confirm: c.Confirm,
	}
	placed, err := c.client().PlaceOrders(e.ctx, "", n)
	if p, ok := errors.AsType[*api.Problem](err); ok && p.Code == 409 && c.Kind == "reboot" && len(c.Confirm) == 0 {
		if n.Confirm, err = confirm(e, p, c.Yes); err != nil {
			return err
		}
		placed, err = c.client().PlaceOrders(e.ctx, "", n)
	}
	if err != nil {
		return err
	}
	return c.follow(e, placed, c.Wait, c.Within)
}

// confirm asks twice whether these hosts shall restart: with the list, and by what
// nobody types by habit.
func confirm(e *env, p *api.Problem, first bool) ([]string, error) {
	var hosts []string
	for _, f := range p.Errors {
		if name, ok := f.Value.(string); ok {
			hosts = append(hosts, name)
		}
	}
	if len(hosts) == 0 {
		return nil, p
	}
	notConfirmed := usagef("not confirmed, nothing was ordered; without a person to ask, name the hosts: --confirm %s", clean(strings.Join(hosts, ",")))
	var b strings.Builder
	b.WriteString("These hosts restart, with all that runs on them:\n")
	wrap(&b, "  ", clean(strings.Join(hosts, " ")), width(e.out))
	_, _ = fmt.Fprint(e.out, b.String())
	in := bufio.NewReader(e.in)
	if !first {
		_, _ = fmt.Fprint(e.out, "Go on? [y/N] ")
		if said := answer(in); said != "y" && said != "yes" {
			return nil, notConfirmed
		}
	}
	want, ask := strconv.Itoa(len(hosts)), "Type the number of hosts to restart them: "
	if len(hosts) == 1 {
		want, ask = hosts[0], "Type the name of the host to restart it: "
	}
	_, _ = fmt.Fprint(e.out, ask)
	if answer(in) != want {
		return nil, notConfirmed
	}
	return hosts, nil
}

func answer(in *bufio.Reader) string {
	line, _ := in.ReadString('\n')
	return strings.TrimSpace(line)
}

// follow tells what was ordered, and, if that is wanted, waits until it has ended.
func (f serverFlags) follow(e *env, placed []api.PlacedOrder, wait bool, within time.Duration) error {
	if !wait {
		if f.JSON {
			return json.NewEncoder(e.out).Encode(map[string]any{"orders": placed})
		}
		return tellPlaced(e, placed)
	}
	if !f.JSON {
		if err := tellPlaced(e, placed); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeoutCause(e.ctx, within, fmt.Errorf("not all orders have ended within %s; they go on", within))
	defer cancel()
	ended, err := f.untilEnded(ctx, e, placed)
	if err != nil {
		return err
	}
	if f.JSON {
		err = json.NewEncoder(e.out).Encode(map[string]any{"orders": ended})
	}
	bad := 0
	for _, o := range ended {
		if o.State != "healthy" {
			bad++
		}
	}
	if bad > 0 {
		err = errors.Join(err, fmt.Errorf("%d of %d orders did not end well", bad, len(ended)))
	}
	return err
}

func tellPlaced(e *env, placed []api.PlacedOrder) error {
	rows := make([][]string, len(placed))
	for i, p := range placed {
		rows[i] = []string{p.Host, p.Order, p.Found}
	}
	return table(e, "HOST ORDER~1 NOW…", rows)
}

// lookErrors is how often in a row the server may not answer before waiting is given up.
const lookErrors = 15

// untilEnded looks at the orders until none is open, and tells each step once.
func (f serverFlags) untilEnded(ctx context.Context, e *env, placed []api.PlacedOrder) ([]api.Order, error) {
	var ended []api.Order
	open, seen := map[string]bool{}, map[string]string{}
	for _, p := range placed {
		if p.Order != "" {
			open[p.Order] = true
		}
	}
	for missed := 0; len(open) > 0; {
		for _, p := range placed {
			if !open[p.Order] {
				continue
			}
			o, err := f.client().Order(ctx, p.Order)
			if err != nil {
				if missed++; missed == lookErrors || ctx.Err() != nil {
					return ended, errors.Join(context.Cause(ctx), err)
				}
				break
			}
			missed = 0
			if seen[o.ID] != o.State && !f.JSON {
				_, _ = fmt.Fprintln(e.out, cut(clean(progress(o)), width(e.out)))
			}
			seen[o.ID] = o.State
			if o.Ended {
				delete(open, o.ID)
				ended = append(ended, o)
			}
		}
		if len(open) > 0 {
			if err := pause(ctx); err != nil {
				return ended, err
			}
		}
	}
	return ended, nil
}

// progress is one line about where an order is.
func progress(o api.Order) string {
	line := o.Host + ": " + o.State
	if o.Failure != nil {
		line += " at " + o.Failure.Step + ": " + o.Failure.Message
		if o.Failure.ExitCode != 0 {
			line += fmt.Sprintf(" (exit code %d)", o.Failure.ExitCode)
		}
	} else if o.Note != "" {
		line += " (" + o.Note + ")"
	}
	return line
}

type ordersCmd struct {
	serverFlags
	Host  string `arg:"" optional:"" predictor:"host" help:"Orders of this host only."`
	Limit int    `help:"How many, the newest first." default:"30"`
}

// Run prints the newest orders.
func (c *ordersCmd) Run(e *env) error {
	list, err := c.client().Orders(e.ctx, c.Host, c.Limit)
	if err != nil {
		return err
	}
	if c.JSON {
		return json.NewEncoder(e.out).Encode(map[string]any{"orders": list})
	}
	if len(list) == 0 {
		_, err := fmt.Fprintln(e.out, "No orders yet.")
		return err
	}
	return table(e, "ORDER HOST KIND STATE COMMIT~3 ISSUED~2 BY~1 NOTE…", orderRows(list))
}

func orderRows(list []api.Order) [][]string {
	rows := make([][]string, len(list))
	for i, o := range list {
		note := o.Note
		if o.Failure != nil {
			note = o.Failure.Message
		}
		rows[i] = []string{o.ID, o.Host, o.Kind, o.State, short(o.Commit), moment(o.IssuedAt), o.Actor, note}
	}
	return rows
}

// orderID is an order's id, which is not the name of any host.
var orderID = regexp.MustCompile(`^[0-9A-Z]{26}$`)

type cancelCmd struct {
	serverFlags
	What   string        `arg:"" help:"An order's id; or which hosts, whose open orders are all cancelled."`
	Reason string        `help:"Why, for the record."`
	Wait   bool          `help:"Wait until the hosts have answered."`
	Within time.Duration `help:"How long to wait." default:"24h"`
}

// Run cancels, and says what that means for each order.
func (c *cancelCmd) Run(e *env) error {
	var placed []api.PlacedOrder
	var err error
	if orderID.MatchString(c.What) {
		placed, err = c.client().CancelOrder(e.ctx, c.What, c.Reason)
	} else {
		placed, err = c.client().PlaceOrders(e.ctx, "", api.NewOrder{Kind: "cancel", Hosts: c.What, Reason: c.Reason})
	}
	if err != nil {
		return err
	}
	return c.follow(e, placed, c.Wait, c.Within)
}
