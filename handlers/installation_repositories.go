package handlers

import "github.com/nixfleet/nixfleet/fleet"

// installationRepositories serves installation_repositories: what an installation
// may see has changed.
func installationRepositories(event string, _ int64, payload []byte) ([]fleet.Fact, error) {
	var p struct {
		installationPart
		Added   []repoPart `json:"repositories_added"`
		Removed []repoPart `json:"repositories_removed"`
	}
	if err := parse(payload, &p); err != nil {
		return nil, err
	}
	changed, err := p.changed(event)
	if err != nil {
		return nil, err
	}
	changed.Added = repos(p.Added, changed.ID)
	changed.Dropped = repos(p.Removed, changed.ID)
	return []fleet.Fact{changed}, nil
}
