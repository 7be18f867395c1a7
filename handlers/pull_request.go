package handlers

import (
	"errors"

	"github.com/nixfleet/nixfleet/fleet"
)

// idle are the actions that change nothing that we judge. Everything else wakes
// the update, also actions that GitHub has yet to invent.
var idle = map[string]bool{
	"assigned":               true,
	"unassigned":             true,
	"locked":                 true,
	"unlocked":               true,
	"milestoned":             true,
	"demilestoned":           true,
	"review_requested":       true,
	"review_request_removed": true,
}

// pullRequest serves pull_request, and pull_request_review: an approval can be
// what GitHub refused to merge without.
func pullRequest(event string, _ int64, payload []byte) ([]fleet.Fact, error) {
	var p struct {
		payloadHead
		PullRequest pullPart `json:"pull_request"`
	}
	if err := parse(payload, &p); err != nil {
		return nil, err
	}
	repo, err := p.repo()
	if err != nil {
		return nil, err
	}
	if p.PullRequest.Number <= 0 {
		return nil, errors.New("the payload names no pull request")
	}
	if idle[p.Action] {
		return nil, nil
	}
	return []fleet.Fact{fleet.PullTouched{Repo: repo, Number: p.PullRequest.Number, Cause: p.cause(event)}}, nil
}
