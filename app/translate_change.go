package app

import (
	"time"

	"github.com/nixfleet/nixfleet/agentbus"
	"github.com/nixfleet/nixfleet/fleet"
)

// Bounds of what hosts may tell of their systems. An honest agent keeps to less.
const (
	maxPackages    = 500
	maxVersions    = 20
	maxGenerations = 200
	maxNameBytes   = 200
	maxPathBytes   = 500
)

// hostChange takes what an order does to a host's system. Names and versions are the
// host's words, and become plain lines.
func hostChange(c *agentbus.Change) *fleet.Change {
	if c == nil {
		return nil
	}
	out := &fleet.Change{
		From: hostSystem(c.From, c.FromCommit), To: hostSystem(c.To, c.ToCommit),
		More: max(c.More, 0), SizeFrom: max(c.SizeFrom, 0), SizeTo: max(c.SizeTo, 0),
	}
	for i, p := range c.Packages {
		if i == maxPackages {
			out.More += len(c.Packages) - i
			break
		}
		out.Packages = append(out.Packages, fleet.PackageChange{
			Name: fleet.PlainLine(p.Name, maxNameBytes), From: plainLines(p.From), To: plainLines(p.To), Bytes: p.Bytes,
		})
	}
	return out
}

func hostGenerations(list []agentbus.Generation) []fleet.Generation {
	if list == nil {
		return nil
	}
	out := make([]fleet.Generation, 0, min(len(list), maxGenerations))
	for _, g := range list[:min(len(list), maxGenerations)] {
		made := fleet.Generation{Number: g.Number, System: hostSystem(g.Path, g.Commit), Running: g.Running, Booted: g.Booted}
		if g.At > 0 && g.At < maxUnix {
			made.At = time.Unix(g.At, 0).UTC()
		}
		out = append(out, made)
	}
	return out
}

// maxUnix is the first second of the year 10000, which no date is written in.
const maxUnix = 253402300800

func hostSystem(path, commit string) fleet.System {
	return fleet.System{Path: fleet.PlainLine(path, maxPathBytes), Commit: fleet.PlainLine(commit, 40)}
}

func plainLines(list []string) []string {
	var out []string
	for _, s := range list[:min(len(list), maxVersions)] {
		out = append(out, fleet.PlainLine(s, maxNameBytes))
	}
	return out
}
