package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/alecthomas/kong"
)

type manCmd struct{}

// Run prints the manual page.
func (manCmd) Run(e *env) error {
	_, err := io.WriteString(e.out, manual(e.kong.Model))
	return err
}

// roff takes from a text what roff would take for an order.
func roff(text string) string {
	text = strings.NewReplacer(`\`, `\e`, "-", `\-`, "'", `\(aq`).Replace(text)
	if strings.HasPrefix(text, ".") {
		text = `\&` + text
	}
	return text
}

// manual is the whole program as a manual page.
func manual(app *kong.Application) string {
	var b strings.Builder
	first, rest, _ := strings.Cut(app.Help, "\n\n")
	fmt.Fprintf(&b, ".TH NIXFLEET 1\n.SH NAME\nnixfleet \\- %s\n", roff(strings.TrimSuffix(lower(first), ".")))
	fmt.Fprintf(&b, ".SH SYNOPSIS\n.B nixfleet\n.I command\n[\\fIflags\\fR]\n.SH DESCRIPTION\n%s\n", roff(rest))
	for _, g := range groups {
		fmt.Fprintf(&b, ".SH %s\n", strings.ToUpper(roff(strings.TrimSuffix(g.Title, ":"))))
		for _, n := range leavesOf(app.Node) {
			if topicOf(n) == g.Key {
				manCommand(&b, n)
			}
		}
	}
	b.WriteString(".SH FLAGS OF ALL COMMANDS\n")
	manFlags(&b, app.Flags)
	b.WriteString(".SH ENVIRONMENT\n")
	for _, v := range environment {
		fmt.Fprintf(&b, ".TP\n.B %s\n%s\n", roff(v[0]), roff(v[1]))
	}
	b.WriteString(".SH EXIT STATUS\n")
	for _, c := range exitCodes {
		fmt.Fprintf(&b, ".TP\n.B %s\n%s\n", c[0], roff(c[1]))
	}
	b.WriteString(".SH SEE ALSO\n.BR nixfleet\\-agent (1).\nThe documentation is in the folder docs of the source.\n")
	return b.String()
}

// environment is what the program reads beside the variables of single flags.
var environment = [][2]string{
	{"NIXFLEET_SERVER", "Address of the server to ask, such as https://fleet.example.org."},
	{"NIXFLEET_TOKEN", "Token to ask with. Its role says what it may do."},
	{"NO_COLOR", "Set to anything: no colours. They are on terminals only anyway."},
	{"FORCE_COLOR", "Set to anything but 0: colours, also where there is no terminal."},
}

// lower makes the beginning of a sentence small.
func lower(text string) string {
	if text == "" {
		return ""
	}
	return strings.ToLower(text[:1]) + text[1:]
}

func manCommand(b *strings.Builder, n *kong.Node) {
	fmt.Fprintf(b, ".SS %s\n%s\n", roff(usageOf(n)), roff(helpOf(n)))
	for _, p := range n.Positional {
		fmt.Fprintf(b, ".TP\n.I %s\n%s\n", roff(p.Summary()), roff(p.Help))
	}
	manFlags(b, ownFlags(n))
}

func manFlags(b *strings.Builder, flags []*kong.Flag) {
	for _, f := range flags {
		fmt.Fprintf(b, ".TP\n.B %s\n%s\n", roff(flagOf(f)), roff(flagHelp(f)))
	}
}
