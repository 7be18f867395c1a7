package agentbus

import (
	"testing"

	"github.com/nats-io/nats.go"
)

func TestNonsenseDoesNotDisplaceAHeartbeatThatWaits(t *testing.T) {
	t.Parallel()
	q := &beatQueue{beats: make(map[string]*nats.Msg), wake: make(chan struct{}, 1)}
	good := &nats.Msg{Subject: "hb.b", Data: []byte(`{"v":1,"gen":4,"observed":{}}`)}
	q.put(good)
	for _, reply := range []string{"", `{"stream":"EVENTS","seq":7}`, `{"kid":"x","type":"y","payload":"e30=","sig":""}`} {
		q.put(&nats.Msg{Subject: "hb.b", Data: []byte(reply)})
	}
	if got := q.swap(nil)["b"]; got != good {
		t.Errorf("displaced by %s", got.Data)
	}
}

func TestHostNames(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]bool{
		"web1": true, "a-b": true, "0": true, "": false, "Web1": false, "a.b": false, "a*": false, ">": false, "a\n": false, "ä": false,
	} {
		if ValidHost(name) != want {
			t.Errorf("ValidHost(%q) is %v", name, !want)
		}
	}
}
