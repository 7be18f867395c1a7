package agentbus

import (
	"context"

	"github.com/nats-io/nats.go/jetstream"
)

// answerBatch is how many answers one call of the handler gets at most; it
// stores them in one transaction.
const answerBatch = 500

// Received is one answer as the stream holds it.
type Received struct {
	Seq    uint64 // its place in the stream, to be stored with it
	Host   string // from the subject, which the broker guards
	Answer Answer
}

// Answers hands every answer after from to handle, in order and in batches, until
// ctx ends, whose error it returns. The caller stores the last Seq of a batch in
// the transaction that stores the batch, and passes it as from next time. A
// batch that handle refuses is handed over again, after a pause that grows to 5 s.
//
// After a power cut the stream may have lost its end and count from an earlier
// number again; then it is read from the start. So answers may repeat, and what
// counts is their identity: host, order, number.
func (c *Control) Answers(ctx context.Context, from uint64, handle func(context.Context, []Received) error) error {
	r := streamReader[Received]{
		control: c, stream: answersStream, what: "answers", from: from, most: answerBatch, handle: handle,
		parse: func(m jetstream.Msg, seq uint64) (Received, error) {
			a, err := parseAnswer(m.Data())
			return Received{Seq: seq, Host: hostOf(m.Subject(), answerPrefix), Answer: a}, err
		},
	}
	return r.run(ctx)
}
