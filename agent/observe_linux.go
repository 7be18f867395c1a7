package agent

import (
	"os"
	"strconv"
	"strings"
	"syscall"

	"github.com/nixfleet/nixfleet/agentbus"
)

func readBootID() string {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

// observeMachine fills in uptime, load and memory from /proc.
func observeMachine(o *agentbus.Observation) {
	if f := procFields("/proc/uptime"); len(f) > 0 {
		seconds, _ := strconv.ParseFloat(f[0], 64)
		o.UptimeSeconds = int64(seconds)
	}
	if f := procFields("/proc/loadavg"); len(f) > 0 {
		o.Load1, _ = strconv.ParseFloat(f[0], 64)
	}
	kib := map[string]uint64{}
	f := procFields("/proc/meminfo") // "MemTotal:", "16318480", "kB", ...
	for i := 0; i+1 < len(f); i++ {
		if name, ok := strings.CutSuffix(f[i], ":"); ok {
			kib[name], _ = strconv.ParseUint(f[i+1], 10, 64)
		}
	}
	o.MemoryTotal = kib["MemTotal"] << 10
	if available := kib["MemAvailable"]; available <= kib["MemTotal"] {
		o.MemoryUsed = (kib["MemTotal"] - available) << 10
	}
}

func procFields(path string) []string {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil
	}
	return strings.Fields(string(b))
}

// diskSpace is the free and total size of path's file system, in bytes.
func diskSpace(path string) (free, total uint64) {
	var s syscall.Statfs_t
	if syscall.Statfs(path, &s) != nil {
		return 0, 0
	}
	return s.Bavail * uint64(s.Bsize), s.Blocks * uint64(s.Bsize)
}
