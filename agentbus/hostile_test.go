package agentbus_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/nixfleet/nixfleet/agentbus"
	"github.com/nixfleet/nixfleet/agentbus/bustest"
)

// mallory is host a with its own certificate and a client of its own making.
type mallory struct {
	nc *nats.Conn

	mu   sync.Mutex
	errs []string
}

func newMallory(t *testing.T, cfg agentbus.HostConfig) *mallory {
	t.Helper()
	m := &mallory{}
	nc, err := nats.Connect(cfg.URLs[0],
		nats.UserJWTAndSeed(cfg.UserJWT, string(cfg.Seed)), nats.CustomInboxPrefix("_INBOX_"+cfg.Host),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			m.mu.Lock()
			defer m.mu.Unlock()
			m.errs = append(m.errs, err.Error())
		}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	m.nc = nc
	return m
}

// denied reports whether the broker has forbidden what to subject.
func (m *mallory) denied(what, subject string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, err := range m.errs {
		if strings.Contains(strings.ToLower(err), strings.ToLower(fmt.Sprintf("permissions violation for %s to %q", what, subject))) {
			return true
		}
	}
	return false
}

const ownOrder = "$JS.API.DIRECT.GET.KV_desired.$KV.desired.a"

// attacks are permitted publishes of host a whose reply subject is another's.
// What a gets to send is what its own key of the bucket holds.
var attacks = []struct {
	name, subject, reply, own string
	real                      bool // succeeds where hosts are in the account with JetStream
}{
	{"overwrite an order with an acknowledgement", "ev.a", "$KV.desired.b", "{}", true},
	{"overwrite an order with another's", ownOrder, "$KV.desired.b", "{}", true},
	{"forge an answer", ownOrder, "ev.b", "{}", true},
	{"purge the bucket", ownOrder, "$JS.API.STREAM.PURGE.KV_desired", "{}", false}, // DenyPurge is a second line
	{"delete the bucket", ownOrder, "$JS.API.STREAM.DELETE.KV_desired", "", true},
	{"forge a log", ownOrder, "log.b.o1", "{}", true},
	{"delete an order", ownOrder, "$JS.API.STREAM.MSG.DELETE.KV_desired", `{"seq":1}`, false}, // DenyDelete
	{"read an order by relay", ownOrder, "$JS.API.DIRECT.GET.KV_desired.$KV.desired.b", "{}", false},
}

// settle returns once everything that m caused has come to rest: each stream has
// answered both m and the server after it.
func settle(t *testing.T, b *bustest.Bus, m *mallory) {
	t.Helper()
	for _, subject := range []string{ownOrder, "ev.a"} {
		if _, err := m.nc.Request(subject, nil, 10*time.Second); err != nil {
			t.Fatalf("own right to %s: %v", subject, err)
		}
	}
	for _, stream := range []string{"KV_desired", "EVENTS", "LOGS"} {
		if _, err := b.Control.JetStream().Stream(t.Context(), stream); err != nil {
			t.Errorf("stream %s: %v", stream, err)
		}
	}
}

// stored returns the last sequence and bytes of each subject that names host b.
func stored(t *testing.T, b *bustest.Bus) map[string]string {
	t.Helper()
	out := make(map[string]string)
	for stream, subject := range map[string]string{"KV_desired": "$KV.desired.b", "EVENTS": "ev.b", "LOGS": "log.b.o1"} {
		s, err := b.Control.JetStream().Stream(t.Context(), stream)
		if err != nil {
			out[subject] = err.Error()
			continue
		}
		if m, err := s.GetLastMsgForSubject(t.Context(), subject); err != nil {
			out[subject] = err.Error()
		} else {
			out[subject] = fmt.Sprintf("%d %s", m.Sequence, m.Data)
		}
	}
	return out
}

