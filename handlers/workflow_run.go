package handlers

import "github.com/nixfleet/nixfleet/fleet"

// workflowRun serves workflow_run: Actions began or ended a run for a commit, or
// parked it until a person approves.
func workflowRun(event string, _ int64, payload []byte) ([]fleet.Fact, error) {
	var p struct {
		payloadHead
		WorkflowRun struct {
			HeadSHA string `json:"head_sha"`
		} `json:"workflow_run"`
	}
	if err := parse(payload, &p); err != nil {
		return nil, err
	}
	return p.touched(event, p.WorkflowRun.HeadSHA)
}
