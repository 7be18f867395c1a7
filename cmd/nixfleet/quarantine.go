package main

import (
	"encoding/json"
	"fmt"
)

type quarantineCmd struct {
	List quarantineListCmd `cmd:"" default:"withargs" help:"The commits in quarantine, and why."`
	Lift quarantineLiftCmd `cmd:"" help:"Let a commit spread again."`
}

type quarantineListCmd struct{ serverFlags }

// Run prints a table that fits a terminal.
func (c *quarantineListCmd) Run(e *env) error {
	list, err := c.client().Quarantine(e.ctx)
	if err != nil {
		return err
	}
	if c.JSON {
		return json.NewEncoder(e.out).Encode(map[string]any{"commits": list})
	}
	if len(list) == 0 {
		_, err := fmt.Fprintln(e.out, "No commit is in quarantine.")
		return err
	}
	rows := make([][]string, len(list))
	for i, q := range list {
		rows[i] = []string{short(q.Commit), q.Repo, moment(q.At), q.Rollout, q.Reason}
	}
	return table(e, "COMMIT REPOSITORY~2 SINCE ROLLOUT~1 WHY…", rows)
}

type quarantineLiftCmd struct {
	serverFlags
	Commit string `arg:"" help:"The commit, or a beginning of it that no other in quarantine has."`
	Reason string `help:"Why, for the record."`
}

// Run lifts the quarantine and says what that means.
func (c *quarantineLiftCmd) Run(e *env) error {
	q, err := c.client().LiftQuarantine(e.ctx, c.Commit, c.Reason)
	if err != nil {
		return err
	}
	if c.JSON {
		return json.NewEncoder(e.out).Encode(q)
	}
	_, err = fmt.Fprintf(e.out, "%s may come to further hosts again. To bring it to them now: nixfleet deploy --commit %s\n", short(q.Commit), short(q.Commit))
	return err
}
