package dashboard

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/nixfleet/nixfleet/fleet"
)

// actIcons are the icons of what lines are about.
var actIcons = map[fleet.ActGroup]string{
	fleet.ActUpdates: "merge", fleet.ActRollouts: "go", fleet.ActOrders: "next", fleet.ActHosts: "ear",
	fleet.ActLocks: "merge", fleet.ActSettings: "gear", fleet.ActAccess: "key",
}

// at is a time of day to the second.
func at(t time.Time) string { return t.UTC().Format("15:04:05 UTC") }

// actLook is a line's icon and tone: what went wrong or right looks so, everything
// else looks like what it is about.
func actLook(a fleet.Act) look {
	w, _ := fleet.Words(a.Kind)
	switch w.Tone {
	case fleet.LightOK:
		return look{"ok", "ok", "went well"}
	case fleet.LightError:
		return look{"error", "error", "went wrong"}
	case fleet.LightStale:
		return look{"stale", "stale", "wants attention"}
	}
	if icon := actIcons[w.Group]; icon != "" {
		return look{"idle", icon, w.Group.Title()}
	}
	return look{"unknown", "unknown", "not known to this version"}
}

// actPath is the page of what a line is about; empty where there is none.
func actPath(a fleet.Act) string {
	what, id, _ := strings.Cut(a.Subject, "/")
	owner, name, _ := strings.Cut(a.Repo, "/")
	repo := url.PathEscape(owner) + "/" + url.PathEscape(name)
	switch {
	case what == "update" && a.Number > 0 && name != "":
		return fmt.Sprintf("/updates/%s/%d", repo, a.Number)
	case what == "rollout":
		return "/rollouts/" + url.PathEscape(id)
	case what == "host", what == "order" && a.Host != "":
		return "/hosts/" + url.PathEscape(a.Host)
	case what == "commit" && a.Rollout != "":
		return "/rollouts/" + url.PathEscape(a.Rollout)
	case strings.HasPrefix(a.Subject, "repo:") && name != "":
		return "/settings/" + repo
	}
	return ""
}

// actDetail is one thing that was stored with a line.
type actDetail struct{ name, value string }

// actNames are the names of details that are not their keys in other letters.
var actNames = map[string]string{
	"head_sha": "Head commit", "merge_sha": "Merge commit", "base_sha": "Made from commit", "repo_id": "Repository’s id", "actor_id": "Account’s id",
	"update_id": "Update’s id", "gen": "Number of the order", "attr": "Flake attribute", "sha256": "SHA-256 of the lock", "from": "Was",
	"number": "Pull request", "repo": "Repository",
}

// actDetails are the details of a line for people, without what its sentence says.
func actDetails(a fleet.Act) []actDetail {
	var list []actDetail
	for _, key := range slices.Sorted(maps.Keys(a.Detail)) {
		value := actValue(a.Detail[key])
		if value == "" || a.Kind == "settings.changed" {
			continue
		}
		name := actNames[key]
		if name == "" {
			name = title(strings.ReplaceAll(key, "_", " "))
		}
		list = append(list, actDetail{name, value})
	}
	return append(list, actDetail{"Recorded as", a.Kind + " of " + a.Subject})
}

func actValue(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return v
	case bool:
		return map[bool]string{true: "yes", false: "no"}[v]
	case float64:
		if v == 0 {
			return ""
		}
		return fmt.Sprintf("%.0f", v)
	case []any:
		parts := make([]string, len(v))
		for i, e := range v {
			parts[i] = actValue(e)
		}
		return strings.Join(parts, ", ")
	}
	text, err := json.Marshal(v)
	if err != nil {
		return "" // it came out of JSON, so it goes back
	}
	return string(text)
}

// settingsText is what settings were before or after, as text.
func settingsText(a fleet.Act, key string) string {
	text, _ := a.Detail[key].(string)
	if text == "" {
		return "(the built-in policy)"
	}
	return text
}
