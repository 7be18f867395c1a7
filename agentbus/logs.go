package agentbus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// logBatch is how many chunks of output one call of the handler gets at most:
// 4 MiB of text.
const logBatch = 128

// LogWindow is how many chunks may be under way at once, see [HostLink.Log].
const LogWindow = 8

// ReceivedLog is one chunk of output as the stream holds it.
type ReceivedLog struct {
	Seq   uint64 // its place in the stream, to be stored with it
	Host  string // from the subject, which the broker guards
	Chunk LogChunk
}

// Logs hands the output of all hosts to handle, like [Control.Answers] and by the
// same rules. One consumer reads it all; who follows a log reads what was recorded.
func (c *Control) Logs(ctx context.Context, from uint64, handle func(context.Context, []ReceivedLog) error) error {
	r := streamReader[ReceivedLog]{
		control: c, stream: logsStream, what: "logs", from: from, most: logBatch, handle: handle,
		parse: func(m jetstream.Msg, seq uint64) (ReceivedLog, error) {
			l, err := parseLogChunk(m.Data())
			host, order, _ := strings.Cut(strings.TrimPrefix(m.Subject(), logPrefix), ".")
			if err == nil && l.Order != order {
				err = errors.New("log chunk names another order than its subject")
			}
			return ReceivedLog{Seq: seq, Host: host, Chunk: l}, err
		},
	}
	return r.run(ctx)
}

// Log sends output of one order, at most [LogWindow] chunks of at most 32 KiB,
// and returns how many of them, from the first on, the broker has. That is not
// yet recorded: the last chunk is to be repeated until its [LogConfirm] comes.
func (h *HostLink) Log(ctx context.Context, chunks []LogChunk) (taken int, err error) {
	messages, err := h.logMessages(chunks)
	if err != nil || len(messages) == 0 {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	inbox := h.nc.NewInbox()
	sub, err := h.nc.SubscribeSync(inbox + ".*")
	if err != nil {
		return 0, fmt.Errorf("send log: %w", explain(err))
	}
	defer func() { _ = sub.Unsubscribe() }()
	for i, m := range messages {
		m.Reply = inbox + "." + strconv.Itoa(i)
		if err := h.nc.PublishMsg(m); err != nil {
			return 0, fmt.Errorf("send log: %w", explain(err))
		}
	}
	acked := make([]bool, len(messages))
	for range messages {
		var reply *nats.Msg
		if reply, err = sub.NextMsgWithContext(ctx); err != nil {
			break
		}
		if _, err = parseAck(reply.Data, logsStream); err != nil {
			break
		}
		if i, err := strconv.Atoi(strings.TrimPrefix(reply.Subject, inbox+".")); err == nil && i >= 0 && i < len(acked) {
			acked[i] = true
		}
	}
	for taken < len(acked) && acked[taken] {
		taken++
	}
	if err != nil {
		return taken, fmt.Errorf("send log: %w", explain(err))
	}
	return taken, nil
}

func (h *HostLink) logMessages(chunks []LogChunk) ([]*nats.Msg, error) {
	if len(chunks) > LogWindow {
		return nil, fmt.Errorf("send log: %d chunks are more than may be under way", len(chunks))
	}
	messages := make([]*nats.Msg, 0, len(chunks))
	for _, l := range chunks {
		l.V = ProtocolVersion
		if !orderName.MatchString(l.Order) || len(l.Text) > maxLogText {
			return nil, errors.New("send log: it names no order or is longer than 32 KiB")
		}
		data, err := json.Marshal(l)
		if err != nil {
			return nil, fmt.Errorf("send log: %w", err)
		}
		messages = append(messages, &nats.Msg{Subject: logPrefix + h.cfg.Host + "." + l.Order, Data: data})
	}
	return messages, nil
}
