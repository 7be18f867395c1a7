package dashboard

import (
	"errors"
	"strings"

	"github.com/nixfleet/nixfleet/fleet"
	"github.com/nixfleet/nixfleet/fleet/policyfile"
)

func (*world) ReadSettings(settings string) (fleet.Policy, error) {
	if strings.TrimSpace(settings) == "" {
		return fleet.DefaultPolicy(), nil
	}
	p, err := policyfile.Parse([]byte(settings), "settings")
	if wrong, ok := errors.AsType[*policyfile.Error](err); ok {
		var list Faults
		for _, x := range wrong.Problems {
			list = append(list, Fault{Line: x.Line, Column: x.Column, Field: x.Field, Text: x.Found})
		}
		return p, list
	}
	return p, err
}

func (*world) WriteSettings(p fleet.Policy) (string, error) {
	text, err := policyfile.Write(p)
	return string(text), err
}
