package agentbus_test

import (
	"testing"

	"github.com/nixfleet/nixfleet/agentbus"
	"github.com/nixfleet/nixfleet/agentbus/bustest"
)

// What the server may send is no measure for hosts.
func TestAHostSendsNothingLargerThanAnAnswer(t *testing.T) {
	t.Parallel()
	b := bustest.Start(t)
	m := newMallory(t, b.Host(t, "a"))
	for _, size := range []int{agentbus.MaxPayload, agentbus.MaxPayload + 1} {
		before := m.nc.Stats().Reconnects
		if err := m.nc.Publish("hb.a", make([]byte, size)); err != nil && size > agentbus.MaxPayload {
			return // its own client knows already
		}
		err := m.nc.Flush()
		if kept := err == nil && m.nc.Stats().Reconnects == before; kept != (size <= agentbus.MaxPayload) {
			t.Errorf("%d bytes: %v", size, err)
		}
	}
}
