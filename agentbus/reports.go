package agentbus

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
)

// What hosts say ends up in Postgres, so what Postgres cannot hold is kept out
// here: one hostile message must not stop the reading of all others.
const (
	maxCount     = math.MaxInt64   // bigint
	maxMilli     = 253402300799999 // the last millisecond of the year 9999
	maxAnswerSeq = 1 << 20         // answers to one order; an honest agent sends about ten
	maxLogOffset = 1 << 40         // of an output; an honest agent stops at 8 MiB
)

// decode reads JSON. NUL, legal in JSON but not in a Postgres text, becomes the
// replacement character.
func decode(data []byte, v any) error {
	if nul := []byte(`\u0000`); bytes.Contains(data, nul) {
		data = bytes.ReplaceAll(data, nul, []byte(`\ufffd`))
	}
	return json.Unmarshal(data, v)
}

func parseAnswer(data []byte) (Answer, error) {
	var a Answer
	if len(data) > maxAnswer {
		return a, fmt.Errorf("answer of %d bytes is too long", len(data))
	}
	if err := decode(data, &a); err != nil {
		return a, fmt.Errorf("answer cannot be read: %w", err)
	}
	return a, a.check()
}

func (a Answer) check() error {
	switch {
	case a.V != ProtocolVersion:
		return fmt.Errorf("answer has version %d, known is %d", a.V, ProtocolVersion)
	case !orderName.MatchString(a.Order):
		return errors.New("answer names no order")
	case a.Seq == 0 || a.Seq > maxAnswerSeq:
		return fmt.Errorf("answer has the number %d", a.Seq)
	case a.Gen > maxCount || a.At < 0 || a.At > maxMilli:
		return errors.New("answer has a number that is out of range")
	case !a.Step.known():
		return fmt.Errorf("answer has the unknown step %q", a.Step)
	case a.Error != nil && a.Error.Step != "" && !a.Error.Step.known():
		return fmt.Errorf("answer has an error in the unknown step %q", a.Error.Step)
	case len(a.Lock) > MaxLock:
		return fmt.Errorf("answer has a lock of %d bytes, at most %d may be", len(a.Lock), MaxLock)
	case len(a.Evaluated) > MaxEvaluated:
		return fmt.Errorf("answer has %d evaluations, at most %d may be", len(a.Evaluated), MaxEvaluated)
	case a.Facts != nil:
		return a.Facts.check()
	}
	return nil
}

func (s Step) known() bool {
	switch s {
	case StepReceived, StepFetching, StepBuilding, StepSwitching, StepVerifying:
		return true
	}
	return s.Final()
}

func (o Observation) check() error {
	for _, n := range []uint64{o.MemoryUsed, o.MemoryTotal, o.StoreFree, o.StoreTotal} {
		if n > maxCount {
			return errors.New("observation has a number that is out of range")
		}
	}
	return nil
}

// looksLikeHeartbeat is a cheap look before an expensive parse. It keeps out the
// JetStream replies that one host can make arrive on another's subject.
func looksLikeHeartbeat(data []byte) bool {
	return len(data) <= maxHeartbeat && bytes.HasPrefix(data, []byte(`{"v":`))
}

func parseHeartbeat(data []byte) (Heartbeat, error) {
	var b Heartbeat
	if err := decode(data, &b); err != nil {
		return b, fmt.Errorf("heartbeat cannot be read: %w", err)
	}
	switch {
	case b.V != ProtocolVersion:
		return b, fmt.Errorf("heartbeat has version %d, known is %d", b.V, ProtocolVersion)
	case b.Order != "" && !orderName.MatchString(b.Order):
		return b, errors.New("heartbeat names an impossible order")
	case b.Step != "" && !b.Step.known():
		return b, fmt.Errorf("heartbeat has the unknown step %q", b.Step)
	case b.Gen > maxCount || b.Seq > maxAnswerSeq || b.At < 0 || b.At > maxMilli:
		return b, errors.New("heartbeat has a number that is out of range")
	}
	return b, b.Observed.check()
}

func parseLogChunk(data []byte) (LogChunk, error) {
	var l LogChunk
	if err := decode(data, &l); err != nil {
		return l, fmt.Errorf("log chunk cannot be read: %w", err)
	}
	switch {
	case l.V != ProtocolVersion || l.Offset < 0 || l.Offset > maxLogOffset || l.At < 0 || l.At > maxMilli || len(l.Text) > maxLogText:
		return l, errors.New("log chunk is out of bounds")
	case !orderName.MatchString(l.Order):
		return l, errors.New("log chunk names no order")
	case l.Step != "" && !l.Step.known():
		return l, fmt.Errorf("log chunk has the unknown step %q", l.Step)
	}
	return l, nil
}
