package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

type referenceCmd struct{}

// Run prints docs/cli.md.
func (referenceCmd) Run(e *env) error {
	_, err := io.WriteString(e.out, reference(e.kong.Model))
	return err
}

const referenceHead = `# The command line

Made of the program itself: ` + "`nixfleet reference`" + ` prints this page, and a test compares
them. ` + "`nixfleet COMMAND --help`" + ` says the same, ` + "`nixfleet man | man -l -`" + ` shows it as a manual.

Most commands ask a server:

` + "```console" + `
$ export NIXFLEET_SERVER=https://fleet.example.org NIXFLEET_TOKEN=…
$ nixfleet hosts
` + "```" + `

**Output.** Tables fit the terminal: long sentences are shortened first, then the least
important columns are left out. Colours and icons are for terminals only, and say again
what a word says; ` + "`NO_COLOR`" + ` turns colours off, ` + "`FORCE_COLOR=1`" + ` on. Into a pipe or a file
everything is written whole. With ` + "`--json`" + ` every command prints what the API answers
([api.md](api.md)), one object, or with ` + "`--watch`" + ` and ` + "`--follow`" + ` one object a line; fields
are added, never renamed. Times are in UTC.

**Watching.** ` + "`--watch`" + ` (` + "`-w`" + `) of hosts, updates and rollouts, and ` + "`nixfleet rollout watch`" + `,
redraw in place on a terminal and print a line for each change elsewhere. The server tells
of changes; where it can't, it is asked every two seconds.

**Completion.** ` + "`nixfleet completion bash`" + ` (or zsh, fish) says which line to put into the
shell's start-up file. Commands, flags, and the names of hosts, tags, rollouts and updates
are completed; the latter are asked of the server.

`

// reference is the whole program as a page.
func reference(app *kong.Application) string {
	var b strings.Builder
	b.WriteString(referenceHead)
	b.WriteString("## Exit codes\n\n| code | means |\n| --- | --- |\n")
	for _, c := range exitCodes {
		fmt.Fprintf(&b, "| %s | %s |\n", c[0], c[1])
	}
	b.WriteString("\n## Environment\n\n| variable | means |\n| --- | --- |\n")
	for _, v := range environment {
		fmt.Fprintf(&b, "| `%s` | %s |\n", v[0], v[1])
	}
	fmt.Fprintf(&b, "\nFlags of all commands: %s.\n", strings.Join(flagNames(app.Flags), ", "))
	for _, g := range groups {
		fmt.Fprintf(&b, "\n## %s\n", strings.TrimSuffix(g.Title, ":"))
		for _, n := range leavesOf(app.Node) {
			if topicOf(n) == g.Key {
				referTo(&b, n)
			}
		}
	}
	return b.String()
}

func flagNames(flags []*kong.Flag) []string {
	var names []string
	for _, f := range flags {
		names = append(names, "`"+flagOf(f)+"`")
	}
	return names
}

func referTo(b *strings.Builder, n *kong.Node) {
	fmt.Fprintf(b, "\n### `%s`\n\n%s\n", usageOf(n), helpOf(n))
	var rows []string
	for _, p := range n.Positional {
		rows = append(rows, fmt.Sprintf("| `%s` | %s |", p.Summary(), inTable(p.Help)))
	}
	for _, f := range ownFlags(n) {
		rows = append(rows, fmt.Sprintf("| `%s` | %s |", strings.ReplaceAll(flagOf(f), "|", "\\|"), inTable(flagHelp(f))))
	}
	if len(rows) > 0 {
		fmt.Fprintf(b, "\n| | |\n| --- | --- |\n%s\n", strings.Join(rows, "\n"))
	}
}

func inTable(text string) string { return strings.ReplaceAll(text, "|", "\\|") }

// leavesOf are all commands that do something, in the order in which they are shown.
func leavesOf(n *kong.Node) []*kong.Node {
	var list []*kong.Node
	for _, child := range n.Children {
		switch {
		case child.Hidden:
		case len(child.Children) > 0:
			list = append(list, leavesOf(child)...)
		default:
			list = append(list, child)
		}
	}
	return list
}

// topicOf is the group of a command, or of what it is a part of.
func topicOf(n *kong.Node) string {
	for ; n != nil; n = n.Parent {
		if n.Group != nil {
			return n.Group.Key
		}
	}
	return ""
}

// usageOf is how a command is typed. The one that is meant when nothing else is said
// may be left out.
func usageOf(n *kong.Node) string {
	var words []string
	for at := n; at.Parent != nil; at = at.Parent {
		word := at.Name
		if at.Parent.DefaultCmd == at {
			word = "[" + word + "]"
		}
		words = append(words, word)
	}
	words = append(words, "nixfleet")
	slices.Reverse(words)
	for _, p := range n.Positional {
		words = append(words, p.Summary())
	}
	return strings.Join(words, " ")
}

func helpOf(n *kong.Node) string {
	if n.Detail != "" {
		return n.Help + "\n\n" + strings.TrimSpace(n.Detail)
	}
	return n.Help
}

// shared are flags that every command which asks a server has; they are told once.
var shared = []string{"server", "token", "json"}

// ownFlags are those of a command that are not told elsewhere.
func ownFlags(n *kong.Node) []*kong.Flag {
	return slices.DeleteFunc(slices.Clone(n.Flags), func(f *kong.Flag) bool { return f.Hidden || slices.Contains(shared, f.Name) })
}

func flagOf(f *kong.Flag) string {
	text := "--" + f.Name
	if f.Short != 0 {
		text = "-" + string(f.Short) + ", " + text
	}
	if !f.IsBool() {
		text += "=" + f.FormatPlaceHolder()
	}
	return text
}

func flagHelp(f *kong.Flag) string {
	text := f.Help
	if len(f.Envs) > 0 {
		text += " (" + strings.Join(f.Envs, ", ") + ")"
	}
	return text
}
