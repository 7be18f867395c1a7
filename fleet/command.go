package fleet

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// CommandWord begins every command in a comment.
const CommandWord = "/nixfleet"

// Command is what a person asked for in a comment on a pull request (SPEC 7).
type Command struct {
	Verb     string // merge, hold, unhold, deploy, pause, resume, abort, rollback, status or help
	NoDeploy bool   // of merge
	For      time.Duration
	Until    time.Time // of hold; with For, zero: until it is released
	Hosts    []string  // of deploy; none: all that the policy names
}

// commandHelp is what each command does, in the order in which they are shown.
var commandHelp = []struct{ form, does string }{
	{"merge", "merge this head now, then deploy it"},
	{"merge --no-deploy", "merge this head now, and deploy nothing"},
	{"hold [2d | until 2026-12-01]", "do not merge until then, or until it is released"},
	{"unhold", "release the hold"},
	{"deploy [hosts…]", "bring the merge commit to all hosts, or again to those that it did not reach, or to those that are named"},
	{"pause", "order no further host of the running rollout"},
	{"resume", "go on with a paused rollout"},
	{"abort", "end the rollout; hosts that work finish what they do"},
	{"rollback", "bring the hosts that switched back to what they ran before"},
	{"status", "say where this update is"},
	{"help", "list the commands"},
}

// CommandHelp lists the commands, one a line.
func CommandHelp() string {
	var b strings.Builder
	for _, h := range commandHelp {
		fmt.Fprintf(&b, "%s %s: %s\n", CommandWord, h.form, h.does)
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// Limits of a command. A fleet has more hosts, but nobody types them.
const (
	maxCommandLine  = 1000 // bytes
	maxCommandHosts = 100
	maxHoldDays     = 366
)

// FindCommand returns the first line of a comment that is a command, and whether
// there is one. Quotes and code are what somebody else said, or an example.
func FindCommand(body string) (line string, found bool) {
	fenced := ""
	for line := range strings.Lines(body) {
		if indent := len(line) - len(strings.TrimLeft(line, " \t")); indent > 3 || strings.HasPrefix(line, "\t") {
			continue // an indented code block
		}
		line = strings.TrimSpace(line)
		switch {
		case fenced != "":
			if strings.HasPrefix(line, fenced) {
				fenced = ""
			}
		case strings.HasPrefix(line, "```"), strings.HasPrefix(line, "~~~"):
			fenced = line[:3]
		case isCommand(line):
			return line, true
		}
	}
	return "", false
}

func isCommand(line string) bool {
	if len(line) < len(CommandWord) || !strings.EqualFold(line[:len(CommandWord)], CommandWord) {
		return false
	}
	rest := line[len(CommandWord):]
	return rest == "" || rest[0] == ' ' || rest[0] == '\t'
}

// ParseCommand reads a line of [FindCommand], written at the given time. An error is
// for the person who wrote it.
func ParseCommand(line string, at time.Time) (Command, error) {
	if len(line) > maxCommandLine {
		return Command{}, errors.New("the command is too long")
	}
	words := strings.Fields(line)
	if len(words) == 0 || !isCommand(line) {
		return Command{}, fmt.Errorf("a command begins with %s", CommandWord)
	}
	words = words[1:]
	if len(words) == 0 {
		return Command{Verb: "help"}, nil
	}
	c, rest := Command{Verb: strings.ToLower(words[0])}, words[1:]
	switch c.Verb {
	case "merge":
		for _, w := range rest {
			if !strings.EqualFold(w, "--no-deploy") {
				return Command{}, fmt.Errorf("merge knows --no-deploy, not %q", plain(w, 40))
			}
			c.NoDeploy = true
		}
		return c, nil
	case "hold":
		return c.hold(rest, at)
	case "deploy":
		return c.deploy(rest)
	case "unhold", "pause", "resume", "abort", "rollback", "status", "help":
		if len(rest) > 0 {
			return Command{}, fmt.Errorf("%s takes nothing after it; %q is too much", c.Verb, plain(rest[0], 40))
		}
		return c, nil
	}
	return Command{}, fmt.Errorf("there is no command %q%s; %s help lists them", plain(words[0], 40), meant(c.Verb), CommandWord)
}

func (c Command) hold(rest []string, at time.Time) (Command, error) {
	wrong := errors.New("hold takes nothing, a time such as 2d, 36h or 30m, or a date: until 2026-12-01 or until 2026-12-01T15:00Z")
	switch {
	case len(rest) == 0:
		return c, nil
	case len(rest) == 1:
		d, err := holdFor(rest[0])
		if err != nil {
			return Command{}, wrong
		}
		c.For, c.Until = d, at.Add(d)
	case len(rest) == 2 && strings.EqualFold(rest[0], "until"):
		until, err := holdUntil(rest[1])
		if err != nil {
			return Command{}, wrong
		}
		c.Until = until
	default:
		return Command{}, wrong
	}
	switch {
	case !c.Until.After(at):
		return Command{}, fmt.Errorf("%s is over already", utc(c.Until))
	case c.Until.After(at.AddDate(0, 0, maxHoldDays)):
		return Command{}, errors.New("a hold ends within a year; leave the time out to hold it until it is released")
	}
	return c, nil
}

func holdFor(s string) (time.Duration, error) {
	if days, ok := strings.CutSuffix(strings.ToLower(s), "d"); ok {
		n, err := strconv.Atoi(days)
		if err != nil || n <= 0 || n > maxHoldDays {
			return 0, errors.New("not a number of days")
		}
		return time.Duration(n) * 24 * time.Hour, nil
	}
	return time.ParseDuration(strings.ToLower(s))
}

func holdUntil(s string) (time.Time, error) {
	for _, layout := range []string{time.DateOnly, "2006-01-02T15:04Z07:00", time.RFC3339} {
		if t, err := time.Parse(layout, strings.ToUpper(s)); err == nil {
			return t.UTC(), nil
		}
	}
	return time.Time{}, errors.New("not a date")
}

func (c Command) deploy(rest []string) (Command, error) {
	for _, w := range rest {
		for name := range strings.SplitSeq(strings.ToLower(w), ",") {
			switch {
			case name == "":
			case !hostName.MatchString(name):
				return Command{}, fmt.Errorf("%q is no name of a host", plain(w, 70))
			case !slices.Contains(c.Hosts, name):
				c.Hosts = append(c.Hosts, name)
			}
		}
	}
	if len(c.Hosts) > maxCommandHosts {
		return Command{}, fmt.Errorf("deploy takes at most %d hosts", maxCommandHosts)
	}
	return c, nil
}

// meant suggests the verb that a wrong one begins like.
func meant(verb string) string {
	for _, h := range commandHelp {
		known, _, _ := strings.Cut(h.form, " ")
		if len(verb) >= 2 && (strings.HasPrefix(known, verb[:2]) || strings.HasPrefix(verb, known)) {
			return fmt.Sprintf("; did you mean %q?", known)
		}
	}
	return ""
}
