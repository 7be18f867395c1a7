package agent

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// A switch is a directory, named by its order, that the agent and the supervisor
// share. Each file in it is written whole and durably by the one side that it
// belongs to; whether it exists is the state of the switch:
//
//	job.json        agent       what to switch to and from
//	spare-*         agent       room for the supervisor's files on a disk that is full
//	started.json    supervisor  from here on the host may have changed
//	running.json    supervisor  the process that changes it, while there is one
//	activated.json  supervisor  how the activation ended
//	waiting.json    supervisor  since when it waits for the agent's word
//	verdict.json    either      keep or go back; the first to write it decides
//	outcome.json    supervisor  what was done in the end
//	lock            supervisor  held while it lives
//	output.log      supervisor  what the activation printed
const (
	jobFile       = "job.json"
	startedFile   = "started.json"
	runningFile   = "running.json"
	activatedFile = "activated.json"
	waitingFile   = "waiting.json"
	verdictFile   = "verdict.json"
	outcomeFile   = "outcome.json"
	lockName      = "lock"
	outputFile    = "output.log"
)

// job tells the supervisor what to do. It says everything: the supervisor reads
// no configuration, and must do with the agent gone.
type job struct {
	Order           string        `json:"order"`
	Platform        Platform      `json:"platform"`
	Action          action        `json:"action,omitempty"`           // default is to switch
	Back            bool          `json:"back,omitempty"`             // Target is gone back to on purpose
	Commit          string        `json:"commit"`                     // what Target was built from
	Target          string        `json:"target"`                     // store path to switch to
	Previous        string        `json:"previous"`                   // store path that ran before; "" when none did
	PreviousProfile string        `json:"previous_profile,omitempty"` // store path that the profile named before
	Paths           Paths         `json:"paths"`
	NixEnv          string        `json:"nix_env"`             // program that sets the profile
	Systemctl       string        `json:"systemctl,omitempty"` // "" where systemd does not run
	Env             []string      `json:"env"`                 // the whole environment of what is run
	SwitchTimeout   time.Duration `json:"switch_timeout"`
	VerifyTimeout   time.Duration `json:"verify_timeout"` // how long to wait for all to be well
	Settle          time.Duration `json:"settle"`         // how long it then has to stay so
	Before          baseline      `json:"before"`
}

// baseline is what was true just before a switch: what is so afterwards as well,
// the switch has not spoiled.
type baseline struct {
	Reach reach `json:"reach"`
	Units units `json:"units"`
}

// act is what is done with Target, the default filled in.
func (j job) act() action { return or(j.Action, actSwitch) }

// activation is the command that makes path what the job is about.
func (j job) activation(path string) []string {
	return j.Platform.executor().activate(path, j.act())
}

// setProfile is the command that makes path the profile's newest generation; nil
// where the profile is left alone or the activation sets it.
func (j job) setProfile(path string) []string {
	return j.Platform.executor().setProfile(j.NixEnv, j.Paths.Profile, path, j.act())
}

// wayBack is what to activate to undo the switch: what ran, or what would have
// been booted where only that was to change; "" when there was nothing.
func (j job) wayBack() string {
	if j.act() == actBoot {
		return or(j.PreviousProfile, j.Previous)
	}
	return j.Previous
}

// patience is how long the supervisor waits for the agent's word.
func (j job) patience() time.Duration { return j.VerifyTimeout + j.Settle }

// started is the supervisor's mark that it is about to change the host.
type started struct {
	PID  int    `json:"pid"` // of the supervisor
	Boot string `json:"boot,omitempty"`
	At   int64  `json:"at"` // Unix milliseconds
}

// waiting is the supervisor's mark that it waits for the agent's word from At on.
type waiting struct {
	Boot string `json:"boot,omitempty"`
	At   int64  `json:"at"` // Unix milliseconds
}

// activated is how the activation of the target ended.
type activated struct {
	Ran      bool   `json:"ran"`       // false: it never came to it
	ExitCode int    `json:"exit_code"` // -1 when it had to be stopped or could not be started
	Code     string `json:"code,omitempty"`
	Error    string `json:"error,omitempty"`
	At       int64  `json:"at"`
}

func (a activated) ok() bool { return a.Error == "" }

// verdict decides whether the switch stays.
type verdict struct {
	Keep   bool   `json:"keep"`
	Note   string `json:"note,omitempty"` // with Keep: what a person may want to know
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

// create begins the record of a switch. The job comes last: without it there is
// no switch.
func (d jobDir) create(j job) error {
	err := os.MkdirAll(string(d), 0o700)
	if err == nil {
		err = d.makeSpares()
	}
	if err == nil {
		err = writeJSON(d.path(jobFile), j)
	}
	return err
}

// unfinished reports whether a supervisor has begun with the switch and none has
// ended it.
func (d jobDir) unfinished() bool {
	return d.has(jobFile) && d.has(startedFile) && !d.has(outcomeFile)
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

// switchDirs are the directories of all switches that are remembered.
func switchDirs(stateDir string) ([]jobDir, error) {
	names, err := filepath.Glob(statePath(stateDir, "switch", "*", jobFile))
	dirs := make([]jobDir, 0, len(names))
	for _, name := range names {
		dirs = append(dirs, jobDir(filepath.Dir(name)))
	}
	return dirs, err
}
