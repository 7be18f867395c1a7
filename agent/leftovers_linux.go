package agent

import (
	"bytes"
	"os"
	"strconv"
	"strings"
)

// withMark are the other processes of this user that have mark in their environment.
func withMark(mark string) (pids []int) {
	for _, pid := range processes() {
		env, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/environ")
		if err == nil && pid != os.Getpid() && hasVariable(env, mark) && ofThisUser(startedBy(pid)) {
			pids = append(pids, pid)
		}
	}
	return pids
}

// startedBy is the real user of a process, which a program that takes on another
// one's rights does not change; -1 where it is gone.
func startedBy(pid int) int {
	status, _ := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	for line := range strings.Lines(string(status)) { // the process chooses its name, but not to end the line
		ids, found := strings.CutPrefix(line, "Uid:")
		if f := strings.Fields(ids); found && len(f) > 0 {
			if uid, err := strconv.Atoi(f[0]); err == nil {
				return uid
			}
		}
	}
	return -1
}

func hasVariable(env []byte, variable string) bool {
	for v := range bytes.SplitSeq(env, []byte{0}) {
		if string(v) == variable {
			return true
		}
	}
	return false
}

func processes() (pids []int) {
	dir, err := os.Open("/proc")
	if err != nil {
		return nil
	}
	defer dir.Close()
	names, _ := dir.Readdirnames(-1)
	for _, name := range names {
		if pid, err := strconv.Atoi(name); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}
