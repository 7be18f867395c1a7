package forgetest

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // GitHub still sends the SHA-1 signature beside the SHA-256 one
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// hookTimeout is how long github.com waits for an answer to a webhook.
const hookTimeout = 10 * time.Second

// keptDeliveries bounds the log; GitHub keeps three days.
const keptDeliveries = 5000

// delivery is one attempt to deliver an event; attempts of one event share
// the GUID.
type delivery struct {
	id                  int64
	guid, event, action string
	installation, repo  any // ids or nil
	url                 string
	header              http.Header
	payload             []byte
	redelivery          bool
	faultFree           bool // a redelivery or a second copy is not harmed again

	at             time.Time
	took           time.Duration
	status         string
	code           int
	answer         http.Header
	answerBody     string
	finished, lost bool
}

// hookQueue sends webhooks one after the other from one goroutine.
type hookQueue struct {
	s      *Server
	client *http.Client
	cancel context.CancelFunc
	done   chan struct{}
	wake   chan struct{}

	mu      sync.Mutex
	waiting []*delivery
	swapped []*delivery // to be sent after the next one
	held    []*delivery
	busy    bool
	log     []*delivery
	faults  []*HookFault
	idle    chan struct{} // closed and replaced at each moment of rest
}

func newHookQueue(s *Server) *hookQueue {
	ctx, cancel := context.WithCancel(context.Background())
	q := &hookQueue{
		s: s, cancel: cancel, done: make(chan struct{}), wake: make(chan struct{}, 1), idle: make(chan struct{}),
		client: &http.Client{Timeout: hookTimeout, Transport: &http.Transport{DisableKeepAlives: true}},
	}
	go q.loop(ctx)
	return q
}

func (q *hookQueue) close() {
	q.cancel()
	<-q.done
}

func (q *hookQueue) loop(ctx context.Context) {
	defer close(q.done)
	for {
		d := q.next()
		if d == nil {
			select {
			case <-ctx.Done():
				return
			case <-q.wake:
			}
			continue
		}
		if !d.lost {
			q.send(ctx, d)
		}
		q.finish(d)
		if ctx.Err() != nil {
			return
		}
	}
}

func (q *hookQueue) push(list ...*delivery) {
	q.mu.Lock()
	q.waiting = append(q.waiting, list...)
	q.mu.Unlock()
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// next takes the next delivery and applies the faults asked for.
func (q *hookQueue) next() *delivery {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.waiting) > 0 {
		d := q.waiting[0]
		q.waiting = q.waiting[1:]
		switch q.fault(d) {
		case HookDrop:
			d.lost, d.status, d.code, d.at = true, "failed to connect to host", 502, q.s.now()
		case HookDuplicate:
			twin := *d
			twin.faultFree = true
			q.waiting = slices.Insert(q.waiting, 0, &twin)
		case HookSwap:
			q.swapped = append(q.swapped, d)
			continue
		case HookHold:
			q.held = append(q.held, d)
			continue
		}
		q.busy = true
		return d
	}
	close(q.idle)
	q.idle = make(chan struct{})
	return nil
}

func (q *hookQueue) finish(d *delivery) {
	q.mu.Lock()
	defer q.mu.Unlock()
	d.finished, q.busy = true, false
	q.log = append(q.log, d)
	if over := len(q.log) - keptDeliveries; over > 0 {
		q.log = q.log[over:]
	}
	for _, s := range q.swapped {
		s.faultFree = true
	}
	q.waiting, q.swapped = append(q.swapped, q.waiting...), nil
}

func (q *hookQueue) send(ctx context.Context, d *delivery) {
	d.at = q.s.now()
	start := q.s.opts.AuthNow() // a duration of the network, not of the imitated calendar
	defer func() { d.took = q.s.opts.AuthNow().Sub(start) }()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, d.url, bytes.NewReader(d.payload))
	if err != nil {
		d.status, d.code = "failed to connect to host", 502
		return
	}
	req.Header = d.header.Clone()
	res, err := q.client.Do(req)
	if err != nil {
		d.status, d.code = "failed to connect to host", 502
		if ctx.Err() == nil && strings.Contains(err.Error(), "Timeout") {
			d.status, d.code = "timed out", 504
		}
		return
	}
	defer func() { _ = res.Body.Close() }()
	body, _ := io.ReadAll(io.LimitReader(res.Body, 64<<10))
	d.code, d.answer, d.answerBody = res.StatusCode, res.Header, string(body)
	d.status = "OK"
	if res.StatusCode >= 300 {
		d.status = "Invalid HTTP Response: " + strconv.Itoa(res.StatusCode)
	}
}

