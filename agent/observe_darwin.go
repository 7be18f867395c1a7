package agent

import (
	"encoding/binary"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/nixfleet/nixfleet/agentbus"
)

// readBootID is the name that the kernel gives the boot or, where it gives none,
// the time of it, which changes when the clock is set.
func readBootID() string {
	if id, err := unix.Sysctl("kern.bootsessionuuid"); err == nil && id != "" {
		return id
	}
	tv, err := unix.SysctlTimeval("kern.boottime")
	if err != nil {
		return ""
	}
	return strconv.FormatInt(tv.Sec, 10)
}

// observeMachine fills in uptime, load and the size of memory.
func observeMachine(o *agentbus.Observation) {
	if tv, err := unix.SysctlTimeval("kern.boottime"); err == nil {
		o.UptimeSeconds = int64(time.Since(time.Unix(tv.Unix())).Seconds())
	}
	// struct loadavg: three fixed point numbers, padding, and their scale.
	if raw, err := unix.SysctlRaw("vm.loadavg"); err == nil && len(raw) >= 24 {
		if scale := binary.LittleEndian.Uint64(raw[16:]); scale > 0 {
			o.Load1 = float64(binary.LittleEndian.Uint32(raw)) / float64(scale)
		}
	}
	o.MemoryTotal, _ = unix.SysctlUint64("hw.memsize")
}

// diskSpace is the free and total size of path's file system, in bytes.
func diskSpace(path string) (free, total uint64) {
	var s unix.Statfs_t
	if unix.Statfs(path, &s) != nil {
		return 0, 0
	}
	return s.Bavail * uint64(s.Bsize), s.Blocks * uint64(s.Bsize)
}
