package dashboard

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/a-h/templ"
)

// marks ties a field to its hint and to what is wrong with it.
func (v settingsView) marks(field, hint string) templ.Attributes {
	var by []string
	if hint != "" {
		by = append(by, field+"-hint")
	}
	a := templ.Attributes{}
	if len(v.at(field)) > 0 {
		by = append(by, field+"-fault")
		a["aria-invalid"] = "true"
	}
	if len(by) > 0 {
		a["aria-describedby"] = strings.Join(by, " ")
	}
	return a
}

// listOf is the list that an entry is in, and nth its place there for people.
func listOf(at string) string {
	key, _, _ := strings.Cut(at, "[")
	return key
}

func nth(at string) string {
	_, n, _ := strings.Cut(strings.TrimSuffix(at, "]"), "[")
	i, err := strconv.Atoi(n)
	if err != nil {
		return at
	}
	return fmt.Sprint(i+1) + " of " + listOf(at)
}

// lineCount is how tall a list's field is.
func lineCount(s string) string { return fmt.Sprint(min(8, max(2, strings.Count(s, "\n")+1))) }

// picks says which hosts deploy.hosts picks.
func (a ahead) picks() string {
	if a.Problem != "" {
		return "It shows here which hosts it picks."
	}
	says := fmt.Sprintf("Picks %d of %s", len(a.Picked), plural(a.Of, "host", "hosts"))
	if len(a.Picked) == 0 {
		return says + "."
	}
	return says + ": " + listed(a.Picked) + "."
}

// listed names hosts, the first few.
func listed(names []string) string {
	const most = 12
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return strings.Join(names[:most], ", ") + fmt.Sprintf(" and %d more", len(names)-most)
}
