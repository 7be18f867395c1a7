package handlers

import "github.com/nixfleet/nixfleet/fleet"

// checkSuite serves check_suite: all runs of one App for one commit. GitHub opens
// a suite for us on every push; that is no news. A person may ask for ours again.
func checkSuite(event string, app int64, payload []byte) ([]fleet.Fact, error) {
	var p struct {
		payloadHead
		CheckSuite struct {
			HeadSHA      string     `json:"head_sha"`
			App          appPart    `json:"app"`
			PullRequests []pullPart `json:"pull_requests"`
		} `json:"check_suite"`
	}
	if err := parse(payload, &p); err != nil {
		return nil, err
	}
	suite, ours := p.CheckSuite, isOurs(p.CheckSuite.App, app)
	switch {
	case ours && p.Action == "rerequested":
		return p.pressed(event, suite.HeadSHA, rerun, suite.PullRequests)
	case ours:
		return nil, nil
	default:
		return p.touched(event, suite.HeadSHA)
	}
}
