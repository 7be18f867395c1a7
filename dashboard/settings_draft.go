package dashboard

import (
	"encoding/json"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/nixfleet/nixfleet/fleet"
)

// draft is settings as they stand in the form: each field by the key of its setting,
// such as "updates.auto_merge.hold" or "updates.freeze[0].tz". Whatever a person
// typed stays in it, also what is no setting.
type draft struct{ values url.Values }

// rowFields are the fields of one entry of each list that has more than one.
var rowFields = map[string][]string{
	"updates.required_checks": {"name", "app"},
	"updates.freeze":          windowFields,
	"deploy.windows":          windowFields,
	"deploy.reboot_windows":   windowFields,
	"deploy.waves":            {"name", "hosts", "soak"},
	"deploy.health":           {"kind", "value"},
	"notify":                  {"to", "on"},
}

var windowFields = []string{"from_day", "from_time", "to_day", "to_time", "tz", "reason"}

// chosen are fields that always have a value, so that they alone make no entry.
var chosen = []string{"from_day", "to_day", "kind"}

var weekdays = []string{"Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"}

// draftOf is the form of a policy.
func draftOf(p fleet.Policy) draft {
	d := draft{url.Values{}}
	for _, s := range fleet.SettingsOf(p) {
		switch v := s.Value.(type) {
		case bool:
			if v {
				d.values.Set(s.Key, "true")
			}
		case []string:
			d.values.Set(s.Key, strings.Join(v, "\n"))
		case []fleet.Entry:
			for i, e := range v {
				d.addEntry(row(s.Key, i), e)
			}
		default:
			d.values.Set(s.Key, fmt.Sprint(v))
		}
	}
	return d
}

// row names an entry of a list.
func row(key string, i int) string { return key + "[" + strconv.Itoa(i) + "]" }

func (d draft) addEntry(at string, e fleet.Entry) {
	for _, p := range e {
		text, _ := p.Value.(string)
		list, _ := p.Value.([]string)
		switch {
		case (p.Key == "from" || p.Key == "to") && !strings.HasPrefix(at, "notify["):
			day, clock, _ := strings.Cut(text, " ")
			d.values.Set(at+"."+p.Key+"_day", title(strings.ToLower(day)))
			d.values.Set(at+"."+p.Key+"_time", clock)
		case p.Key == "unit", p.Key == "http":
			d.values.Set(at+".kind", p.Key)
			d.values.Set(at+".value", text)
		case p.Key == "command":
			d.values.Set(at+".kind", p.Key)
			d.values.Set(at+".value", commandText(list))
		case p.Key == "on":
			d.values[at+".on"] = list
		default:
			d.values.Set(at+"."+p.Key, text)
		}
	}
}

// commandText writes the words of a command: apart by blanks, or as JSON where a word
// could be mistaken then.
func commandText(words []string) string {
	text := strings.Join(words, " ")
	if !strings.HasPrefix(text, "[") && slices.Equal(strings.Fields(text), words) {
		return text
	}
	b, _ := json.Marshal(words) // texts always encode
	return string(b)
}

func commandWords(text string) any {
	var words []string
	if strings.HasPrefix(strings.TrimSpace(text), "[") {
		if err := json.Unmarshal([]byte(text), &words); err != nil {
			return text // is refused as what it is
		}
		return words
	}
	return strings.Fields(text)
}

var rowName = regexp.MustCompile(`^([a-z_.]+)\[([0-9]{1,4})\]\.([a-z_]+)$`)

// draftFrom takes over what a form carries. Entries are numbered anew, and those with
// nothing in them are left out.
func draftFrom(form url.Values) draft {
	d := draft{url.Values{}}
	for _, s := range fleet.SettingsOf(fleet.DefaultPolicy()) {
		fields := rowFields[s.Key]
		if fields == nil {
			if v := form.Get(s.Key); v != "" {
				d.values.Set(s.Key, strings.ReplaceAll(v, "\r\n", "\n"))
			}
			continue
		}
		n := 0
		for _, i := range rowsIn(form, s.Key) {
			if blank(form, row(s.Key, i), fields) {
				continue
			}
			for _, f := range fields {
				if v := form[row(s.Key, i)+"."+f]; len(v) > 0 {
					d.values[row(s.Key, n)+"."+f] = v
				}
			}
			n++
		}
	}
	return d
}

