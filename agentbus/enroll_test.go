package agentbus_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/nixfleet/nixfleet/agentbus"
	"github.com/nixfleet/nixfleet/agentbus/bustest"
)

func TestEnrolmentIsSignedAsAWhole(t *testing.T) {
	t.Parallel()
	now := time.UnixMilli(1_700_000_000_000)
	seed, public := bustest.HostKey(t)
	_, other := bustest.HostKey(t)
	good, err := agentbus.SignEnroll(seed, agentbus.EnrollRequest{Token: "secret", Host: "web1", At: now.UnixMilli()})
	if err != nil {
		t.Fatal(err)
	}
	if good.PublicKey != public {
		t.Errorf("public key %q", good.PublicKey)
	}
	// Over the wire and back.
	data, err := json.Marshal(good)
	if err != nil {
		t.Fatal(err)
	}
	var got agentbus.EnrollRequest
	if err := json.Unmarshal(data, &got); err != nil {
		t.Fatal(err)
	}
	if err := got.Verify(now.Add(time.Minute)); err != nil {
		t.Error(err)
	}
	for name, edit := range map[string]func(*agentbus.EnrollRequest){
		"token":         func(r *agentbus.EnrollRequest) { r.Token = "" },
		"host":          func(r *agentbus.EnrollRequest) { r.Host = "web2" },
		"impossible":    func(r *agentbus.EnrollRequest) { r.Host = "*" },
		"time":          func(r *agentbus.EnrollRequest) { r.At++ },
		"another's key": func(r *agentbus.EnrollRequest) { r.PublicKey = other },
		"no key":        func(r *agentbus.EnrollRequest) { r.PublicKey = "" },
		"no signature":  func(r *agentbus.EnrollRequest) { r.Sig = nil },
	} {
		r := good
		edit(&r)
		if err := r.Verify(now); err == nil {
			t.Errorf("%s: verified", name)
		} else if strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: the error tells the token", name)
		}
	}
	if err := good.Verify(now.Add(time.Hour)); err == nil || !strings.Contains(err.Error(), "clock") {
		t.Errorf("an hour later: %v", err)
	}
	if _, err := agentbus.SignEnroll([]byte("x"), agentbus.EnrollRequest{}); err == nil {
		t.Error("signed with nonsense")
	}
}
