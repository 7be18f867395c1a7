package main

import (
	"fmt"
	"os"

	"github.com/nixfleet/nixfleet/fleet/policyfile"
)

type policyCmd struct {
	Check   policyCheckCmd   `cmd:"" help:"Validate a policy file."`
	Get     policyGetCmd     `cmd:"" help:"What rules a repository: its file, settings of the server, or the built-in policy."`
	Set     policySetCmd     `cmd:"" help:"Change the settings of a repository that has no policy file."`
	Explain policyExplainCmd `cmd:"" help:"Every condition of an update, and what would follow from others."`
}

type policyCheckCmd struct {
	File string `arg:"" help:"The file, usually .github/nixfleet.yml." type:"existingfile"`
}

// Run says what is wrong with the file, with line and column, or what it means.
func (c *policyCheckCmd) Run(e *env) error {
	b, err := os.ReadFile(c.File)
	if err != nil {
		return err
	}
	p, err := policyfile.Parse(b, c.File)
	if err != nil {
		return err
	}
	merge := "merges only when a person asks"
	if p.Updates.AutoMerge.Enabled {
		merge = fmt.Sprintf("merges %s after the hold began, once %d named checks have passed", p.Updates.AutoMerge.Hold, len(p.Updates.RequiredChecks))
	}
	_, err = fmt.Fprintf(e.out, "%s is valid: a proven update of %v %s; it is deployed in %d waves, %d hosts at a time.\n",
		c.File, p.Updates.Files, merge, len(p.Deploy.Waves), p.Deploy.MaxParallel)
	return err
}
