package api

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nixfleet/nixfleet/fleet"
)

// EventService is what the stream of events needs of the product.
type EventService interface {
	// Overview is that of [Service].
	Overview(ctx context.Context) (fleet.Overview, error)
	// OpenOrderStates are those of the orders that have not ended.
	OpenOrderStates(ctx context.Context) ([]OrderState, error)
	// Listen calls changed whenever something visible changed on any replica, and once
	// at the start. It returns when ctx ends.
	Listen(ctx context.Context, changed func()) error
}

// OrderState is how far one order is.
type OrderState struct {
	ID    string
	Host  string
	Kind  string
	State string
}

// Event says that something changed; it is a hint to look again.
type Event struct {
	Kind    string   `json:"kind" enum:"host,update,rollout,order"`
	ID      string   `json:"id" doc:"A host's name, an update as owner/name#number, else the id"`
	Change  string   `json:"change" enum:"appeared,changed,gone,ended" doc:"gone: a host was revoked; ended: an order has"`
	Changed []string `json:"changed,omitempty" doc:"Which of its fields"`
	State   string   `json:"state,omitempty" doc:"How it is now"`
	Href    string   `json:"href" doc:"Where to look"`

	seq uint64
}

const (
	// kept is how many events are remembered for who connects again.
	keptEvents = 4096

	// ahead is how many events may wait for one reader. Who is slower is cut off, and
	// begins anew.
	aheadEvents = 512

	// maxReaders bounds the streams of one replica.
	maxReaders = 500

	// settleFor collects what changes together, e.g. an update and its rollout.
	settleFor = 200 * time.Millisecond

	// lookEvery finds what changes by time alone: a host that fell silent.
	lookEvery = 15 * time.Second
)

var errTooMany = errors.New("too many event streams")

// hub compares what there is with what there was, and tells its readers. It works only
// while somebody reads.
type hub struct {
	s     EventService
	epoch string // tells this run of this replica from others: events of one are not numbered as those of another

	mu      sync.Mutex
	readers map[*reader]bool
	stop    context.CancelFunc // of the work; nil while nobody reads
	begun   chan struct{}      // closed once there is something to compare with
	seq     uint64
	past    []Event
	was     map[string]mark
}

// reader is one stream.
type reader struct {
	events chan Event
	ended  chan struct{} // closed when the hub gives it up
}

// mark is what is compared of a thing.
type mark struct {
	event  Event
	fields [][2]string
}

func newHub(s EventService, epoch string) *hub {
	return &hub{s: s, epoch: epoch, readers: map[*reader]bool{}}
}

// start is what a reader gets first.
type start struct {
	at     string  // id that its events come after
	whole  bool    // missed is all that happened since the id that it gave
	missed []Event // oldest first
}

// join adds a reader, which has read up to the event with the given id.
func (h *hub) join(ctx context.Context, after string) (*reader, start, error) {
	r := &reader{events: make(chan Event, aheadEvents), ended: make(chan struct{})}
	h.mu.Lock()
	if len(h.readers) >= maxReaders {
		h.mu.Unlock()
		return nil, start{}, errTooMany
	}
	h.readers[r] = true
	if h.stop == nil {
		h.begin()
	}
	begun := h.begun
	h.mu.Unlock()
	select {
	case <-begun:
	case <-r.ended:
		return nil, start{}, errors.New("what there is could not be read")
	case <-ctx.Done():
		h.leave(r)
		return nil, start{}, ctx.Err()
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for len(r.events) > 0 { // they are among what is remembered
		<-r.events
	}
	return r, h.since(after), nil
}

// since is what a reader gets first that has read up to an id.
func (h *hub) since(after string) start {
	epoch, number, _ := strings.Cut(after, "-")
	seq, err := strconv.ParseUint(number, 10, 64)
	if err != nil || epoch != h.epoch || seq > h.seq || seq+uint64(len(h.past)) < h.seq {
		return start{at: h.id(h.seq)}
	}
	return start{at: after, whole: true, missed: slices.Clone(h.past[uint64(len(h.past))-(h.seq-seq):])}
}

func (h *hub) id(seq uint64) string { return fmt.Sprintf("%s-%d", h.epoch, seq) }

// leave takes a reader out. The last one ends the work.
func (h *hub) leave(r *reader) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.readers[r] {
		return
	}
	delete(h.readers, r)
	if len(h.readers) == 0 {
		h.rest()
	}
}

// begin starts the work. What happened while nobody read was not seen, so nothing of
// before is remembered.
func (h *hub) begin() {
	ctx, cancel := context.WithCancel(context.Background())
	h.stop, h.begun, h.was, h.past = cancel, make(chan struct{}), nil, nil
	h.seq++ // so that an id of before is not the newest
	go h.work(ctx, h.begun)
}

func (h *hub) rest() {
	h.stop()
	h.stop = nil
}

// work looks after each change until its context ends. When it can't look, it gives
// all readers up: they shall know.
func (h *hub) work(ctx context.Context, begun chan struct{}) {
	woken := make(chan struct{}, 1)
	listening := make(chan struct{})
	go func() {
		defer close(listening)
		_ = h.s.Listen(ctx, func() {
			select {
			case woken <- struct{}{}:
			default:
			}
		})
	}()
	defer func() { <-listening }()
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	for {
		if err := h.look(ctx); err != nil {
			h.giveUp(ctx)
			return
		}
		select {
		case <-begun:
		default:
			close(begun)
		}
		select {
		case <-ctx.Done():
			return
		case <-woken:
		case <-ticker.C:
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(settleFor):
		}
	}
}

// giveUp ends every stream of the work whose context is given.
func (h *hub) giveUp(ctx context.Context) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if ctx.Err() != nil {
		return // it is over already, and the readers there are now are of the next
	}
	for r := range h.readers {
		delete(h.readers, r)
		close(r.ended)
	}
	h.rest()
}

// look compares, and tells what changed.
func (h *hub) look(ctx context.Context) error {
	is, err := h.marks(ctx)
	if err != nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if ctx.Err() != nil {
		return nil // the next work compares for itself
	}
	if h.was != nil {
		for _, e := range changes(h.was, is) {
			h.tell(e)
		}
	}
	h.was = is
	return nil
}

func (h *hub) tell(e Event) {
	h.seq++
	e.seq = h.seq
	if h.past = append(h.past, e); len(h.past) > keptEvents {
		h.past = slices.Clone(h.past[len(h.past)-keptEvents/2:])
	}
	for r := range h.readers {
		select {
		case r.events <- e:
		default:
			delete(h.readers, r)
			close(r.ended)
		}
	}
}