func TestHostCannotHarmAnotherThroughReplySubjects(t *testing.T) {
	t.Parallel()
	for _, attack := range attacks {
		t.Run(attack.name, func(t *testing.T) {
			t.Parallel()
			b := bustest.Start(t)
			send(t, b.Control, order("b", 1))
			raw(t, b, "a", []byte(attack.own))
			m := newMallory(t, b.Host(t, "a"))
			before := stored(t, b)
			if err := m.nc.PublishRequest(attack.subject, attack.reply, nil); err != nil {
				t.Fatal(err)
			}
			settle(t, b, m)
			for subject, was := range before {
				if now := stored(t, b)[subject]; now != was {
					t.Errorf("%s changed from %q to %q", subject, was, now)
				}
			}
			// Host b neither notices nor loses anything.
			host := bustest.Link(t, b.Host(t, "b"))
			next(t, host, 0, 1)
			send(t, b.Control, order("b", 2))
			next(t, host, 1, 2)
		})
	}
}

// The attacks are real: with the same subjects, but in the account that has
// JetStream, they succeed. So the test above does test something.
func TestReplySubjectAttacksSucceedInOneAccount(t *testing.T) {
	t.Parallel()
	for _, attack := range attacks {
		if !attack.real {
			continue
		}
		t.Run(attack.name, func(t *testing.T) {
			t.Parallel()
			b := bustest.Start(t)
			send(t, b.Control, order("b", 1))
			raw(t, b, "a", []byte(attack.own))
			cfg := b.Host(t, "a")
			var public string
			cfg.Seed, public = bustest.HostKey(t)
			cfg.UserJWT = b.Keys.IssueMisplacedHost(t, "a", public)
			m := newMallory(t, cfg)
			before := fmt.Sprint(stored(t, b))
			bustest.Eventually(t, "the attack to succeed", func() bool {
				_ = m.nc.PublishRequest(attack.subject, attack.reply, nil)
				return fmt.Sprint(stored(t, b)) != before
			})
		})
	}
}

func TestHostMayTouchNothingOfAnother(t *testing.T) {
	t.Parallel()
	b := bustest.Start(t)
	send(t, b.Control, order("a", 1), order("b", 1))
	m := newMallory(t, b.Host(t, "a"))
	before := stored(t, b)

	subscriptions := []string{
		"cmd.b", "cmd.*", "cmd.>", "ev.a", "ev.b", "ev.*", "ev.>", "hb.a", "hb.b", "hb.*", "log.b.*", "log.>",
		"_INBOX_b.>", "_INBOX.>", "_INBOX_*.>", "$KV.desired.b", "$KV.>", "$JS.>", "$JS.API.>", "$SYS.>", ">", "*", "*.b",
	}
	heard := make(chan *nats.Msg, 100)
	for _, subject := range subscriptions {
		if _, err := m.nc.ChanSubscribe(subject, heard); err != nil {
			t.Fatal(err)
		}
	}
	publishes := []string{
		"cmd.a", "cmd.b", "ev.b", "ev.b.x", "ev.a.x", "hb.b", "log.b.o1", "log.a", "log.a.o1.x",
		"$KV.desired.a", "$KV.desired.b", "_INBOX_b.x",
		"$JS.API.INFO", "$JS.API.STREAM.LIST", "$JS.API.STREAM.NAMES",
		"$JS.API.STREAM.INFO.KV_desired", "$JS.API.STREAM.INFO.EVENTS",
		"$JS.API.STREAM.CREATE.X", "$JS.API.STREAM.UPDATE.KV_desired",
		"$JS.API.STREAM.PURGE.KV_desired", "$JS.API.STREAM.PURGE.EVENTS",
		"$JS.API.STREAM.DELETE.KV_desired", "$JS.API.STREAM.DELETE.EVENTS",
		"$JS.API.STREAM.SNAPSHOT.KV_desired", "$JS.API.STREAM.RESTORE.KV_desired",
		"$JS.API.STREAM.MSG.GET.KV_desired", "$JS.API.STREAM.MSG.DELETE.KV_desired", "$JS.API.STREAM.MSG.DELETE.EVENTS",
		"$JS.API.CONSUMER.CREATE.EVENTS", "$JS.API.CONSUMER.CREATE.KV_desired.x", "$JS.API.CONSUMER.DURABLE.CREATE.EVENTS.x",
		"$JS.API.CONSUMER.MSG.NEXT.EVENTS.x", "$JS.API.CONSUMER.DELETE.EVENTS.x", "$JS.API.CONSUMER.LIST.EVENTS",
		"$JS.API.DIRECT.GET.KV_desired", "$JS.API.DIRECT.GET.EVENTS",
		"$JS.API.DIRECT.GET.KV_desired.$KV.desired.b", "$JS.API.DIRECT.GET.EVENTS.ev.b", "$JS.API.DIRECT.GET.LOGS.log.b.o1",
		"$JS.ACK.EVENTS.x.1.1.1.1.1", "$JS.FC.EVENTS.x",
		"$SYS.REQ.CLAIMS.UPDATE", "$SYS.REQ.SERVER.PING", "$SYS.REQ.ACCOUNT.PING.CONNZ", "$SYS.REQ.USER.INFO.x",
	}
	for _, subject := range publishes {
		if err := m.nc.PublishRequest(subject, "_INBOX_a.denied", []byte(`{}`)); err != nil {
			t.Fatal(err)
		}
	}
	bustest.Eventually(t, "the broker to deny it all", func() bool {
		for _, subject := range subscriptions {
			if !m.denied("subscription", subject) {
				return false
			}
		}
		for _, subject := range publishes {
			if !m.denied("publish", subject) {
				return false
			}
		}
		return true
	})

	// Traffic of others, after which host a must have heard nothing.
	host := bustest.Link(t, b.Host(t, "b"))
	got := next(t, host, 0, 1)
	settle(t, b, m)
	for subject, was := range before {
		if now := stored(t, b)[subject]; now != was {
			t.Errorf("%s changed from %q to %q", subject, was, now)
		}
	}
	answerAll(t, host, got)
	send(t, b.Control, order("b", 2))
	next(t, host, 1, 2)
	if _, err := m.nc.Request(ownOrder, nil, 10*time.Second); err != nil {
		t.Fatal(err)
	}
	if len(heard) > 0 {
		t.Errorf("host a heard %q", (<-heard).Subject)
	}
}

