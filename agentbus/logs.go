package agentbus

import (
	"context"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"
)

// Logs hands the output of one order on one host to handle, from its start and
// then as it comes, until ctx ends or handle returns an error, which it returns.
// Each follower costs the broker one consumer.
func (c *Control) Logs(ctx context.Context, host, order string, handle func(LogChunk) error) error {
	if err := checkHost(host); err != nil {
		return fmt.Errorf("follow log: %w", err)
	}
	if !orderName.MatchString(order) {
		return fmt.Errorf("follow log: %q is not an order id", order)
	}
	js, err := jetstream.New(c.events, jetstream.WithDefaultTimeout(callTimeout))
	if err != nil {
		return fmt.Errorf("follow log: %w", err)
	}
	cons, err := js.OrderedConsumer(ctx, logsStream, jetstream.OrderedConsumerConfig{
		FilterSubjects: []string{logPrefix + host + "." + order},
	})
	if err != nil {
		return fmt.Errorf("follow log of %s: %w", host, err)
	}
	messages, err := cons.Messages(jetstream.PullMaxMessages(answerBatch))
	if err != nil {
		return fmt.Errorf("follow log of %s: %w", host, err)
	}
	defer messages.Stop()
	for {
		m, err := messages.Next(jetstream.NextContext(ctx))
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			return fmt.Errorf("follow log of %s: %w", host, err)
		}
		chunk, err := parseLogChunk(m.Data())
		if err != nil || chunk.Order != order {
			continue // nonsense from a host is for nobody
		}
		if err := handle(chunk); err != nil {
			return err
		}
	}
}
