package broker_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nixfleet/nixfleet/agentbus"
	"github.com/nixfleet/nixfleet/agentbus/broker"
	"github.com/nixfleet/nixfleet/agentbus/bustest"
)

func TestBrokerSaysWhyItCannotStart(t *testing.T) {
	t.Parallel()
	keys := bustest.Keys(t)
	dir := t.TempDir()
	running := bustest.StartBroker(t, broker.Options{Dir: dir, Listen: "127.0.0.1:0", Trust: keys.Trust()})
	taken := strings.TrimPrefix(running.URL(), "nats://")
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name string
		o    broker.Options
		want string
	}{
		{"port is taken", broker.Options{Dir: t.TempDir(), Listen: taken}, taken},
		{"directory is in use", broker.Options{Dir: dir, Listen: "127.0.0.1:0"}, dir},
		{"directory is a file", broker.Options{Dir: file, Listen: "127.0.0.1:0"}, file},
		{"address without port", broker.Options{Dir: t.TempDir(), Listen: "localhost"}, "host:port"},
		{"port out of range", broker.Options{Dir: t.TempDir(), Listen: "localhost:70000"}, "65535"},
	} {
		test.o.Trust = keys.Trust()
		_, err := broker.Start(t.Context(), test.o)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: error %v does not name %q", test.name, err, test.want)
		}
	}
}

func TestBrokerWithoutListenerServesItsOwnProcess(t *testing.T) {
	t.Parallel()
	keys, dir := bustest.Keys(t), t.TempDir()
	for range 2 { // and leaves the directory free for the next
		own, err := broker.Start(t.Context(), broker.Options{Dir: dir, Trust: keys.Trust()})
		if err != nil {
			t.Fatal(err)
		}
		if own.URL() != "" {
			t.Errorf("URL %q", own.URL())
		}
		c, err := agentbus.ConnectControl(t.Context(), agentbus.ControlOptions{Broker: own, Keys: keys})
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Healthy(t.Context()); err != nil {
			t.Error(err)
		}
		c.Close()
		if err := own.Shutdown(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}
