package api_test

import (
	"context"
	"strings"
	"testing"

	"github.com/nixfleet/nixfleet/api"
	"github.com/nixfleet/nixfleet/fleet"
)

var ops = fleet.Receiver{ID: 5, Name: "ops", Service: "Slack", Enabled: true, Rule: fleet.ReceiverRule{On: []fleet.NoticeKind{fleet.NoticeMerged}, TZ: "Europe/Vienna"}}

func (*service) Receivers(context.Context) ([]fleet.Receiver, error) {
	return []fleet.Receiver{ops}, nil
}

func (s *service) PutReceiver(_ context.Context, _ fleet.Actor, w fleet.ReceiverWish) (fleet.Receiver, error) {
	if faults := w.Rule.Validate(); len(faults) > 0 {
		return fleet.Receiver{}, fleet.ReceiverFaults(faults)
	}
	s.wished = w
	return fleet.Receiver{ID: w.ID, Name: w.Name, Enabled: w.Enabled, Rule: w.Rule}, nil
}

func (*service) RemoveReceiver(_ context.Context, _ fleet.Actor, name string) error {
	return onlyOps(name)
}

func (*service) TestReceiver(_ context.Context, _ fleet.Actor, name string) error {
	return onlyOps(name)
}

func (*service) Deliveries(_ context.Context, name string) ([]fleet.NoticeShown, error) {
	return []fleet.NoticeShown{{ID: 9, Receiver: "ops", Kind: fleet.NoticeTest, State: "failed", Error: "403", Attempts: 2}}, onlyOps(name)
}

func onlyOps(name string) error {
	if name != "ops" {
		return api.ErrUnknown
	}
	return nil
}

func TestReceiversAreForAdminsToChangeAndForAllToSee(t *testing.T) {
	t.Parallel()
	s, url := serve(t)
	admin, viewer := &api.Client{Server: url, Token: "all"}, &api.Client{Server: url, Token: "see"}
	list, err := viewer.Receivers(t.Context())
	if err != nil || len(list) != 1 || list[0].Name != "ops" || list[0].Rule.TZ != "Europe/Vienna" {
		t.Errorf("listed %v, %v", list, err)
	}
	if d, err := viewer.Deliveries(t.Context(), "ops"); err != nil || len(d) != 1 || d[0].Event != "test" || d[0].Error != "403" {
		t.Errorf("deliveries %v, %v", d, err)
	}
	for what, err := range map[string]error{
		"put":    failure(viewer.PutReceiver(t.Context(), "ops", api.NewReceiver{})),
		"remove": viewer.RemoveReceiver(t.Context(), "ops"),
		"test":   viewer.TestReceiver(t.Context(), "ops"),
	} {
		if err == nil || !strings.Contains(err.Error(), "needs the role admin") {
			t.Errorf("a viewer's %s came to %v", what, err)
		}
	}
	if err := admin.TestReceiver(t.Context(), "ops"); err != nil {
		t.Error(err)
	}
	if err := admin.RemoveReceiver(t.Context(), "nobody"); err == nil || !strings.Contains(err.Error(), "There is no receiver nobody") {
		t.Errorf("the removal of nobody came to %v", err)
	}
	if _, err := admin.PutReceiver(t.Context(), "ops", api.NewReceiver{}); err != nil {
		t.Fatal(err)
	}
	if s.wished.ID != 5 || !s.wished.Enabled || s.wished.Rule.TZ != "Europe/Vienna" || s.wished.Address != "" {
		t.Errorf("what was left out did not stay: %+v", s.wished)
	}
	off := false
	if _, err := admin.PutReceiver(t.Context(), "dev", api.NewReceiver{Address: "ntfy://ntfy.sh/x", Enabled: &off}); err != nil {
		t.Fatal(err)
	}
	if s.wished.ID != 0 || s.wished.Enabled || len(s.wished.Rule.On) != len(fleet.UsualNotices()) {
		t.Errorf("a new one is %+v", s.wished)
	}
	_, err = admin.PutReceiver(t.Context(), "dev", api.NewReceiver{Rule: &fleet.ReceiverRule{On: []fleet.NoticeKind{"all"}, TZ: "Mars"}})
	if err == nil || !strings.Contains(err.Error(), `"all" is no event`) {
		t.Errorf("a wrong rule came to %v", err)
	}
}

func failure[T any](_ T, err error) error { return err }
