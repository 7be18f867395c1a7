package agentbus

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"sync"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// batchSize is how many orders one write to disk carries, and batchesInFlight how
// many writes are under way. The broker takes up to 1000 and 50. Hosts see an
// order when its batch is complete, so smaller batches let them begin while
// later ones are still being signed.
const (
	batchSize       = 250
	batchesInFlight = 4
)

// Error codes with which the broker says that somebody else wrote in between.
const (
	codeWrongLast      = 10071
	codeWrongLastConst = 10164
)

// lastValues is what Send knows of the bucket. Each write names the write that
// it replaces, so that of two servers, or of a late repetition, the order with
// the greater generation stays.
type lastValues struct {
	sending sync.Mutex // one Send at a time: two would only get in each other's way
	mu      sync.Mutex
	at      map[string]lastValue
}

type lastValue struct{ gen, seq uint64 }

func (l *lastValues) get(host string) (lastValue, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	value, known := l.at[host]
	return value, known
}

func (l *lastValues) set(host string, value lastValue) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.at == nil {
		l.at = make(map[string]lastValue)
	}
	l.at[host] = value
}

func (l *lastValues) forget(host string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.at, host)
}

// outgoing is one order on its way into the bucket.
type outgoing struct {
	order    Order
	data     []byte
	replaces uint64 // sequence of the write that this one takes the place of
}

// Send signs orders and puts them into the bucket, from where each host gets the
// newest of its own. Version and fleet are filled in, as is an empty nonce. An
// order that is not newer than what the bucket holds is skipped, so sending
// again is harmless. One that can't be sent keeps none of the others back. When Send
// fails, some orders may have gone out.
func (c *Control) Send(ctx context.Context, orders []Order) error {
	newest, bad := c.newest(orders)
	c.bucket.sending.Lock()
	defer c.bucket.sending.Unlock()
	var flying sync.WaitGroup
	slots, errs := make(chan struct{}, batchesInFlight), make(chan error, 1)
	for chunk := range slices.Chunk(newest, batchSize) {
		sealed, err := c.sealAll(chunk)
		bad = cmp.Or(bad, err)
		slots <- struct{}{}
		flying.Go(func() {
			defer func() { <-slots }()
			if err := c.put(ctx, sealed); err != nil {
				select {
				case errs <- err:
				default: // one is enough to tell
				}
			}
		})
	}
	flying.Wait()
	select {
	case err := <-errs:
		return fmt.Errorf("send orders: %w", err)
	default:
	}
	if bad != nil {
		return fmt.Errorf("send orders: %w", bad)
	}
	return nil
}

// newest completes and checks orders and keeps the newest of each host. bad is what
// is wrong with the first of those that can't be sent, and are left out.
func (c *Control) newest(orders []Order) (out []outgoing, bad error) {
	index := make(map[string]int, len(orders))
	out = make([]outgoing, 0, len(orders))
	for _, o := range orders {
		o, err := c.completed(o)
		if err != nil {
			bad = cmp.Or(bad, err)
			continue
		}
		i, seen := index[o.Host]
		switch {
		case !seen:
			index[o.Host] = len(out)
			out = append(out, outgoing{order: o})
		case o.Gen > out[i].order.Gen:
			out[i].order = o
		}
	}
	return out, bad
}

func (c *Control) completed(o Order) (Order, error) {
	if o.Fleet != "" && o.Fleet != c.o.Keys.fleet {
		return o, fmt.Errorf("order %s: fleet %q is not ours", o.ID, o.Fleet)
	}
	o.V, o.Fleet = ProtocolVersion, c.o.Keys.fleet
	if o.Nonce == "" {
		o.Nonce = randomHex()
	}
	if err := errors.Join(checkHost(o.Host), o.check()); err != nil {
		return o, err
	}
	if !o.Kind.known() {
		return o, fmt.Errorf("order %s: unknown kind %q", o.ID, o.Kind)
	}
	return o, nil
}

// put writes one batch, or what of it is newer than the bucket.
func (c *Control) put(ctx context.Context, chunk []outgoing) error {
	const tries = 5
	for range tries {
		if err := c.learn(ctx, chunk); err != nil {
			return err
		}
		var newer []outgoing
		for _, out := range chunk {
			value, _ := c.bucket.get(out.order.Host)
			if out.order.Gen > value.gen {
				out.replaces = value.seq
				newer = append(newer, out)
			}
		}
		if len(newer) == 0 {
			return nil
		}
		last, err := c.publish(ctx, newer)
		if err == nil {
			for i, out := range newer {
				c.bucket.set(out.order.Host, lastValue{out.order.Gen, last - uint64(len(newer)-1-i)})
			}
			return nil
		}
		// Whatever went wrong, what we knew of these hosts may be wrong now.
		for _, out := range newer {
			c.bucket.forget(out.order.Host)
		}
		if !isConflict(err) {
			return err
		}
	}
	return errors.New("other servers kept writing to the same hosts")
}

func isConflict(err error) bool {
	var api *jetstream.APIError
	return errors.As(err, &api) && (api.ErrorCode == codeWrongLast || api.ErrorCode == codeWrongLastConst)
}

// sealAll signs on all cores: a signature takes 20 µs, more than its publication. It
// returns those that could be, and why the first of the others could not.
func (c *Control) sealAll(chunk []outgoing) ([]outgoing, error) {
	workers := min(runtime.GOMAXPROCS(0), len(chunk))
	errs := make([]error, len(chunk))
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for i := w; i < len(chunk); i += workers {
				chunk[i].data, errs[i] = c.o.Keys.seal(TypeOrder, chunk[i].order)
			}
		})
	}
	wg.Wait()
	var sealed []outgoing
	var bad error
	for i, out := range chunk {
		switch err := errs[i]; {
		case err == nil:
			sealed = append(sealed, out)
		case bad == nil:
			bad = fmt.Errorf("order %s: %w", out.order.ID, err)
		}
	}
	return sealed, bad
}

