package agent

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// zombie is SZOMB of macOS's sys/proc.h.
const zombie = 5

// groupMembers are the processes of the group with the id pgid. macOS does not
// tell their session.
func groupMembers(pgid int) []member {
	procs, err := unix.SysctlKinfoProcSlice("kern.proc.pgrp", pgid)
	if err != nil {
		return nil
	}
	var found []member
	for _, p := range procs {
		at := p.Proc.P_starttime
		found = append(found, member{
			pid: int(p.Proc.P_pid), start: fmt.Sprintf("%d.%06d", at.Sec, at.Usec), dead: p.Proc.P_stat == zombie,
		})
	}
	return found
}
