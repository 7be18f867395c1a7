package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/nixfleet/nixfleet/app"
)

type backupCmd struct {
	app.Kept
	File string `arg:"" help:"File to write, for its owner only: it holds the server's keys. One that exists is not overwritten." type:"path"`
	JSON bool   `help:"Print JSON." name:"json"`
}

// Run writes the backup and says what is in it.
func (c *backupCmd) Run(e *env) error {
	m, err := app.Backup(e.ctx, c.Kept, c.File, time.Now())
	if err != nil {
		return err
	}
	return tellManifest(e, c.JSON, m, fmt.Sprintf("%s holds the database (%d KiB, packed) and %s. Keep it where only you can read it: whoever has it can give orders to every host.",
		c.File, m.Bytes>>10, strings.Join(m.Files, ", ")))
}

type restoreCmd struct {
	app.Kept
	File string `arg:"" help:"A file that backup wrote." type:"existingfile"`
	JSON bool   `help:"Print JSON." name:"json"`
}

// Run restores the backup and says how to go on.
func (c *restoreCmd) Run(e *env) error {
	m, err := app.Restore(e.ctx, c.Kept, c.File)
	if err != nil {
		return err
	}
	return tellManifest(e, c.JSON, m, fmt.Sprintf("The server of %s UTC is back in %s. Start it with nixfleet serve: hosts find it again by its keys, and what it missed is read from GitHub.",
		moment(m.At), c.DataDir))
}

func tellManifest(e *env, asJSON bool, m app.Manifest, says string) error {
	if asJSON {
		return json.NewEncoder(e.out).Encode(m)
	}
	_, err := io.WriteString(e.out, e.say(says))
	return err
}
