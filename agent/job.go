package agent

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// A switch is a directory, named by its order, that the agent and the supervisor
// share. Each file in it is written once, whole and durably, by the one side
// that it belongs to; whether it exists is the state of the switch:
//
//	job.json        agent       what to switch to and from
//	started.json    supervisor  from here on the host may have changed
//	activated.json  supervisor  how the activation ended
//	verdict.json    either      keep or go back; the first to write it decides
//	outcome.json    supervisor  what was done in the end
//	lock            supervisor  held while it lives
//	output.log      supervisor  what the activation printed
const (
	jobFile       = "job.json"
	startedFile   = "started.json"
	activatedFile = "activated.json"
	verdictFile   = "verdict.json"
	outcomeFile   = "outcome.json"
	lockName      = "lock"
	outputFile    = "output.log"
)

// job tells the supervisor what to do. It says everything: the supervisor reads
// no configuration, and must do with the agent gone.
type job struct {
	Order         string        `json:"order"`
	Platform      Platform      `json:"platform"`
	Action        action        `json:"action,omitempty"` // default is to switch
	Back          bool          `json:"back,omitempty"`   // Target is gone back to on purpose
	Commit        string        `json:"commit"`           // what Target was built from
	Target        string        `json:"target"`           // store path to switch to
	Previous      string        `json:"previous"`         // store path that ran before; "" when none did
	Paths         Paths         `json:"paths"`
	NixEnv        string        `json:"nix_env"` // program that sets the profile
	Env           []string      `json:"env"`     // the whole environment of what is run
	SwitchTimeout time.Duration `json:"switch_timeout"`
	VerifyTimeout time.Duration `json:"verify_timeout"` // how long to wait for the agent's word
	FailedUnits   []string      `json:"failed_units,omitempty"`
}

// activation is the command that makes path what the job is about.
func (j job) activation(path string) []string {
	return j.Platform.executor().activate(path, or(j.Action, actSwitch))
}

// setProfile is the command that makes path the profile's newest generation; nil
// where the profile is left alone or the activation sets it.
func (j job) setProfile(path string) []string {
	return j.Platform.executor().setProfile(j.NixEnv, j.Paths.Profile, path, or(j.Action, actSwitch))
}

// started is the supervisor's mark that it is about to change the host.
type started struct {
	PID int   `json:"pid"` // of the supervisor
	At  int64 `json:"at"`  // Unix milliseconds
}

// activated is how the activation of the target ended.
type activated struct {
	ExitCode int    `json:"exit_code"` // -1 when it had to be stopped or could not be started
	Error    string `json:"error,omitempty"`
	At       int64  `json:"at"`
}

// Exit statuses of switch-to-configuration.
const (
	exitUnitsFailed = 4   // the system is switched, but some units did not start
	exitNeedsReboot = 100 // nothing is switched until the machine reboots
)

func (a activated) ok() bool { return a.ExitCode == 0 || a.ExitCode == exitNeedsReboot }

// verdict decides whether the switch stays.
type verdict struct {
	Keep   bool   `json:"keep"`
	Code   string `json:"code,omitempty"` // why not, as a fixed word
	Reason string `json:"reason,omitempty"`
	At     int64  `json:"at"`
}

// outcome is what the supervisor did in the end.
type outcome struct {
	Result string `json:"result"` // one of the constants below
	Code   string `json:"code,omitempty"`
	Reason string `json:"reason,omitempty"`
	At     int64  `json:"at"`
}

// Results of a switch.
const (
	resultKept      = "kept"      // the target runs
	resultUnchanged = "unchanged" // it failed before anything was changed
	resultReverted  = "reverted"  // the previous system runs again
	resultStuck     = "stuck"     // going back failed too; a person must look
)

// jobDir is the directory of one switch.
type jobDir string

func (d jobDir) path(name string) string { return filepath.Join(string(d), name) }

// read reads one of the directory's files; false when it is not there yet.
func (d jobDir) read(name string, v any) (bool, error) {
	err := readJSON(d.path(name), v)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

func (d jobDir) has(name string) bool {
	_, err := os.Lstat(d.path(name))
	return err == nil
}

// decide records v unless the other side has decided already; what it returns is
// the verdict that counts.
func (d jobDir) decide(v verdict) (verdict, error) {
	data, err := json.Marshal(v)
	if err != nil {
		return v, err
	}
	err = createFile(d.path(verdictFile), data)
	if errors.Is(err, fs.ErrExist) {
		_, err = d.read(verdictFile, &v)
	}
	if err != nil {
		return v, fmt.Errorf("decide switch: %w", err)
	}
	return v, nil
}

// supervised reports whether a supervisor lives and works on the switch.
func (d jobDir) supervised() bool {
	f, err := lockFile(d.path(lockName))
	if err != nil {
		return errors.Is(err, errLocked)
	}
	_ = f.Close()
	return false
}
