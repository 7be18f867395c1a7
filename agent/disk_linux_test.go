package agent

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// tiny puts the host's state on a disk of its own, which has little room.
func (p *bare) tiny() {
	p.t.Helper()
	p.room = p.at("tiny")
	if err := errors.Join(os.Mkdir(p.room, 0o700), syscall.Mount("none", p.room, "tmpfs", 0, "size=128k")); err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { _ = syscall.Unmount(p.room, syscall.MNT_DETACH) })
}

// fill leaves no room on the disk.
func (p *bare) fill() {
	p.t.Helper()
	f, err := os.Create(filepath.Join(p.room, "filling"))
	if err != nil {
		p.t.Fatal(err)
	}
	defer f.Close()
	for err == nil {
		_, err = f.Write(bytes.Repeat([]byte{1}, 512))
	}
	if !isFull(err) {
		p.t.Fatal(err)
	}
}

// On a full disk a switch does not begin, or is taken to an end that is on record.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	if !inside(t) {
		return
	}
	t.Run("before the switch", func(t *testing.T) {
		p := newBare(t)
		p.tiny()
		p.fill()
		err := p.record().create(p.job)
		if !isFull(err) || p.record().has(jobFile) {
			t.Errorf("%v, job written: %v", err, p.record().has(jobFile))
		}
	})
	for _, tt := range []struct {
		name         string
		new          string
		well         bool
		result, code string
		runs, at     string
	}{
		{"all is well", "", true, resultKept, "", "NEW", "NEW"},
		{"nobody says so", "", false, resultReverted, "no_word", "NEW OLD", "OLD"},
		{"the activation fails", "echo printed; MOVE; exit 2", false, resultReverted, "activation_failed", "NEW OLD", "OLD"},
		{"the activation prints and must not fail for it", "set -e; echo printed; MOVE", true, resultKept, "", "NEW", "NEW"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := newBare(t)
			p.system("NEW", tt.new)
			p.tiny()
			if !tt.well {
				p.job.VerifyTimeout = time.Millisecond
			}
			p.begin()
			if tt.well {
				p.sayWell()
			}
			p.fill()
			p.check(p.run(), tt.result, tt.code, tt.runs, tt.at)
		})
	}
	t.Run("without the room kept free it can't be recorded", func(t *testing.T) {
		p := newBare(t)
		p.tiny()
		d := p.begin()
		d.dropSpares()
		p.fill()
		cmd, _ := p.supervise()
		if err := cmd.Wait(); err == nil || d.has(outcomeFile) || p.runs() != "" {
			t.Errorf("%v, activations %q", err, p.runs())
		}
	})
}
