package agentbus

import (
	"strings"
	"testing"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats.go/jetstream"
)

// JetStream is the server's own access, to see what is really stored.
func (c *Control) JetStream() jetstream.JetStream { return c.js }

// Publish sends raw bytes with the server's rights.
func (c *Control) Publish(subject string, data []byte) error {
	if err := c.nc.Publish(subject, data); err != nil {
		return err
	}
	return c.nc.Flush()
}

// Seal signs anything as if it were an order.
func (k *Keyring) Seal(kind string, v any) ([]byte, error) { return k.seal(kind, v) }

// IssueMisplacedHost issues a host with the usual subjects, but in the account
// that has JetStream: what the two accounts protect from.
func (k *Keyring) IssueMisplacedHost(t *testing.T, host, user string) string {
	t.Helper()
	template := hostTemplate()
	fill := func(list jwt.StringList) (out jwt.StringList) {
		for _, subject := range list {
			out.Add(strings.ReplaceAll(subject, "{{name()}}", host))
		}
		return out
	}
	c := jwt.NewUserClaims(user)
	c.Name = host
	c.Pub.Allow = fill(template.Pub.Allow)
	c.Sub.Allow = fill(template.Sub.Allow)
	token, err := c.Encode(k.control)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// Stall keeps the link from taking anything in until the returned function is called.
func (h *HostLink) Stall() (release func()) {
	h.inbox.mu.Lock()
	return h.inbox.mu.Unlock
}
