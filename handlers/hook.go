package handlers

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
	"time"

	"github.com/google/go-github/v60/github"
	"github.com/palantir/go-githubapp/githubapp"
	"github.com/rs/zerolog"
)

const (
	// maxPayload is the largest payload that GitHub delivers (its documented cap).
	maxPayload = 25 << 20

	// storeBudget bounds the write to the inbox. GitHub gives up after 10 s; an
	// inbox that needs longer than this is as good as away, and the delivery is
	// better marked as failed, because failed deliveries are asked for again.
	storeBudget = 2 * time.Second
)

// Config is what the hook needs.
type Config struct {
	Inbox   Inbox
	Secrets []string // webhook secrets that are live: one, or two during a rotation
	Now     func() time.Time
	Log     zerolog.Logger

	// Signed is told which secret, counted from 0, signed a delivery that was stored.
	// It may be nil.
	Signed func(secret int)
}

// hook checks what go-githubapp's dispatcher leaves open, then lets it verify and
// dispatch to our scheduler.
type hook struct {
	secrets     []string
	dispatchers []http.Handler // by secret
	now         func() time.Time
	log         zerolog.Logger
	signed      func(secret int)
}

// New makes the handler of POST /api/github/hook. It fails when a secret is
// missing or empty: go-githubapp would then accept unsigned requests.
func New(c Config) (http.Handler, error) {
	if c.Inbox == nil || c.Now == nil {
		return nil, errors.New("make webhook handler: no inbox or no clock")
	}
	if len(c.Secrets) == 0 || len(c.Secrets) > 2 {
		return nil, fmt.Errorf("make webhook handler: %d webhook secrets, want one, or two during a rotation", len(c.Secrets))
	}
	h := &hook{now: c.Now, log: c.Log, signed: c.Signed}
	if h.signed == nil {
		h.signed = func(int) {}
	}
	for i, secret := range c.Secrets {
		if strings.TrimSpace(secret) == "" {
			return nil, fmt.Errorf("make webhook handler: webhook secret %d is empty; without it anyone could send events", i+1)
		}
		h.secrets = append(h.secrets, secret)
		h.dispatchers = append(h.dispatchers, githubapp.NewEventDispatcher(eventHandlers(0), secret,
			githubapp.WithScheduler(scheduler{c.Inbox}),
			githubapp.WithErrorCallback(h.refused),
			githubapp.WithResponseCallback(func(w http.ResponseWriter, r *http.Request, _ string, _ bool) {
				h.signed(i)
				accepted(w, r)
			})))
	}
	return h, nil
}

// refusal is an answer other than 202, in words for whoever set up the webhook.
type refusal struct {
	code int
	text string
}

func (h *hook) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	envelope, no := readEnvelope(r)
	if no != nil {
		h.refuse(w, r, *no)
		return
	}
	body, err := readBody(http.MaxBytesReader(w, r.Body, maxPayload), r.ContentLength)
	if err != nil {
		h.refuse(w, r, bodyRefusal(err))
		return
	}
	if first := bytes.TrimLeft(body, " \t\r\n"); len(first) == 0 || first[0] != '{' {
		h.refuse(w, r, refusal{http.StatusBadRequest, "the body is not a JSON object; GitHub sends one with every event"})
		return
	}
	envelope.ReceivedAt = h.now()

	r = r.Clone(context.WithValue(r.Context(), envelopeKey{}, envelope))
	r.Body = io.NopCloser(bytes.NewReader(body))
	if !registered[envelope.Event] {
		// The dispatcher drops events that no handler is registered for. Ours are
		// all stored, under their own name.
		r.Header.Set("X-GitHub-Event", catchAll)
	}
	h.dispatcher(r, body).ServeHTTP(w, r)
}

// dispatcher picks the one whose secret signed the body. Only during a rotation
// does that cost a second HMAC.
func (h *hook) dispatcher(r *http.Request, body []byte) http.Handler {
	for i := range len(h.secrets) - 1 {
		if github.ValidateSignature(r.Header.Get(github.SHA256SignatureHeader), body, []byte(h.secrets[i])) == nil {
			return h.dispatchers[i]
		}
	}
	return h.dispatchers[len(h.dispatchers)-1]
}

// readEnvelope checks the head of a request before its body is read.
func readEnvelope(r *http.Request) (*envelope, *refusal) {
	no := func(code int, text string) (*envelope, *refusal) { return nil, &refusal{code, text} }
	if r.Method != http.MethodPost {
		return no(http.StatusMethodNotAllowed, "webhooks are delivered with POST")
	}
	if mt, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || mt != "application/json" {
		return no(http.StatusUnsupportedMediaType, "set the content type of the webhook to application/json")
	}
	// go-github falls back to SHA-1 where the newer header is missing, and takes
	// the hash function from the value's prefix. Neither is for an attacker to choose.
	if !strings.HasPrefix(r.Header.Get(github.SHA256SignatureHeader), "sha256=") {
		return no(http.StatusUnauthorized, "no SHA-256 signature (X-Hub-Signature-256); set a secret for the webhook")
	}
	if r.ContentLength > maxPayload {
		return nil, tooLarge()
	}
	return parseEnvelope(r.Header)
}

// readBody is io.ReadAll that makes room for what was announced, up to what may be
// made for an announcement alone.
func readBody(r io.Reader, announced int64) ([]byte, error) {
	const most = 256 << 10
	room := bytes.MinRead // bytes.Buffer wants so much to see the end
	if announced > 0 {
		room += int(min(announced, most))
	}
	body := bytes.NewBuffer(make([]byte, 0, room))
	_, err := body.ReadFrom(r)
	return body.Bytes(), err
}

func tooLarge() *refusal {
	return &refusal{http.StatusRequestEntityTooLarge, "the payload is larger than 25 MB, the most that GitHub delivers"}
}

func bodyRefusal(err error) refusal {
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		return *tooLarge()
	}
	return refusal{http.StatusBadRequest, "the body ended early"}
}

// refused is the dispatcher's error callback: the signature was wrong, or the
// delivery could not be stored.
func (h *hook) refused(w http.ResponseWriter, r *http.Request, err error) {
	var invalid githubapp.ValidationError
	if errors.As(err, &invalid) {
		h.refuse(w, r, refusal{http.StatusUnauthorized, "the signature does not match; the webhook's secret differs from ours"})
		return
	}
	h.log.Error().Err(err).Str("delivery", guidOf(r)).Msg("webhook not stored")
	w.Header().Set("Retry-After", "60")
	http.Error(w, "not stored: the database is away or slow; redeliver this event later", http.StatusServiceUnavailable)
}

func (h *hook) refuse(w http.ResponseWriter, r *http.Request, no refusal) {
	h.log.Warn().Int("status", no.code).Str("delivery", guidOf(r)).Str("reason", no.text).Msg("webhook refused")
	if no.code == http.StatusMethodNotAllowed {
		w.Header().Set("Allow", http.MethodPost)
	}
	http.Error(w, no.text, no.code)
}

// guidOf is the delivery id for logs, bounded, as it may be anyone's.
func guidOf(r *http.Request) string { return clean(r.Header.Get("X-GitHub-Delivery"), 64) }

// accepted answers for a delivery that is stored.
func accepted(w http.ResponseWriter, r *http.Request) {
	w.WriteHeader(http.StatusAccepted)
	text := "stored\n"
	if e, ok := r.Context().Value(envelopeKey{}).(*envelope); ok && e.duplicate {
		text = "stored before\n"
	}
	_, _ = io.WriteString(w, text) // GitHub shows it beside the delivery; a lost one harms nobody
}
