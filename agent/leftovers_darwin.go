package agent

import (
	"bytes"
	"os"

	"golang.org/x/sys/unix"
)

// withMark are the other processes of this user that have mark in their environment.
func withMark(mark string) (pids []int) {
	all, err := unix.SysctlKinfoProcSlice("kern.proc.all")
	if err != nil {
		return nil
	}
	for _, p := range all {
		pid := int(p.Proc.P_pid)
		if pid <= 0 || pid == os.Getpid() || !ofThisUser(int(p.Eproc.Pcred.P_ruid)) {
			continue
		}
		// Arguments and environment, each ended by a NUL.
		args, err := unix.SysctlRaw("kern.procargs2", pid)
		if err == nil && bytes.Contains(args, append([]byte("\x00"+mark), 0)) {
			pids = append(pids, pid)
		}
	}
	return pids
}
