package app

import (
	"context"
	"strings"

	"github.com/nixfleet/nixfleet/api"
	"github.com/nixfleet/nixfleet/fleet"
	"github.com/nixfleet/nixfleet/fleet/policyfile"
)

// Acts reads lines of the history, newest first; changed settings with what differs.
func (a *App) Acts(ctx context.Context, q fleet.ActQuery) ([]fleet.Act, error) {
	acts, err := a.db.Acts(ctx, q)
	if err != nil {
		return nil, err
	}
	for i := range acts {
		if acts[i].Kind == "settings.changed" {
			acts[i].Changes = settingsChanged(acts[i])
		}
	}
	return acts, nil
}

// settingsChanged compares the settings before and after; nil where one of them can't
// be read any more.
func settingsChanged(a fleet.Act) []fleet.SettingChange {
	from, err := policyOfText(a.Detail["from"])
	if err != nil {
		return nil
	}
	to, err := policyOfText(a.Detail["to"])
	if err != nil {
		return nil
	}
	return fleet.CompareSettings(from, to)
}

// policyOfText reads settings; empty ones are the built-in policy.
func policyOfText(v any) (fleet.Policy, error) {
	text, _ := v.(string)
	if strings.TrimSpace(text) == "" {
		return fleet.DefaultPolicy(), nil
	}
	return policyfile.Parse([]byte(text), "settings")
}

// Acts reads lines of the history for the pages.
func (i insight) Acts(ctx context.Context, q fleet.ActQuery) ([]fleet.Act, error) {
	return i.a.Acts(ctx, q)
}

// Acts reads lines of the history for the API.
func (s service) Acts(ctx context.Context, q fleet.ActQuery) ([]fleet.Act, error) {
	return s.a.Acts(ctx, q)
}

var _ api.AuditService = service{}
