package handlers

import "github.com/nixfleet/nixfleet/fleet"

// repository serves repository: it was renamed, transferred, archived, deleted,
// or has another default branch. The id stays, so one fact serves all; an archived
// repository takes no merges, so for us it is gone until it is unarchived.
func repository(event string, _ int64, payload []byte) ([]fleet.Fact, error) {
	var p payloadHead
	if err := parse(payload, &p); err != nil {
		return nil, err
	}
	repo, err := p.repo()
	if err != nil {
		return nil, err
	}
	return []fleet.Fact{fleet.RepositoryChanged{
		Repo:    repo,
		Removed: p.Action == "deleted" || p.Action == "archived",
		Cause:   p.cause(event),
	}}, nil
}
