package main

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/nixfleet/nixfleet/api"
)

type hostCmd struct {
	Show hostShowCmd `cmd:"" help:"All that is known of a host."`
	Set  hostSetCmd  `cmd:"" help:"Change the mode, the tags or the attribute of a host."`
}

type hostShowCmd struct {
	serverFlags
	Name string `arg:"" predictor:"host" help:"Name of the host."`
}

// Run prints everything about the host.
func (c *hostShowCmd) Run(e *env) error {
	h, err := c.client().Host(e.ctx, c.Name)
	if err != nil {
		return err
	}
	if c.JSON {
		return json.NewEncoder(e.out).Encode(h)
	}
	return tellHost(e, h)
}

func tellHost(e *env, h api.HostDetail) error {
	out := e.out
	f := h.Facts
	presence := "offline"
	if h.Online {
		presence = "online"
	}
	if !h.LastSeen.IsZero() {
		presence += ", last seen " + moment(h.LastSeen) + " UTC"
	}
	if !h.Enrolled {
		presence = "has not enrolled yet"
	}
	rows := [][2]string{
		{"attribute", h.Attr}, {"repository", h.Repo}, {"mode", h.Mode}, {"tags", strings.Join(h.Tags, " ")},
		{"presence", presence}, {"agent", f.AgentVersion},
	}
	for _, c := range h.Compartments {
		rows = append(rows, [2]string{c.ID, strings.Trim(c.Label+", "+c.Badge, ", ")})
	}
	rows = append(rows, [2]string{"checkout", short(f.CheckoutCommit)}, [2]string{"runs", strings.TrimSpace(short(f.RunningCommit) + " " + f.RunningPath)})
	if f.RebootNeeded {
		rows = append(rows, [2]string{"reboot", "needed; booted into " + f.BootedPath})
	}
	if f.MemoryTotal > 0 {
		rows = append(rows, [2]string{"load", fmt.Sprintf("%.2f, memory %d of %d MiB, store %d of %d GiB free",
			f.Load1, f.MemoryUsed>>20, f.MemoryTotal>>20, f.StoreFree>>30, f.StoreTotal>>30)})
	}
	rows = append(rows, [2]string{"failed", strings.Join(f.FailedUnits, " ")})
	for _, step := range sortedKeys(f.Errors) {
		rows = append(rows, [2]string{step + " failed", f.Errors[step]})
	}
	if h.Step != "" {
		rows = append(rows, [2]string{"doing", h.Step + " for order " + h.Order})
	}
	var b strings.Builder
	fmt.Fprintln(&b, clean(h.Name))
	for _, r := range rows {
		if r[1] != "" {
			wrap(&b, fmt.Sprintf("  %-12s", r[0]+" "), clean(r[1]), width(out))
		}
	}
	if _, err := io.WriteString(out, b.String()); err != nil || len(h.Open) == 0 {
		return err
	}
	_, _ = fmt.Fprintln(out, "\nOpen orders, taken up one after the other:")
	return table(e, "ORDER HOST KIND STATE COMMIT~3 ISSUED~2 BY~1 NOTE…", orderRows(h.Open))
}

func sortedKeys(m map[string]string) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

type hostSetCmd struct {
	serverFlags
	Name string    `arg:"" predictor:"host" help:"Name of the host."`
	Mode string    `help:"fleet: takes part in rollouts. manual: left to people. automatic: follows the default branch by itself." enum:",fleet,manual,automatic" default:""`
	Tags *[]string `help:"All its tags, separated by commas; none takes them away."`
	Attr string    `help:"Flake attribute that builds it."`
}

// Run changes the host and says how it is treated now.
func (c *hostSetCmd) Run(e *env) error {
	var change api.HostChange
	if c.Mode != "" {
		change.Mode = &c.Mode
	}
	if c.Attr != "" {
		change.Attr = &c.Attr
	}
	if c.Tags != nil {
		tags := slices.DeleteFunc(slices.Clone(*c.Tags), func(t string) bool { return t == "" })
		if tags == nil {
			tags = []string{}
		}
		change.Tags = &tags
	}
	if change == (api.HostChange{}) {
		return usagef("nothing to change: give --mode, --tags or --attr")
	}
	h, err := c.client().ChangeHost(e.ctx, c.Name, change)
	if err != nil {
		return err
	}
	if c.JSON {
		return json.NewEncoder(e.out).Encode(h)
	}
	_, err = fmt.Fprintf(e.out, "%s: mode %s, tags %s, %s\n", clean(h.Name), h.Mode, clean("["+strings.Join(h.Tags, " ")+"]"), clean(h.Attr))
	return err
}

type generationsCmd struct {
	serverFlags
	Host string `arg:"" predictor:"host" help:"Name of the host."`
}

// Run lists what a rollback can go back to.
func (c *generationsCmd) Run(e *env) error {
	list, err := c.client().Generations(e.ctx, c.Host)
	if err != nil {
		return err
	}
	if c.JSON {
		return json.NewEncoder(e.out).Encode(map[string]any{"generations": list})
	}
	if len(list) == 0 {
		_, err := fmt.Fprintf(e.out, "It is not known yet what %s can go back to. It says so with its next order: nixfleet order refresh %s\n", c.Host, c.Host)
		return err
	}
	rows := make([][]string, len(list))
	for i, g := range list {
		var is []string
		if g.Running {
			is = append(is, "running")
		}
		if g.Booted {
			is = append(is, "booted")
		}
		rows[i] = []string{fmt.Sprint(g.Number), moment(g.At), short(g.Commit), strings.Join(is, ","), g.Path}
	}
	return table(e, "NUMBER SINCE COMMIT IS PATH…", rows)
}