// WaitDelivered waits until every webhook made so far has been attempted. Held
// and swapped ones do not count.
func (s *Server) WaitDelivered(ctx context.Context) error {
	q := s.hooks
	for {
		q.mu.Lock()
		rest, idle := len(q.waiting) == 0 && !q.busy, q.idle
		q.mu.Unlock()
		if rest {
			return nil
		}
		select {
		case <-idle:
		case <-q.done:
			return fmt.Errorf("wait for webhooks: the server is closed")
		case <-ctx.Done():
			return fmt.Errorf("wait for webhooks: %w", ctx.Err())
		}
	}
}

// Delivery is one attempt to deliver a webhook.
type Delivery struct {
	ID            int64
	GUID          string
	Event, Action string
	StatusCode    int
	Redelivery    bool
	Header        http.Header // as sent
	Payload       []byte
}

// Deliveries lists the attempts made, oldest first.
func (s *Server) Deliveries() []Delivery {
	s.hooks.mu.Lock()
	defer s.hooks.mu.Unlock()
	var list []Delivery
	for _, d := range s.hooks.log {
		list = append(list, Delivery{d.id, d.guid, d.event, d.action, d.code, d.redelivery, d.header.Clone(), d.payload})
	}
	return list
}

// Redeliver sends a webhook once more under its GUID, as the button on the
// App's page does.
func (s *Server) Redeliver(deliveryID int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.again(deliveryID) {
		return fmt.Errorf("redeliver: no delivery %d", deliveryID)
	}
	return nil
}

func (s *Server) again(id int64) bool {
	d := s.hooks.byID(id)
	if d == nil {
		return false
	}
	s.hooks.push(&delivery{
		id: s.newID(), guid: d.guid, event: d.event, action: d.action, installation: d.installation, repo: d.repo, url: s.hookURL,
		header: s.hookHeader(d.event, d.guid, d.payload), payload: d.payload, redelivery: true, faultFree: true,
	})
	return true
}

func (q *hookQueue) byID(id int64) *delivery {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, d := range q.log {
		if d.id == id {
			return d
		}
	}
	return nil
}

// hookHeader is what GitHub sends with every webhook of an App.
func (s *Server) hookHeader(event, guid string, payload []byte) http.Header {
	h := http.Header{}
	h.Set("Accept", "*/*")
	h.Set("Content-Type", "application/json")
	h.Set("User-Agent", "GitHub-Hookshot/"+guid[:7])
	h.Set("X-GitHub-Delivery", guid)
	h.Set("X-GitHub-Event", event)
	h.Set("X-GitHub-Hook-ID", strconv.FormatInt(s.HookID, 10))
	h.Set("X-GitHub-Hook-Installation-Target-ID", strconv.FormatInt(s.AppID, 10))
	h.Set("X-GitHub-Hook-Installation-Target-Type", "integration")
	if s.hookSecret != "" {
		sign := func(f func() hash.Hash) string {
			mac := hmac.New(f, []byte(s.hookSecret))
			mac.Write(payload)
			return hex.EncodeToString(mac.Sum(nil))
		}
		h.Set("X-Hub-Signature", "sha1="+sign(sha1.New))
		h.Set("X-Hub-Signature-256", "sha256="+sign(sha256.New))
	}
	return h
}

// queueHook makes a delivery; the caller holds the lock, so the payload is the
// state of this moment even if it is sent later.
func (s *Server) queueHook(event string, payload obj, installation, repo any) {
	if s.hookURL == "" {
		return
	}
	raw := marshal(payload)
	s.opts.checks.webhook(s, event, raw)
	action, _ := payload["action"].(string)
	x := randomHex(16)
	guid := strings.Join([]string{x[:8], x[8:12], "4" + x[13:16], "a" + x[17:20], x[20:]}, "-")
	s.hooks.push(&delivery{
		id: s.newID(), guid: guid, event: event, action: action, installation: installation, repo: repo,
		url: s.hookURL, header: s.hookHeader(event, guid, raw), payload: raw,
	})
}
