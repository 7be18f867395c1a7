package handlers

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/palantir/go-githubapp/githubapp"
)

// Delivery is one webhook as it is stored: (HookID, GUID) names it. GitHub repeats
// the GUID when it delivers again, and two hooks on one address share it.
type Delivery struct {
	HookID     int64 // 0 where an old GitHub Enterprise does not say
	GUID       string
	Event      string            // e.g. "pull_request"
	Action     string            // e.g. "synchronize"; empty where the event has none
	Headers    map[string]string // allow-listed only
	Payload    []byte
	ReceivedAt time.Time
}

// Inbox stores deliveries durably. StoreDelivery returns nil only after commit;
// fresh is false when this delivery was stored before.
type Inbox interface {
	StoreDelivery(ctx context.Context, d Delivery) (fresh bool, err error)
}

// storedHeaders are the headers worth keeping. It is an allow-list, because GitHub
// once sent webhook secrets in a header of their own (X-Github-Encoded-Secret),
// and proxies add cookies and tokens.
var storedHeaders = []string{
	"Content-Type",
	"User-Agent",
	"X-GitHub-Delivery",
	"X-GitHub-Event",
	"X-GitHub-Hook-ID",
	"X-GitHub-Hook-Installation-Target-ID",
	"X-GitHub-Hook-Installation-Target-Type",
	"X-GitHub-Enterprise-Host",
	"X-GitHub-Enterprise-Version",
}

// maxHeader bounds a stored header; none of GitHub's comes near it.
const maxHeader = 256

// envelope is the head of a delivery on its way through the dispatcher, whose
// Dispatch carries no headers.
type envelope struct {
	Delivery
	duplicate bool
}

type envelopeKey struct{}

// parseEnvelope reads what names a delivery.
func parseEnvelope(h http.Header) (*envelope, *refusal) {
	e := &envelope{Delivery: Delivery{Event: h.Get("X-GitHub-Event"), GUID: h.Get("X-GitHub-Delivery")}}
	if !isWord(e.Event) {
		return nil, &refusal{http.StatusBadRequest, "no event name (X-GitHub-Event); GitHub sends one with every delivery"}
	}
	if !isGUID(e.GUID) {
		return nil, &refusal{http.StatusBadRequest, "no delivery id (X-GitHub-Delivery); GitHub sends one with every delivery"}
	}
	if id := h.Get("X-GitHub-Hook-ID"); id != "" {
		n, err := strconv.ParseInt(id, 10, 64)
		if err != nil || n < 0 {
			return nil, &refusal{http.StatusBadRequest, "the hook id (X-GitHub-Hook-ID) is not a number"}
		}
		e.HookID = n
	}
	e.Headers = make(map[string]string, len(storedHeaders))
	for _, name := range storedHeaders {
		if v := h.Get(name); v != "" {
			e.Headers[name] = clean(v, maxHeader)
		}
	}
	return e, nil
}

// scheduler is go-githubapp's Scheduler with a memory that survives: it stores the
// dispatch instead of running it.
type scheduler struct{ inbox Inbox }

// Schedule returns nil only after the delivery was committed.
func (s scheduler) Schedule(ctx context.Context, d githubapp.Dispatch) error {
	e, ok := ctx.Value(envelopeKey{}).(*envelope)
	if !ok {
		return errors.New("store delivery: the request did not come through the hook")
	}
	e.Payload = d.Payload
	e.Action = actionOf(d.Payload)

	ctx, cancel := context.WithTimeout(ctx, storeBudget)
	defer cancel()
	fresh, err := s.inbox.StoreDelivery(ctx, e.Delivery)
	if err != nil {
		return fmt.Errorf("store delivery %s of %s: %w", e.GUID, e.Event, err)
	}
	e.duplicate = !fresh
	return nil
}

// actionFields is how far actionOf looks: GitHub puts the action first.
const actionFields = 4

// actionOf finds the payload's action without decoding all of it.
func actionOf(payload []byte) string {
	d := json.NewDecoder(bytes.NewReader(payload))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return ""
	}
	for range actionFields {
		key, err := d.Token()
		if err != nil {
			return ""
		}
		if key == "action" {
			var action string
			if d.Decode(&action) != nil || !isWord(action) {
				return ""
			}
			return action
		}
		var skipped json.RawMessage
		if d.Decode(&skipped) != nil {
			return ""
		}
	}
	return ""
}

// isWord reports whether s may be the name of an event or of an action.
func isWord(s string) bool {
	for _, c := range []byte(s) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '_' {
			return false
		}
	}
	return s != "" && len(s) <= 64
}

// isGUID reports whether s may be a delivery id: GitHub's are UUIDs, other
// senders' may be any short printable text.
func isGUID(s string) bool {
	for _, c := range []byte(s) {
		if c <= ' ' || c > '~' {
			return false
		}
	}
	return s != "" && len(s) <= 128
}
