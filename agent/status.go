package agent

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"

	"github.com/nixfleet/nixfleet/agentbus"
)

// Status is what the state directory says about the agent that works there,
// for the operator at the host.
type Status struct {
	Generation  uint64            `json:"generation"`
	Order       string            `json:"order,omitempty"` // under way, or the last one
	Step        agentbus.Step     `json:"step,omitempty"`
	Unconfirmed int               `json:"unconfirmed"` // answers that the server has not confirmed
	Checkout    string            `json:"checkout_commit,omitempty"`
	Running     string            `json:"running_commit,omitempty"`
	RunningPath string            `json:"running_path,omitempty"`
	Expected    string            `json:"expected_path,omitempty"`
	Errors      map[string]string `json:"errors,omitempty"`
}

// ReadStatus reads the state directory without disturbing the agent. current is
// where the running system is linked; "" means NixOS's place.
func ReadStatus(stateDir, current string) (Status, error) {
	var rec record
	f, err := os.Open(statePath(stateDir, "journal.jsonl"))
	if err != nil {
		return Status{}, fmt.Errorf("read status: %w", err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, fileLimit)
	for lines.Scan() {
		var e entry
		if json.Unmarshal(lines.Bytes(), &e) == nil {
			rec.apply(e)
		}
	}
	if err := lines.Err(); err != nil {
		return Status{}, fmt.Errorf("read status: %w", err)
	}
	book, err := openNotebook(statePath(stateDir, "facts.json"))
	if err != nil {
		return Status{}, fmt.Errorf("read status: %w", err)
	}
	n := book.get()
	w, _ := rec.current()
	path := readLink(or(current, currentSystem))
	return Status{
		Generation: rec.Gen, Order: w.Order.ID, Step: w.Step, Unconfirmed: len(rec.Unconfirmed),
		Checkout: n.Git.Checkout, Running: n.commitOf(path), RunningPath: path,
		Expected: n.Expected.Path, Errors: n.Errors,
	}, nil
}
