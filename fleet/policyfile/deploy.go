package policyfile

import (
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"strconv"
	"time"

	"github.com/goccy/go-yaml/ast"

	"github.com/nixfleet/nixfleet/fleet"
)

func readDeploy(v value, d *fleet.DeployPolicy) {
	v.object(map[string]func(value){
		"auto":         func(v value) { v.boolean(&d.Auto) },
		"hosts":        func(v value) { readSelector(v, &d.Hosts) },
		"waves":        func(v value) { d.Waves = readWaves(v) },
		"max_parallel": func(v value) { v.whole(&d.MaxParallel, 1, 100_000) },
		"max_failures": func(v value) { readAmount(v, &d.MaxFailures) },
		"on_failure":   func(v value) { v.oneOf(&d.OnFailure, "halt", "rollback", "revert_pr") },
		"offline":      func(v value) { v.oneOf(&d.Offline, "catch_up", "skip") },
		"reboot":       func(v value) { v.oneOf(&d.Reboot, "never", "when_needed", "window") },
		"windows":      func(v value) { d.Windows = readWindows(v) },
		"timeouts":     func(v value) { readTimeouts(v, &d.Timeouts) },

		"reboot_windows": func(v value) { d.RebootWindows = readWindows(v) },
		"unreachable":    func(v value) { v.oneOf(&d.Unreachable, "keep", "rollback") },
		"anchors":        func(v value) { d.Anchors = readAnchors(v) },
		"settle":         func(v value) { v.duration(&d.Settle, 0, maxSettle) },
		"keep_logs":      func(v value) { v.duration(&d.KeepLogs, day, maxAge) },
		"health": func(v value) {
			d.Health = nil
			v.list(maxHealth, func(v value) { d.Health = append(d.Health, readHealth(v)) })
		},
	})
}

// What is bounded because it travels in every order, or because a host keeps its
// place in the rollout meanwhile.
const (
	maxHealth  = 50
	maxAnchors = 10
	maxSettle  = 10 * time.Minute
)

// readAnchors reads addresses that a host tries to reach beside the server.
func readAnchors(v value) []string {
	if s, ok := v.node.(*ast.SequenceNode); ok && len(s.Values) > maxAnchors {
		v.refuse(fmt.Sprintf("found %d anchors", len(s.Values)), fmt.Sprintf("at most %d", maxAnchors))
		return nil
	}
	var anchors []string
	v.texts(&anchors, `a host and a port like "192.168.1.1:53", "cache.nixos.org:443" or "[fd00::1]:22"`, isAddress)
	return anchors
}

// isAddress reports whether s is host:port, with the name or the address of a host
// and the number of a port.
func isAddress(s string) bool {
	host, port, err := net.SplitHostPort(s)
	n, bad := strconv.ParseUint(port, 10, 16)
	if err != nil || bad != nil || n == 0 || port[0] == '0' {
		return false
	}
	if addr, err := netip.ParseAddr(host); err == nil {
		// A zone is another interface on every host, and a host reaches itself without any network.
		return addr.Zone() == "" && !addr.IsLoopback() && !addr.IsUnspecified()
	}
	return host != "localhost" && len(host) <= 253 && nameForm.MatchString(host) && !numberForm.MatchString(host)
}

var (
	nameForm   = regexp.MustCompile(`^(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)*[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.?$`)
	numberForm = regexp.MustCompile(`^[0-9.]+$`) // an address with a slip, which would be looked up as a name
)

func readSelector(v value, dst *string) {
	s, ok := v.scalar(false)
	if !ok {
		v.expected(`a selector like "all", "tag:canary" or "platform:darwin and not build1"`)
		return
	}
	if _, err := fleet.ParseSelector(s); err != nil {
		v.refuse(err.Error(), "")
		return
	}
	*dst = s
}

func readWaves(v value) []fleet.WavePolicy {
	waves := []fleet.WavePolicy{}
	names := map[string]bool{}
	v.list(maxList, func(v value) {
		var w fleet.WavePolicy
		v.object(map[string]func(value){
			"name":  func(v value) { v.text(&w.Name, "a short name", wordForm.MatchString) },
			"hosts": func(v value) { readWaveSize(v, &w.Hosts) },
			"soak":  func(v value) { v.duration(&w.Soak, 0, maxHold) },
		})
		v.needs("name", w.Name)
		v.needs("hosts", w.Hosts)
		if names[w.Name] && w.Name != "" {
			v.refuse("the name "+w.Name+" is given twice", "a name of its own for each wave")
		}
		names[w.Name] = true
		waves = append(waves, w)
	})
	return waves
}

func readWaveSize(v value, dst *string) {
	s, ok := v.scalar(true)
	if !ok {
		v.expected(`a count like 2, a percentage like "50%", or a selector like "tag:canary"`)
		return
	}
	if _, err := fleet.ParseWaveSize(s); err != nil {
		v.refuse(err.Error(), "")
		return
	}
	*dst = s
}

func readAmount(v value, dst *fleet.Amount) {
	s, ok := v.scalar(true)
	if !ok {
		v.expected(`a count like 2 or a percentage like "50%"`)
		return
	}
	a, err := fleet.ParseAmount(s)
	if err != nil {
		v.refuse(err.Error(), "")
		return
	}
	*dst = a
}

func readTimeouts(v value, t *fleet.Timeouts) {
	one := func(dst *time.Duration) func(value) {
		return func(v value) { v.duration(dst, time.Second, maxTimeout) }
	}
	v.object(map[string]func(value){
		"fetch": one(&t.Fetch), "build": one(&t.Build), "switch": one(&t.Switch), "verify": one(&t.Verify),
	})
}

func readHealth(v value) fleet.HealthCheck {
	var h fleet.HealthCheck
	v.object(map[string]func(value){
		"unit":    func(v value) { v.text(&h.Unit, "a systemd unit like sshd.service", unitForm.MatchString) },
		"http":    func(v value) { v.text(&h.HTTP, "a URL that begins with http:// or https://", httpForm.MatchString) },
		"command": func(v value) { readCommand(v, &h.Command) },
	})
	if m, ok := v.node.(*ast.MappingNode); ok && len(m.Values) != 1 {
		v.refuse(fmt.Sprintf("found %d settings in one entry", len(m.Values)), "exactly one: unit, http or command")
	}
	return h
}

// readCommand reads the words of a command, of which the first must not be empty.
func readCommand(v value, dst *[]string) {
	words := []string{}
	v.list(maxList, func(v value) {
		s, ok := v.scalar(false)
		if !ok || len(s) > maxLine || (len(words) == 0 && s == "") {
			v.expected("a word of the command, in quotes where it is a number")
			return
		}
		words = append(words, s)
	})
	if s, ok := v.node.(*ast.SequenceNode); ok && len(s.Values) == 0 {
		v.refuse("found an empty command", "its words as a list")
	}
	*dst = words
}
