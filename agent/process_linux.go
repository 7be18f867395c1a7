package agent

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
)

// groupMembers are the processes of the group with the id pgid.
func groupMembers(pgid int) []member {
	files, _ := filepath.Glob("/proc/[0-9]*/stat")
	var found []member
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			continue // it has just ended
		}
		if m, group, ok := parseStat(data); ok && group == pgid {
			found = append(found, m)
		}
	}
	return found
}

// parseStat reads /proc/PID/stat, see proc_pid_stat(5). The name of the program is
// in parentheses and may hold any of them itself.
func parseStat(data []byte) (m member, group int, ok bool) {
	open, end := bytes.IndexByte(data, '('), bytes.LastIndexByte(data, ')')
	if open < 0 || end < open {
		return m, 0, false
	}
	f := bytes.Fields(data[end+1:]) // from the third field on: state, parent, group, session, ...
	if len(f) < 20 {
		return m, 0, false
	}
	pid, err := strconv.Atoi(string(bytes.TrimSpace(data[:open])))
	if err != nil {
		return m, 0, false
	}
	group, _ = strconv.Atoi(string(f[2]))
	m.session, _ = strconv.Atoi(string(f[3]))
	m.pid, m.start = pid, string(f[19])
	m.dead = f[0][0] == 'Z' || f[0][0] == 'X'
	return m, group, true
}
