package handlers

import (
	"errors"

	"github.com/nixfleet/nixfleet/fleet"
)

// installationPart is an installation with its account, as only the events about
// installations carry it.
type installationPart struct {
	payloadHead
	Installation struct {
		ID          int64    `json:"id"`
		Account     userPart `json:"account"`
		SuspendedAt any      `json:"suspended_at"` // a time, a number or null, by event
	} `json:"installation"`
}

func (p installationPart) changed(event string) (fleet.InstallationChanged, error) {
	in := p.Installation
	if in.ID <= 0 {
		return fleet.InstallationChanged{}, errors.New("the payload names no installation")
	}
	return fleet.InstallationChanged{
		ID:        in.ID,
		Account:   clean(in.Account.Login, maxName),
		Suspended: in.SuspendedAt != nil,
		Cause:     p.cause(event),
	}, nil
}

// installation serves installation: the App was installed, removed, suspended,
// resumed, or given new rights. Deleted and suspended ones are not acted for.
func installation(event string, _ int64, payload []byte) ([]fleet.Fact, error) {
	var p struct {
		installationPart
		Repositories []repoPart `json:"repositories"`
	}
	if err := parse(payload, &p); err != nil {
		return nil, err
	}
	changed, err := p.changed(event)
	if err != nil {
		return nil, err
	}
	list := repos(p.Repositories, changed.ID)
	switch p.Action {
	case "deleted":
		changed.Removed, changed.Dropped = true, list
	case "suspend":
		changed.Suspended = true
	case "unsuspend":
		changed.Suspended, changed.Added = false, list
	default:
		changed.Added = list
	}
	return []fleet.Fact{changed}, nil
}
