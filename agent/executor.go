package agent

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strconv"
	"strings"
)

// action is what is done with a closure.
type action string

// The actions; their names are switch-to-configuration's.
const (
	actSwitch action = "switch" // run it now and at the next boot
	actTest   action = "test"   // run it now; the next boot is as before
	actBoot   action = "boot"   // run it from the next boot on
)

// executor is all that differs between the platforms: which programs are run, by
// their exact arguments. It runs nothing itself, so that the commands of every
// platform can be read and tested on any.
type executor interface {
	// set is the flake output that holds the configurations, and what follows the
	// name of one in the installable.
	set() (output, suffix string)
	// knows reports whether the platform has such an action.
	knows(action) bool
	// setProfile makes path the profile's newest generation; nil where the
	// activation does that, or the action leaves the profile alone.
	setProfile(nixEnv, profile, path string, act action) []string
	// activate makes path what the action says.
	activate(path string, act action) []string
	// fits says why path cannot be activated by activate, or nil.
	fits(path string) error
	// boots reports whether the platform knows what it was booted into, so that a
	// new kernel is seen to wait for a reboot.
	boots() bool
	// restart starts the agent anew, and reboot the machine; nil where the agent
	// may not. Both are to return at once.
	restart(unit string) []string
	reboot() []string
}

// executor is the seam for p; an unknown platform is NixOS, as in [Config].
func (p Platform) executor() executor {
	switch p {
	case Darwin:
		return darwin{}
	case Home:
		return home{macOS: runtime.GOOS == "darwin"}
	case NixOS:
	}
	return nixos{}
}

// Names of the agent's service where the modules of this project install it.
const (
	systemdUnit  = "nixfleet-agent.service"
	launchdLabel = "org.nixfleet.agent"
)

// nixos switches by switch-to-configuration, which also writes the boot loader's
// entries.
type nixos struct{}

func (nixos) set() (string, string) { return "nixosConfigurations", ".config.system.build.toplevel" }
func (nixos) knows(action) bool     { return true }
func (nixos) boots() bool           { return true }

func (nixos) setProfile(nixEnv, profile, path string, act action) []string {
	if act == actTest {
		return nil
	}
	return []string{nixEnv, "-p", profile, "--set", path}
}

func (nixos) activate(path string, act action) []string {
	return []string{path + "/bin/switch-to-configuration", string(act)}
}

func (e nixos) fits(path string) error { return executable(path, e.activate(path, actSwitch)[0]) }

func (nixos) restart(unit string) []string {
	return []string{"systemctl", "--no-block", "restart", or(unit, systemdUnit)}
}

func (nixos) reboot() []string { return []string{"systemctl", "--no-block", "reboot"} }

// darwin activates as root. Its activation sets no profile, and knows neither a
// trial nor a change that waits for the next boot.
type darwin struct{}

func (darwin) set() (string, string) { return "darwinConfigurations", ".system" }
func (darwin) knows(a action) bool   { return a == actSwitch }
func (darwin) boots() bool           { return false }

func (darwin) setProfile(nixEnv, profile, path string, _ action) []string {
	return []string{nixEnv, "-p", profile, "--set", path}
}

func (darwin) activate(path string, _ action) []string { return []string{path + "/activate"} }

// activateUserMark is in the activate-user of a nix-darwin that does without it.
const activateUserMark = "# nix-darwin: deprecated"

// fits refuses a configuration that must also be activated as a person: the agent
// is root, and to choose a person for it would be a guess.
func (e darwin) fits(path string) error {
	if err := executable(path, path+"/activate"); err != nil {
		return err
	}
	script, err := os.Open(path + "/activate-user")
	if err != nil {
		return nil //nolint:nilerr // there is none, as it should be
	}
	defer script.Close()
	head, err := io.ReadAll(io.LimitReader(script, 1<<20))
	if err != nil || !bytes.Contains(head, []byte(activateUserMark)) {
		return fmt.Errorf("%s must also be activated as a person (activate-user), which a service can't do: update nix-darwin to 25.05 or newer", path)
	}
	return nil
}

func (darwin) restart(unit string) []string {
	return []string{"launchctl", "kickstart", "-k", "system/" + or(unit, launchdLabel)}
}

func (darwin) reboot() []string { return []string{"/sbin/shutdown", "-r", "now"} }

// home is home-manager, as the person whose home it is. Called without
// --driver-version, its activation sets the profile by itself.
type home struct{ macOS bool }

func (home) set() (string, string) { return "homeConfigurations", ".activationPackage" }
func (home) knows(a action) bool   { return a == actSwitch }
func (home) boots() bool           { return false }

func (home) setProfile(string, string, string, action) []string { return nil }

func (home) activate(path string, _ action) []string { return []string{path + "/activate"} }

func (home) fits(path string) error { return executable(path, path+"/activate") }

func (e home) restart(unit string) []string {
	if e.macOS {
		return []string{"launchctl", "kickstart", "-k", "gui/" + strconv.Itoa(os.Getuid()) + "/" + or(unit, launchdLabel)}
	}
	return []string{"systemctl", "--user", "--no-block", "restart", or(unit, systemdUnit)}
}

func (home) reboot() []string { return nil } // a person's agent leaves the machine alone

// executable says why file, a program of the closure at path, cannot be run.
func executable(path, file string) error {
	info, err := os.Stat(file)
	if err == nil && (!info.Mode().IsRegular() || info.Mode()&0o111 == 0) {
		err = errors.New("it is not a program")
	}
	if err != nil {
		return fmt.Errorf("%s holds nothing to activate: %s: %w", path, strings.TrimPrefix(file, path+"/"), err)
	}
	return nil
}

// tool is argv with its program taken from [Config.Tools], where that is set.
func (c *Config) tool(argv []string) []string {
	if c.Tools == "" || len(argv) == 0 {
		return argv
	}
	name := argv[0][strings.LastIndexByte(argv[0], '/')+1:]
	return append([]string{statePath(c.Tools, name)}, argv[1:]...)
}
