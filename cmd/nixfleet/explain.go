package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/nixfleet/nixfleet/api"
	"github.com/nixfleet/nixfleet/fleet"
)

type policyGetCmd struct {
	serverFlags
	Repo string `arg:"" optional:"" help:"owner/name; may be left out when the App watches one only."`
}

// Run says what rules, and prints the settings there are.
func (c *policyGetCmd) Run(e *env) error {
	repo, err := theRepo(e, c.serverFlags, c.Repo)
	if err != nil {
		return err
	}
	p, err := c.client().Policy(e.ctx, repo)
	if err != nil {
		return err
	}
	if c.JSON {
		return json.NewEncoder(e.out).Encode(p)
	}
	return tellPolicy(e.out, p)
}

func tellPolicy(out io.Writer, p api.Policy) error {
	says := map[string]string{
		"file":     "The policy file rules: " + p.File,
		"settings": fmt.Sprintf("There is no policy file; settings by %s of %s rule.", p.ChangedBy, p.ChangedAt.UTC().Format("2006-01-02 15:04 UTC")),
		"built-in": "There is neither a policy file nor settings; the built-in policy rules.",
	}
	_, err := fmt.Fprintf(out, "%s: %s\n", p.Repo, says[p.Source])
	if p.Problem != "" {
		_, err = fmt.Fprintf(out, "Nothing merges until this is mended: %s\n", p.Problem)
	}
	if p.Settings != "" {
		if p.Source == "file" {
			_, err = fmt.Fprintln(out, "These settings wait while the file rules:")
		}
		_, err = fmt.Fprintf(out, "\n%s\n", strings.TrimRight(p.Settings, "\n"))
	}
	return err
}

type policySetCmd struct {
	serverFlags
	Repo  string `arg:"" help:"owner/name."`
	File  string `arg:"" optional:"" help:"File with the settings, written as a policy file; - reads standard input."`
	Clear bool   `help:"Take the settings away; the built-in policy rules again."`
}

// Run stores the settings, and says what rules then.
func (c *policySetCmd) Run(e *env) error {
	var text []byte
	var err error
	switch {
	case c.Clear && c.File == "":
	case c.Clear || c.File == "":
		return usagef("give either a file or --clear")
	case c.File == "-":
		text, err = io.ReadAll(os.Stdin)
	default:
		text, err = os.ReadFile(c.File)
	}
	if err != nil {
		return fmt.Errorf("read settings: %w", err)
	}
	if !c.Clear && len(strings.TrimSpace(string(text))) == 0 {
		return usagef("%s is empty; to take the settings away, use --clear", c.File)
	}
	p, err := c.client().SetPolicy(e.ctx, c.Repo, string(text))
	if err != nil {
		return err
	}
	if c.JSON {
		return json.NewEncoder(e.out).Encode(p)
	}
	return tellPolicy(e.out, p)
}

type policyExplainCmd struct {
	serverFlags
	PR    string   `arg:"" name:"pr" predictor:"update" help:"Pull request: 12, owner/name#12, or its address."`
	Check []string `help:"Suppose a check's result, e.g. build:success or build:missing. May be repeated." sep:"none" placeholder:"NAME:RESULT"`
	At    string   `help:"Suppose that it is then, e.g. 2026-12-24T18:00:00Z, or in 90m." placeholder:"TIME"`
	Merge bool     `help:"Suppose that a person asks for the merge."`
	Hold  string   `help:"Suppose that a person holds it (on), or that nobody does (off)." enum:",on,off" default:"" placeholder:"on|off"`
	Label []string `help:"Suppose that it has this label. May be repeated." sep:"none"`
}

// Run prints every condition with what was found, where, and what to do.
func (c *policyExplainCmd) Run(e *env) error {
	repo, number, err := pullOf(c.PR)
	if err != nil {
		return err
	}
	suppose, err := c.suppose(time.Now())
	if err != nil {
		return err
	}
	if repo, err = theRepo(e, c.serverFlags, repo); err != nil {
		return err
	}
	x, err := c.client().Explain(e.ctx, repo, number, suppose)
	if err != nil {
		return err
	}
	if c.JSON {
		return json.NewEncoder(e.out).Encode(x)
	}
	return tellVerdict(e.out, x, width(e.out))
}