func TestHostCannotSuppressAnswersOfAnother(t *testing.T) {
	t.Parallel()
	b := bustest.Start(t)
	m := newMallory(t, b.Host(t, "a"))
	host := bustest.Link(t, b.Host(t, "b"))
	var r recorder
	reading(t, b.Control, 0, r.handle)
	o := order("b", 1)
	// Poison every id that could be guessed, in every header that JetStream knows.
	for seq := range 7 {
		for _, header := range []string{
			jetstream.MsgIDHeader, jetstream.ExpectedLastSeqHeader, jetstream.ExpectedLastSubjSeqHeader,
			jetstream.MsgRollup, jetstream.MsgTTLHeader, "Nats-Batch-Id", "Nats-Trace-Dest", "Nats-Schedule",
		} {
			msg := nats.NewMsg("ev.a")
			msg.Header.Set(header, fmt.Sprintf("b/%s/%d", o.ID, seq))
			if header == "Nats-Trace-Dest" {
				msg.Header.Set(header, "cmd.b")
			}
			if err := m.nc.PublishMsg(msg); err != nil {
				t.Fatal(err)
			}
		}
	}
	answerAll(t, host, o)
	// Then flood the stream: a host pushes out only its own answers.
	for range 12_000 {
		if err := m.nc.Publish("ev.a", []byte("{}")); err != nil {
			t.Fatal(err)
		}
	}
	bustest.Eventually(t, "the answers of b", func() bool { return r.count() == len(steps) })
	var again recorder
	bustest.Eventually(t, "the end of the flood", func() bool {
		_, err := m.nc.Request("ev.a", nil, 10*time.Second)
		return err == nil
	})
	reading(t, b.Control, 0, again.handle)
	bustest.Eventually(t, "the answers of b, read again", func() bool { return again.count() == len(steps) })
}

