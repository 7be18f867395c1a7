package handlers

import "github.com/nixfleet/nixfleet/fleet"

// checkRun serves check_run. Runs of other Apps touch their commit. Our own are
// our echo and mean nothing, unless a person pressed one of their buttons or asked
// for them again; whether that person may is decided later.
func checkRun(event string, app int64, payload []byte) ([]fleet.Fact, error) {
	var p struct {
		payloadHead
		CheckRun struct {
			HeadSHA      string     `json:"head_sha"`
			App          appPart    `json:"app"`
			PullRequests []pullPart `json:"pull_requests"`
		} `json:"check_run"`
		RequestedAction struct {
			Identifier string `json:"identifier"`
		} `json:"requested_action"`
	}
	if err := parse(payload, &p); err != nil {
		return nil, err
	}
	run, ours := p.CheckRun, isOurs(p.CheckRun.App, app)
	switch {
	case ours && p.Action == "requested_action":
		return p.pressed(event, run.HeadSHA, p.RequestedAction.Identifier, run.PullRequests)
	case ours && p.Action == "rerequested":
		return p.pressed(event, run.HeadSHA, rerun, run.PullRequests)
	case ours, p.Action == "requested_action":
		return nil, nil
	default:
		return p.touched(event, run.HeadSHA)
	}
}

// rerun is the action of [fleet.Pressed] when a person asks for a check again.
const rerun = "rerun"
