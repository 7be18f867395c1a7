package handlers

import (
	"strings"

	"github.com/nixfleet/nixfleet/fleet"
)

// push serves push: a branch points elsewhere. Tags do not concern us.
func push(event string, _ int64, payload []byte) ([]fleet.Fact, error) {
	var p struct {
		payloadHead
		Ref     string `json:"ref"`
		After   string `json:"after"`
		Deleted bool   `json:"deleted"`
	}
	if err := parse(payload, &p); err != nil {
		return nil, err
	}
	branch, ok := strings.CutPrefix(p.Ref, "refs/heads/")
	if !ok {
		return nil, nil
	}
	repo, err := p.repo()
	if err != nil {
		return nil, err
	}
	moved := fleet.BranchMoved{Repo: repo, Branch: clean(branch, maxName), SHA: p.After, Cause: event}
	switch {
	case p.Deleted:
		moved.SHA = "" // GitHub sends zeros
	case !isSHA(p.After):
		return nil, errNoSHA
	}
	return []fleet.Fact{moved}, nil
}