// learn finds out what the bucket holds for the hosts it does not know yet.
func (c *Control) learn(ctx context.Context, chunk []outgoing) error {
	for _, out := range chunk {
		host := out.order.Host
		if _, known := c.bucket.get(host); known {
			continue
		}
		ctx, cancel := context.WithTimeout(ctx, callTimeout)
		reply, err := c.nc.RequestWithContext(ctx, directGetPrefix+host, nil)
		cancel()
		if err != nil {
			return fmt.Errorf("read the order of %s: %w", host, err)
		}
		value := lastValue{}
		switch status := reply.Header.Get("Status"); status {
		case "404": // never written
		case "":
			value.seq, err = strconv.ParseUint(reply.Header.Get(jetstream.SequenceHeader), 10, 64)
			if err != nil {
				return fmt.Errorf("read the order of %s: reply without a sequence", host)
			}
			value.gen = c.generation(host, reply.Data)
		default:
			return fmt.Errorf("read the order of %s: %s %s", host, status, reply.Header.Get("Description"))
		}
		c.bucket.set(host, value)
	}
	return nil
}

// generation returns the generation of the order in data, 0 if host would not
// believe it: then anything may replace it.
func (c *Control) generation(host string, data []byte) uint64 {
	keys, err := parseOrderKeys(c.o.Keys.OrderKeys())
	if err != nil {
		return 0
	}
	o, refusal := recipient{fleet: c.o.Keys.fleet, host: host, keys: keys}.open(data)
	if refusal != nil {
		return 0
	}
	return o.Gen
}

// publish puts batch into the bucket, all or nothing, and returns the sequence
// of the last. A single order does without the batch, which is faster.
func (c *Control) publish(ctx context.Context, batch []outgoing) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	id := randomHex()
	for i, out := range batch {
		m := nats.NewMsg(bucketPrefix + out.order.Host)
		m.Data = out.data
		m.Header.Set(jetstream.ExpectedLastSubjSeqHeader, strconv.FormatUint(out.replaces, 10))
		if len(batch) > 1 {
			m.Header.Set("Nats-Batch-Id", id)
			m.Header.Set("Nats-Batch-Sequence", strconv.Itoa(i+1))
		}
		if i < len(batch)-1 {
			if err := c.nc.PublishMsg(m); err != nil {
				return 0, err
			}
			continue
		}
		if len(batch) > 1 {
			m.Header.Set("Nats-Batch-Commit", "1")
		}
		reply, err := c.nc.RequestMsgWithContext(ctx, m)
		if err != nil {
			return 0, err
		}
		return parseAck(reply.Data, bucketStream)
	}
	return 0, nil
}

// parseAck returns the sequence under which stream stored a message.
func parseAck(data []byte, stream string) (uint64, error) {
	var ack struct {
		Stream string              `json:"stream"`
		Seq    uint64              `json:"seq"`
		Error  *jetstream.APIError `json:"error"`
	}
	if err := json.Unmarshal(data, &ack); err != nil {
		return 0, fmt.Errorf("acknowledgement cannot be read: %w", err)
	}
	if ack.Error != nil {
		return 0, ack.Error
	}
	if ack.Stream != stream || ack.Seq == 0 {
		return 0, fmt.Errorf("acknowledgement is not from %s", stream)
	}
	return ack.Seq, nil
}

// Confirm tells hosts how far their answers are recorded. It is best effort: a
// host that misses it repeats its answers and is told again.
func (c *Control) Confirm(_ context.Context, confirms []Confirm) error {
	for _, confirm := range confirms {
		if err := checkHost(confirm.Host); err != nil {
			return fmt.Errorf("confirm answers: %w", err)
		}
		confirm.V, confirm.Fleet = ProtocolVersion, c.o.Keys.fleet
		data, err := c.o.Keys.seal(TypeConfirm, confirm)
		if err != nil {
			return fmt.Errorf("confirm answers: %w", err)
		}
		if err := c.nc.Publish(commandPrefix+confirm.Host, data); err != nil {
			return fmt.Errorf("confirm answers: %w", err)
		}
	}
	return nil
}

// Desired returns the generation of the order that the bucket holds for each
// host, 0 where it holds something that the host would refuse. A server compares
// it with its own records after a start and sends what is missing.
func (c *Control) Desired(ctx context.Context) (map[string]uint64, error) {
	gens := make(map[string]uint64)
	cons, err := c.js.OrderedConsumer(ctx, bucketStream, jetstream.OrderedConsumerConfig{
		DeliverPolicy: jetstream.DeliverLastPerSubjectPolicy,
	})
	if err != nil {
		return nil, fmt.Errorf("list orders: %w", err)
	}
	if cons.CachedInfo().NumPending == 0 {
		return gens, nil
	}
	messages, err := cons.Messages(jetstream.PullMaxMessages(batchSize))
	if err != nil {
		return nil, fmt.Errorf("list orders: %w", err)
	}
	defer messages.Stop()
	for {
		m, err := messages.Next(jetstream.NextContext(ctx))
		if err != nil {
			return nil, fmt.Errorf("list orders: %w", err)
		}
		meta, err := m.Metadata()
		if err != nil {
			return nil, fmt.Errorf("list orders: %w", err)
		}
		host := hostOf(m.Subject(), bucketPrefix)
		gens[host] = c.generation(host, m.Data())
		if meta.NumPending == 0 {
			return gens, nil
		}
	}
}
