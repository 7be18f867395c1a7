package app

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/nixfleet/nixfleet/agentbus"
	"github.com/nixfleet/nixfleet/db"
	"github.com/nixfleet/nixfleet/fleet"
	"github.com/rs/zerolog"
)

// answersCursor names the row that says how far the answers of the bus have been
// recorded.
const answersCursor = "answers"

// busLines is how many lines a minute the log takes of what goes wrong on the bus: any
// host can make it as many as it likes.
const busLines = 20

// busLog writes down what goes wrong on the bus, as answers that can't be recorded.
func (a *App) busLog() func(string) {
	log := a.log.Sample(&zerolog.BurstSampler{Burst: busLines, Period: time.Minute})
	return func(line string) { log.Warn().Str("part", "bus").Msg(fleet.PlainLine(line, 1000)) }
}

// send puts the order that each host is to read next on the bus. Sending one twice
// is harmless: its generation makes the second a repetition.
func (a *App) send(ctx context.Context, hosts ...string) error {
	rows, err := a.db.OrdersToSend(ctx, hosts, a.cfg.Now())
	if err != nil {
		return err
	}
	ids := make([]string, len(rows))
	for i, r := range rows {
		ids[i] = r.Order.ID
	}
	known, err := a.db.Expectations(ctx, ids, a.cfg.Now())
	if err != nil {
		return err
	}
	orders := make([]agentbus.Order, 0, len(rows))
	for _, r := range rows {
		c := wireContext{CloneURL: a.cloneURL(r.Repo), Attr: r.Attr, Fleet: a.keys.FleetID(), Nonce: nonce()}
		orders = append(orders, informed(wireOrder(r.Order, r.Repo, c, r.Plan), known[r.Order.ID]))
	}
	if err := a.bus.Send(ctx, orders); err != nil {
		return fmt.Errorf("send orders to %d hosts: %w", len(orders), err)
	}
	return nil
}

// cloneURL is where hosts fetch a repository from.
func (a *App) cloneURL(r fleet.Repo) string {
	return strings.TrimSuffix(a.cfg.GitHubWebURL, "/") + "/" + r.FullName() + ".git"
}

func nonce() string {
	b := make([]byte, 16)
	_, _ = rand.Read(b) // never fails, see crypto/rand
	return hex.EncodeToString(b)
}

// repairBus compares what the bus holds for each host with what the database
// says and sends what is older. It mends a bus that lost messages, or one that
// was replaced.
func (a *App) repairBus(ctx context.Context) error {
	held, err := a.bus.Desired(ctx)
	if err != nil {
		return fmt.Errorf("read the bus: %w", err)
	}
	wanted, err := a.db.Deliverables(ctx, a.cfg.Now())
	if err != nil {
		return err
	}
	var behind []string
	for _, o := range wanted {
		if held[o.Host] < o.Gen {
			behind = append(behind, o.Host)
		}
	}
	if len(behind) == 0 {
		return nil
	}
	a.log.Info().Ctx(ctx).Int("hosts", len(behind)).Msg("the bus is behind the database; orders are sent again")
	return a.send(ctx, behind...)
}

// readAnswers records the answers of all hosts, in order, from where the last
// transaction left off, and confirms them once they are committed.
func (a *App) readAnswers(ctx context.Context) error {
	from, err := a.db.Cursor(ctx, answersCursor)
	if err != nil {
		return err
	}
	return a.bus.Answers(ctx, from, func(ctx context.Context, batch []agentbus.Received) error {
		now := a.cfg.Now()
		rows := make([]db.AnswerRow, 0, len(batch))
		for _, r := range batch {
			row, err := answerRow(r, now)
			if err != nil {
				a.log.Warn().Ctx(ctx).Err(err).Str("host", r.Host).Msg("answer not understood")
				continue
			}
			rows = append(rows, row)
		}
		recorded, err := a.db.RecordAnswers(ctx, rows, now)
		if err != nil {
			return err
		}
		a.meters.answers.Add(float64(len(rows)))
		a.measure(ctx, rows, now)
		return a.confirm(ctx, recorded)
	})
}

// measure counts the orders that a batch of answers ended, and tells of them. What it
// can't read goes uncounted: the answers themselves are recorded.
func (a *App) measure(ctx context.Context, rows []db.AnswerRow, at time.Time) {
	var final []string
	for _, r := range rows {
		if agentbus.Step(r.Step).Final() {
			final = append(final, r.Order)
		}
	}
	if len(final) == 0 {
		return
	}
	orders, err := a.db.EndedOrders(ctx, final, at, a.traces.on)
	if err != nil {
		a.log.Warn().Ctx(ctx).Err(err).Msg("ended orders not counted")
	}
	for _, o := range orders {
		a.meters.orders.WithLabelValues(o.Kind, string(o.State)).Observe(o.EndedAt.Sub(o.IssuedAt).Seconds())
		if a.traces.on {
			a.traces.order(o)
		}
	}
}

func answerRow(r agentbus.Received, now time.Time) (db.AnswerRow, error) {
	raw, err := json.Marshal(r.Answer)
	if err != nil {
		return db.AnswerRow{}, err
	}
	row := db.AnswerRow{
		StreamSeq: r.Seq, Host: r.Host, Order: r.Answer.Order, Gen: r.Answer.Gen, Seq: r.Answer.Seq,
		Step: string(r.Answer.Step), At: time.UnixMilli(r.Answer.At).UTC(), Note: r.Answer.Note, Failure: hostError(r.Answer.Error), Raw: raw,
		Change: hostChange(r.Answer.Change), Generations: hostGenerations(r.Answer.Generations),
	}
	row.Evaluated, row.Lock = evaluatedRows(r.Answer.Evaluated), len(r.Answer.Lock) > 0
	if r.Answer.Facts != nil {
		f := hostFacts(*r.Answer.Facts, now)
		f.Order, f.Step = r.Answer.Order, string(r.Answer.Step)
		f.Working = !r.Answer.Step.Final()
		row.Facts = &f
	}
	return row, nil
}

func (a *App) confirm(ctx context.Context, recorded []db.Confirmed) error {
	confirms := make([]agentbus.Confirm, 0, len(recorded))
	for _, c := range recorded {
		confirms = append(confirms, agentbus.Confirm{
			V: agentbus.ProtocolVersion, Fleet: a.keys.FleetID(), Host: c.Host, Order: c.Order, Seq: c.Seq,
		})
	}
	if err := a.bus.Confirm(ctx, confirms); err != nil {
		// The hosts repeat, so a lost confirmation costs a repetition and no more.
		a.log.Warn().Ctx(ctx).Err(err).Msg("confirmations not sent")
	}
	return nil
}

// readBeats keeps what hosts see of themselves.
func (a *App) readBeats(ctx context.Context) error {
	return a.bus.Heartbeats(ctx, func(batch []agentbus.HostBeat) error {
		now := a.cfg.Now()
		beats := make([]db.Beat, 0, len(batch))
		for _, b := range batch {
			beats = append(beats, db.Beat{Host: b.Host, Facts: beatFacts(b.Heartbeat, now), At: now})
		}
		a.meters.beats.Add(float64(len(beats)))
		if err := a.db.SaveBeats(ctx, beats); err != nil {
			a.log.Warn().Ctx(ctx).Err(err).Msg("heartbeats not kept")
		}
		a.summon(batch, now)
		return nil
	})
}
