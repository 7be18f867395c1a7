package fleet

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Setting is one key of a policy file with its value.
type Setting struct {
	Key   string // e.g. "updates.auto_merge.hold"
	Value any    // bool, int, string, []string or []Entry
}

// Entry is one entry of a list of a policy file, such as a freeze window: what it
// gives, in order.
type Entry []EntryPart

// EntryPart is one key of an entry.
type EntryPart struct {
	Key   string
	Value any // string or []string
}

// entry leaves out what is not given.
func entry(parts ...EntryPart) Entry {
	return slices.DeleteFunc(Entry(parts), func(p EntryPart) bool {
		list, _ := p.Value.([]string)
		return p.Value == "" || list == nil && reflect.TypeOf(p.Value).Kind() == reflect.Slice
	})
}

// SettingsOf lists every setting of a policy, in the order of the policy file.
func SettingsOf(p Policy) []Setting {
	u, d := p.Updates, p.Deploy
	return []Setting{
		{"updates.strategy", u.Strategy},
		{"updates.commit", u.Commit},
		{"updates.files", texts(u.Files)},
		{"updates.authors", texts(u.Authors)},
		{"updates.auto_merge.enabled", u.AutoMerge.Enabled},
		{"updates.auto_merge.hold", DurationText(u.AutoMerge.Hold)},
		{"updates.auto_merge.hold_from", u.AutoMerge.HoldFrom},
		{"updates.auto_merge.method", u.AutoMerge.Method},
		{"updates.auto_merge.delete_branch", u.AutoMerge.DeleteBranch},
		{"updates.auto_merge.min_input_age", DurationText(u.AutoMerge.MinInputAge)},
		{"updates.auto_merge.overlap", u.AutoMerge.Overlap},
		{"updates.required_checks", entries(u.RequiredChecks, func(c RequiredCheck) Entry {
			return entry(EntryPart{"name", c.Name}, EntryPart{"app", c.App})
		})},
		{"updates.require_checks", u.RequireChecks},
		{"updates.inputs.allow_added", u.Inputs.AllowAdded},
		{"updates.inputs.allow_removed", u.Inputs.AllowRemoved},
		{"updates.inputs.allow_repointed", u.Inputs.AllowRepointed},
		{"updates.inputs.trust", texts(u.Inputs.Trust)},
		{"updates.freeze", entries(u.Freeze, windowEntry)},
		{"deploy.auto", d.Auto},
		{"deploy.hosts", d.Hosts},
		{"deploy.waves", entries(d.Waves, func(w WavePolicy) Entry {
			soak := ""
			if w.Soak > 0 {
				soak = DurationText(w.Soak)
			}
			return entry(EntryPart{"name", w.Name}, EntryPart{"hosts", w.Hosts}, EntryPart{"soak", soak})
		})},
		{"deploy.max_parallel", d.MaxParallel},
		{"deploy.max_failures", d.MaxFailures.String()},
		{"deploy.on_failure", d.OnFailure},
		{"deploy.offline", d.Offline},
		{"deploy.reboot", d.Reboot},
		{"deploy.reboot_windows", entries(d.RebootWindows, windowEntry)},
		{"deploy.windows", entries(d.Windows, windowEntry)},
		{"deploy.timeouts.fetch", DurationText(d.Timeouts.Fetch)},
		{"deploy.timeouts.build", DurationText(d.Timeouts.Build)},
		{"deploy.timeouts.switch", DurationText(d.Timeouts.Switch)},
		{"deploy.timeouts.verify", DurationText(d.Timeouts.Verify)},
		{"deploy.health", entries(d.Health, func(h HealthCheck) Entry {
			return entry(EntryPart{"unit", h.Unit}, EntryPart{"http", h.HTTP}, EntryPart{"command", h.Command})
		})},
		{"deploy.settle", DurationText(d.Settle)},
		{"deploy.unreachable", d.Unreachable},
		{"deploy.anchors", texts(d.Anchors)},
		{"deploy.keep_logs", DurationText(d.KeepLogs)},
		{"notify", entries(p.Notify, func(n NotifyRule) Entry {
			return entry(EntryPart{"to", n.To}, EntryPart{"on", n.On})
		})},
	}
}

func windowEntry(f Freeze) Entry {
	return entry(EntryPart{"from", f.From}, EntryPart{"to", f.To}, EntryPart{"tz", f.TZ}, EntryPart{"reason", f.Reason})
}

// texts is a list that is empty rather than nil, so that both are the same setting.
func texts(list []string) []string { return append([]string{}, list...) }

func entries[T any](list []T, of func(T) Entry) []Entry {
	out := []Entry{}
	for _, v := range list {
		out = append(out, of(v))
	}
	return out
}

// String writes an amount as the policy file does.
func (a Amount) String() string {
	if a.Percent {
		return strconv.Itoa(a.N) + "%"
	}
	return strconv.Itoa(a.N)
}

// DurationText writes a duration as the policy file does: "1h30m", "2d", "0s".
func DurationText(d time.Duration) string {
	if d < time.Second {
		return "0s"
	}
	var b strings.Builder
	for _, u := range []struct {
		of   time.Duration
		name string
	}{{24 * time.Hour, "d"}, {time.Hour, "h"}, {time.Minute, "m"}, {time.Second, "s"}} {
		if n := d / u.of; n > 0 {
			fmt.Fprintf(&b, "%d%s", n, u.name)
			d %= u.of
		}
	}
	return b.String()
}

// Lines is a setting's value for people: one line, or one for each entry of a list.
func (s Setting) Lines() []string {
	switch v := s.Value.(type) {
	case bool:
		return []string{map[bool]string{true: "on", false: "off"}[v]}
	case []string:
		return v
	case []Entry:
		lines := make([]string, len(v))
		for i, e := range v {
			lines[i] = e.String()
		}
		return lines
	}
	return []string{fmt.Sprint(s.Value)}
}

// String is an entry in one line.
func (e Entry) String() string {
	parts := make([]string, len(e))
	for i, p := range e {
		text, _ := p.Value.(string)
		if list, ok := p.Value.([]string); ok {
			text = strings.Join(list, " ")
		}
		parts[i] = p.Key + " " + text
	}
	return strings.Join(parts, ", ")
}

// SettingChange is a setting that two policies have differently.
type SettingChange struct {
	Key      string
	From, To []string // the values' lines; of lists only what goes and what comes
	List     bool
}

// CompareSettings lists what differs between two policies.
func CompareSettings(from, to Policy) []SettingChange {
	var changes []SettingChange
	was := SettingsOf(from)
	for i, is := range SettingsOf(to) {
		if reflect.DeepEqual(was[i].Value, is.Value) {
			continue
		}
		c := SettingChange{Key: is.Key, From: was[i].Lines(), To: is.Lines()}
		switch is.Value.(type) {
		case []string, []Entry:
			c.List = true
			gone, come := missing(c.From, c.To), missing(c.To, c.From)
			if len(gone)+len(come) > 0 { // otherwise only the order differs
				c.From, c.To = gone, come
			}
		}
		changes = append(changes, c)
	}
	return changes
}

// missing is what of a list is not in another.
func missing(list, other []string) []string {
	return slices.DeleteFunc(slices.Clone(list), func(s string) bool { return slices.Contains(other, s) })
}
