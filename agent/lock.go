package agent

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/nixfleet/nixfleet/agentbus"
)

// maxLockInputs bounds what heartbeats and answers, which have at most 64 KiB,
// carry of a lock.
const maxLockInputs = 100

// summarizeLock reads the few fields of a flake.lock that the Lock compartment
// shows. The server parses the whole file; an agent must not depend on a parser
// that changes with the server.
func summarizeLock(data []byte) (*agentbus.LockSummary, error) {
	var file struct {
		Root  string `json:"root"`
		Nodes map[string]struct {
			Inputs map[string]json.RawMessage `json:"inputs"`
			Locked struct {
				Rev          string `json:"rev"`
				LastModified int64  `json:"lastModified"`
			} `json:"locked"`
		} `json:"nodes"`
	}
	if err := json.Unmarshal(data, &file); err != nil {
		return nil, fmt.Errorf("read flake.lock: %w", err)
	}
	sum := sha256.Sum256(data)
	s := &agentbus.LockSummary{SHA256: hex.EncodeToString(sum[:])}
	for name, ref := range file.Nodes[file.Root].Inputs {
		var node string
		if json.Unmarshal(ref, &node) != nil {
			continue // a list: the input follows another one and has no age of its own
		}
		locked := file.Nodes[node].Locked
		s.Inputs = append(s.Inputs, agentbus.LockInput{
			Name: clip(name, 100), Rev: clip(locked.Rev, 64), LastModified: locked.LastModified,
		})
	}
	slices.SortFunc(s.Inputs, func(a, b agentbus.LockInput) int { return strings.Compare(a.Name, b.Name) })
	s.Inputs = s.Inputs[:min(len(s.Inputs), maxLockInputs)]
	return s, nil
}
