package forge

import (
	"strings"

	"github.com/nixfleet/nixfleet/fleet"
)

// The buttons, with the words of the commands as identifiers.
var (
	actionMerge  = CheckAction{"Merge & deploy", "Merge this head now, then deploy it", "merge"}
	actionHold   = CheckAction{"Hold", "Do not merge until the hold is released", "hold"}
	actionUnhold = CheckAction{"Release hold", "Let it merge again once conditions hold", "unhold"}
)

// conclusions are the ends of our check run. The states that are missing are still
// under way. Nothing but a merge is a success.
var conclusions = map[fleet.UpdateState]string{
	fleet.UpdateReady:      "neutral",
	fleet.UpdateMerged:     "success",
	fleet.UpdateFailing:    "failure",
	fleet.UpdateBlocked:    "action_required",
	fleet.UpdateConflict:   "action_required",
	fleet.UpdateClosed:     "cancelled",
	fleet.UpdateSuperseded: "neutral",
}

// CheckRunFor renders our check run of an update. A new head SHA gets a new one.
func CheckRunFor(v CommentView) CheckRun {
	u := v.Update
	r := CheckRun{
		HeadSHA:    u.HeadSHA,
		Status:     "in_progress",
		Title:      oneLine(u.Verdict.Headline, 255),
		DetailsURL: v.DashboardURL,
		Actions:    actions(u),
	}
	if u.CheckSHA == u.HeadSHA {
		r.ID = u.CheckRunID
	}
	if c := conclusions[u.State]; c != "" {
		r.Status, r.Conclusion, r.CompletedAt = "completed", c, u.Verdict.At
	}
	if r.Title == "" {
		r.Title = "Looking at it"
	}
	var summary, details strings.Builder
	headline(&summary, u)
	inputs(&summary, u)
	if summary.Len() == 0 {
		summary.WriteString(text(r.Title))
	}
	conditions(&details, u.Verdict)
	rollout(&details, v.Rollout)
	r.Summary, r.Text = cut(summary.String(), maxRunText), cut(details.String(), maxRunText)
	return r
}

// actions are the buttons that mean something in the update's state.
func actions(u fleet.Update) []CheckAction {
	switch u.State {
	case fleet.UpdateMerging, fleet.UpdateMerged, fleet.UpdateClosed, fleet.UpdateSuperseded:
		return nil
	}
	hold := actionHold
	open := true // nothing but soft conditions stands in the way
	for _, c := range u.Verdict.Conditions {
		if c.ID == "held" && c.Outcome == fleet.Waiting {
			hold = actionUnhold
		}
		if c.Outcome != fleet.Passed && c.Outcome != fleet.Off && !c.Soft {
			open = false
		}
	}
	if open && len(u.Verdict.Conditions) > 0 {
		return []CheckAction{actionMerge, hold}
	}
	return []CheckAction{hold}
}
