package policyfile

import (
	"fmt"
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
		"health": func(v value) {
			d.Health = nil
			v.list(maxHealth, func(v value) { d.Health = append(d.Health, readHealth(v)) })
		},
	})
}

// maxHealth bounds the checks after a switch; they travel in every order.
const maxHealth = 50

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