func (c *policyExplainCmd) suppose(now time.Time) (url.Values, error) {
	v := url.Values{}
	for key, list := range map[string][]string{"check": c.Check, "label": c.Label} {
		if len(list) > 0 {
			v[key] = list
		}
	}
	if c.At != "" {
		at, err := time.Parse(time.RFC3339, c.At)
		if d, short := time.ParseDuration(strings.TrimPrefix(c.At, "in ")); short == nil {
			at, err = now.Add(d), nil
		}
		if err != nil {
			return nil, usagef("--at: %q is no time; write one like 2026-12-24T18:00:00Z, or from now like 90m", c.At)
		}
		v.Set("at", at.UTC().Format(time.RFC3339))
	}
	if c.Merge {
		v.Set("merge", "true")
	}
	if c.Hold != "" {
		v.Set("hold", c.Hold)
	}
	return v, nil
}

// signs are what a condition's outcome looks like, one column wide.
var signs = map[fleet.Outcome]string{fleet.Passed: "✓", fleet.Waiting: "…", fleet.Refused: "✗", fleet.Unread: "?", fleet.Off: "·"}

func tellVerdict(out io.Writer, x api.Explanation, columns int) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s#%d %s\n%s\n", x.Repo, x.Number, clean(x.Title), x.URL)
	if x.WhatIf {
		b.WriteString("\nSupposed, nothing was stored or done:\n")
	}
	fmt.Fprintf(&b, "\n%s: %s\n\n", x.Verdict.State, clean(x.Verdict.Headline))
	tellConditions(&b, x.Verdict.Conditions, columns)
	_, err := io.WriteString(out, b.String())
	return err
}

// tellConditions writes each condition with what was found, where, and what to do.
func tellConditions(b *strings.Builder, list []fleet.Condition, columns int) {
	for _, c := range list {
		sign := signs[c.Outcome]
		title := c.Title
		if c.Overridden {
			sign, title = "!", title+" (a person's word passes over it)"
		}
		fmt.Fprintf(b, "%s %s\n", sign, title)
		wrap(b, "    ", clean(c.Found), columns)
		if c.Remedy != "" && c.Outcome != fleet.Passed {
			wrap(b, "    → ", clean(c.Remedy), columns)
		}
		source := c.Source
		if !c.At.IsZero() {
			source = strings.TrimPrefix(source+", "+c.At.UTC().Format("15:04:05 UTC"), ", ")
		}
		if source != "" {
			wrap(b, "    ", "("+clean(source)+")", columns)
		}
	}
	b.WriteString("\n✓ holds   … waits   ✗ does not hold   ? could not be read   · does not apply\n")
}

// pullRef is a pull request as people write it: a number, owner/name#number, or the
// address of its page.
var pullRef = regexp.MustCompile(`^(?:(?:https?://[^/]+/)?([A-Za-z0-9][A-Za-z0-9-]*/[A-Za-z0-9._-]+)(?:#|/pull/))?#?([0-9]{1,9})(?:/[a-z]*)?$`)

func pullOf(s string) (repo string, number int, err error) {
	m := pullRef.FindStringSubmatch(s)
	if m == nil {
		return "", 0, usagef("%q names no pull request; write its number, owner/name#number, or its address", s)
	}
	number, err = strconv.Atoi(m[2])
	return m[1], number, err
}

// theRepo is the repository that was named, or else the only one there is.
func theRepo(e *env, f serverFlags, named string) (string, error) {
	if named != "" {
		return named, nil
	}
	repos, err := f.client().Repos(e.ctx)
	if err != nil {
		return "", err
	}
	names := make([]string, 0, len(repos))
	for _, r := range repos {
		names = append(names, r.Repo)
	}
	switch len(names) {
	case 0:
		return "", errors.New("the server watches no repository; install the App on one")
	case 1:
		return names[0], nil
	}
	return "", usagef("which repository? The server watches %s", strings.Join(names, ", "))
}