// rowsIn are the numbers of a list's entries, in order.
func rowsIn(form url.Values, key string) []int {
	var rows []int
	for name := range form {
		m := rowName.FindStringSubmatch(name)
		if m == nil || m[1] != key {
			continue
		}
		if i, err := strconv.Atoi(m[2]); err == nil && !slices.Contains(rows, i) {
			rows = append(rows, i)
		}
	}
	slices.Sort(rows)
	return rows
}

func blank(form url.Values, at string, fields []string) bool {
	for _, f := range fields {
		if !slices.Contains(chosen, f) && strings.TrimSpace(strings.Join(form[at+"."+f], "")) != "" {
			return false
		}
	}
	return true
}

// rows are the names of a list's entries.
func (d draft) rows(key string) []string {
	var names []string
	for _, i := range rowsIn(d.values, key) {
		names = append(names, row(key, i))
	}
	return names
}

func (d draft) get(field string) string      { return d.values.Get(field) }
func (d draft) on(field string) bool         { return d.values.Get(field) == "true" }
func (d draft) has(field, value string) bool { return slices.Contains(d.values[field], value) }

// add puts an empty entry at the end of a list.
func (d draft) add(key string) {
	at := row(key, len(rowsIn(d.values, key)))
	switch key {
	case "deploy.health":
		d.values.Set(at+".kind", "unit")
	case "notify", "updates.required_checks", "deploy.waves":
		d.values.Set(at+"."+rowFields[key][0], "")
	default:
		d.values.Set(at+".from_day", "Fri")
		d.values.Set(at+".to_day", "Mon")
	}
}

// without is the draft less one entry.
func (d draft) without(at string) draft {
	out := url.Values{}
	for name, v := range d.values {
		if !strings.HasPrefix(name, at+".") {
			out[name] = v
		}
	}
	return draftFrom(out)
}

// text writes the draft in the words of a policy file. JSON is YAML, and says what was
// typed without any doubt; whether it is a policy, its reader decides.
func (d draft) text() string {
	root := map[string]any{"version": 1}
	for _, s := range fleet.SettingsOf(fleet.DefaultPolicy()) {
		v, ok := d.value(s)
		if !ok {
			continue
		}
		at, path := root, strings.Split(s.Key, ".")
		for _, key := range path[:len(path)-1] {
			inner, ok := at[key].(map[string]any)
			if !ok {
				inner = map[string]any{}
				at[key] = inner
			}
			at = inner
		}
		at[path[len(path)-1]] = v
	}
	b, _ := json.MarshalIndent(root, "", " ") // texts and numbers always encode
	return string(b)
}

// value is what a setting is in the draft; without one the built-in value holds.
func (d draft) value(s fleet.Setting) (any, bool) {
	typed := strings.TrimSpace(d.get(s.Key))
	switch s.Value.(type) {
	case bool:
		return d.on(s.Key), true
	case int:
		if n, err := strconv.Atoi(typed); err == nil {
			return n, true
		}
	case []string:
		list := []string{}
		for line := range strings.Lines(d.get(s.Key)) {
			if line = strings.TrimSpace(line); line != "" {
				list = append(list, line)
			}
		}
		return list, true
	case []fleet.Entry:
		list := []map[string]any{}
		for _, at := range d.rows(s.Key) {
			list = append(list, d.entry(at, rowFields[s.Key]))
		}
		return list, true
	}
	return typed, typed != ""
}

func (d draft) entry(at string, fields []string) map[string]any {
	e := map[string]any{}
	for _, f := range fields {
		v := strings.TrimSpace(d.get(at + "." + f))
		switch f {
		case "from_time":
			e["from"] = d.get(at+".from_day") + " " + v
		case "to_time":
			e["to"] = d.get(at+".to_day") + " " + v
		case "value":
			e[d.get(at+".kind")] = v
			if d.get(at+".kind") == "command" {
				e["command"] = commandWords(v)
			}
		case "on":
			e["on"] = append([]string{}, d.values[at+".on"]...)
		case "from_day", "to_day", "kind":
		default:
			if v != "" {
				e[f] = v
			}
		}
	}
	return e
}
