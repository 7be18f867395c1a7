package main

import (
	"fmt"
	"os"

	"github.com/nixfleet/nixfleet/flakelock"
)

type lockCmd struct {
	Show    lockShowCmd    `cmd:"" help:"Show the inputs of a lock file."`
	Diff    lockDiffCmd    `cmd:"" help:"Show what differs between two lock files, as Nix prints it."`
	Propose lockProposeCmd `cmd:"" help:"Send a lock file to a server, which proves and commits it (updates.strategy: host)."`
}

type lockShowCmd struct {
	File string `arg:"" help:"A flake.lock." type:"existingfile"`
}

// Run prints the inputs as a tree.
func (c *lockShowCmd) Run(e *env) error {
	l, err := readLock(c.File)
	if err != nil {
		return err
	}
	_, err = fmt.Fprint(e.out, flakelock.Show(l))
	return err
}

type lockDiffCmd struct {
	Old  string `arg:"" help:"The flake.lock before." type:"existingfile"`
	New  string `arg:"" help:"The flake.lock after." type:"existingfile"`
	JSON bool   `help:"Print JSON." name:"json"`
}

// Run prints the changes.
func (c *lockDiffCmd) Run(e *env) error {
	before, err := readLock(c.Old)
	if err != nil {
		return err
	}
	after, err := readLock(c.New)
	if err != nil {
		return err
	}
	changes := flakelock.Compare(before, after)
	if c.JSON {
		text, err := flakelock.JSON(changes)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(e.out, "%s\n", text)
		return err
	}
	if len(changes) == 0 {
		_, err = fmt.Fprintln(e.out, "The two locks pin the same inputs.")
		return err
	}
	_, err = fmt.Fprint(e.out, flakelock.Text(changes, flakelock.Style{}))
	return err
}

func readLock(file string) (*flakelock.Lock, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	l, err := flakelock.Parse(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return l, nil
}