// What host a can still do is make replies of JetStream arrive at host b. They
// are not signed for b; b must ignore them and go on.
func TestHostIgnoresWhatOthersMakeArrive(t *testing.T) {
	t.Parallel()
	b := bustest.Start(t)
	m := newMallory(t, b.Host(t, "a"))
	host := bustest.Link(t, b.Host(t, "b"))
	send(t, b.Control, order("a", 9), order("b", 1))
	next(t, host, 0, 1)
	for range 100 {
		for _, subject := range []string{ownOrder, "ev.a"} { // a's own order, an acknowledgement
			for _, reply := range []string{"cmd.b", "hb.b"} {
				if err := m.nc.PublishRequest(subject, reply, nil); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	settle(t, b, m)
	for _, junk := range []string{"", "{}", "[]", "null", `{"payload":"e30="}`, strings.Repeat("[", 10_000), "\x00\xff"} {
		if err := b.Control.Publish("cmd.b", []byte(junk)); err != nil {
			t.Fatal(err)
		}
	}
	send(t, b.Control, order("b", 2))
	next(t, host, 1, 2) // and no Refusal
}

func TestHeartbeatsOfOthersCannotBeForged(t *testing.T) {
	t.Parallel()
	b := bustest.Start(t)
	send(t, b.Control, order("a", 1))
	m := newMallory(t, b.Host(t, "a"))
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	seen := make(chan string, 1000)
	wg.Go(func() {
		_ = b.Control.Heartbeats(ctx, func(batch []agentbus.HostBeat) error {
			for _, beat := range batch {
				seen <- beat.Host
			}
			return nil
		})
	})
	bustest.Eventually(t, "a's own heartbeat, after the forged ones", func() bool {
		for _, subject := range []string{ownOrder, "ev.a"} {
			_ = m.nc.PublishRequest(subject, "hb.b", nil)
			_, _ = m.nc.Request(subject, nil, 10*time.Second) // the forged reply left before this one
		}
		_ = m.nc.Publish("hb.a", []byte(`{"v":1,"observed":{}}`))
		return len(seen) > 0
	})
	for len(seen) > 0 {
		if host := <-seen; host != "a" {
			t.Errorf("heartbeat of host %q", host)
		}
	}
}

func TestCertificatesThatAreNotOurs(t *testing.T) {
	t.Parallel()
	b := bustest.Start(t)
	good := b.Host(t, "a")
	other := bustest.Keys(t)
	foreign, err := agentbus.ConnectControl(t.Context(), agentbus.ControlOptions{Keys: other, URLs: []string{b.Broker.URL()}})
	if err == nil {
		foreign.Close()
		t.Error("a server with another keyring may join")
	}
	expired := good
	expired.Seed, expired.UserJWT = func() ([]byte, string) {
		seed, public := bustest.HostKey(t)
		old := bustest.Connect(t, agentbus.ControlOptions{Broker: b.Broker, Keys: b.Keys,
			Now: func() time.Time { return time.Now().Add(-2 * time.Hour) }})
		token, err := old.IssueHost("a", public, time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		return seed, token
	}()
	stolen := good
	stolen.Seed, _ = bustest.HostKey(t)
	for name, cfg := range map[string]agentbus.HostConfig{"expired": expired, "another's key": stolen} {
		if err := agentbus.FreshRoundTrip(t.Context(), cfg); err == nil {
			t.Errorf("%s: the broker let it in", name)
		}
	}
	_, public := bustest.HostKey(t)
	for _, name := range []string{"", "B", "a.b", "*", ">", "a b", strings.Repeat("a", 64), "{{name()}}"} {
		if _, err := b.Control.IssueHost(name, public, time.Hour); err == nil {
			t.Errorf("issued a certificate for %q", name)
		}
	}
}

// raw puts anything into a host's key, as a broker gone bad could.
func raw(t *testing.T, b *bustest.Bus, host string, v any) {
	t.Helper()
	data, ok := v.([]byte)
	if !ok {
		var err error
		if data, err = json.Marshal(v); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := b.Control.JetStream().Publish(t.Context(), "$KV.desired."+host, data); err != nil {
		t.Fatal(err)
	}
}
