package handlers

import "github.com/nixfleet/nixfleet/fleet"

// status serves status: the older kind of check, which anyone with write access
// can set. It has no action.
func status(event string, _ int64, payload []byte) ([]fleet.Fact, error) {
	var p struct {
		payloadHead
		SHA string `json:"sha"`
	}
	if err := parse(payload, &p); err != nil {
		return nil, err
	}
	return p.touched(event, p.SHA)
}
