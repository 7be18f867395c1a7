package agent

import (
	"cmp"
	"context"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/nixfleet/nixfleet/agentbus"
)

// maxGenerations bounds what an answer lists of a profile.
const maxGenerations = 50

// generations are the host's systems to go back to: those of its profile that the
// garbage collector has left, newest first.
func (a *Agent) generations(ctx context.Context) []agentbus.Generation {
	n := a.notes.get()
	running, booted := readLink(a.cfg.Paths.Current), readLink(a.cfg.Paths.Booted)
	list := generationsOf(a.cfg.Paths.Profile)
	list = list[:min(len(list), maxGenerations)]
	for i := range list {
		g := &list[i]
		g.Commit = a.commitOf(ctx, n, g.Path)
		g.Running, g.Booted = g.Path == running, g.Path == booted
	}
	return list
}

// generationsOf reads the links that Nix keeps beside a profile, NAME-7-link for
// the seventh. One whose target is gone can't be gone back to.
func generationsOf(profile string) (list []agentbus.Generation) {
	dir, name := filepath.Split(profile)
	links, err := os.ReadDir(or(dir, "."))
	if err != nil {
		return nil
	}
	for _, link := range links {
		number, ours := generationNumber(link.Name(), name)
		path := readLink(filepath.Join(dir, link.Name()))
		info, err := link.Info()
		if !ours || path == "" || err != nil {
			continue
		}
		list = append(list, agentbus.Generation{Number: number, Path: path, At: info.ModTime().Unix()})
	}
	slices.SortFunc(list, func(a, b agentbus.Generation) int { return cmp.Compare(b.Number, a.Number) })
	return list
}

func generationNumber(link, profile string) (int, bool) {
	rest, named := strings.CutPrefix(link, profile+"-")
	digits, linked := strings.CutSuffix(rest, "-link")
	number, err := strconv.Atoi(digits)
	return number, named && linked && err == nil && number > 0
}

// before is the system that ran before the running one, as the profile tells it;
// "" where it knows of none.
func before(newestFirst []agentbus.Generation, running string) string {
	at := max(0, slices.IndexFunc(newestFirst, func(g agentbus.Generation) bool { return g.Path == running }))
	for _, g := range newestFirst[at:] {
		if g.Path != running {
			return g.Path
		}
	}
	return ""
}
