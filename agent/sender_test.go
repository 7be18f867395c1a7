package agent

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/nixfleet/nixfleet/agentbus"
)

// wire is a bus that takes answers as it is told to.
type wire struct {
	Link
	refuses map[uint32]error
	tried   []string
}

func (w *wire) Answer(_ context.Context, a agentbus.Answer) error {
	err := w.refuses[a.Seq]
	w.tried = append(w.tried, fmt.Sprintf("%d %t", a.Seq, err == nil))
	return err
}

func (w *wire) Connected() bool { return true }

// An answer that the bus did not take comes before the later ones of its order, also
// while it waits for its next try: who confirms a later one confirms it unseen. One
// that can never be sent holds back nothing.
func TestAnswersKeepTheirOrder(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		err  error
		want []string
	}{
		{"the connection dies", errors.New("no reply"), []string{"1 false", "1 true", "2 true", "3 true"}},
		{"it is too large", fmt.Errorf("send: %w", agentbus.ErrUnsendable), []string{"1 false", "2 true", "3 true", "1 true"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			now := time.Unix(1e9, 0)
			j, err := openJournal(filepath.Join(t.TempDir(), "journal"), func(string) {})
			if err != nil {
				t.Fatal(err)
			}
			defer j.close()
			bus := &wire{refuses: map[uint32]error{1: tt.err}}
			a := &Agent{cfg: Config{Link: bus, Now: func() time.Time { return now }}, ledger: &ledger{journal: j}}
			sent := map[answerKey]tries{}
			j.rec.Unconfirmed = []agentbus.Answer{{Order: "o", Seq: 1}}
			a.sendDue(t.Context(), sent)
			j.rec.Unconfirmed = append(j.rec.Unconfirmed, agentbus.Answer{Order: "o", Seq: 2}, agentbus.Answer{Order: "o", Seq: 3})
			a.sendDue(t.Context(), sent)
			bus.refuses = nil
			now = now.Add(resendFirst)
			a.sendDue(t.Context(), sent)
			if !slices.Equal(bus.tried, tt.want) {
				t.Errorf("tried %q, want %q", bus.tried, tt.want)
			}
		})
	}
}
