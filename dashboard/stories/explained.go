package stories

import (
	"time"

	"github.com/nixfleet/nixfleet/fleet"
)

// explained are the stories of the page that explains an update.
func (b book) explained() []Story {
	const path = "/updates/aurora/nixcfg/42/explain"
	page := func(name, about, query string, now, then fleet.Update, supposed bool) Story {
		return Story{Name: name, About: about, Path: path + query, Overview: b.fleet(b.nine(), now), Explanation: &fleet.Explanation{
			Repo: now.Repo, Number: now.Number, Title: now.Title, URL: now.URL, Required: []string{"build", "eval"},
			Now: now.Verdict, Then: then.Verdict, Supposed: supposed,
		}}
	}
	merges := b.as(fleet.UpdateMerging, "Merging 9f8e7d6, as a person asks for.")
	merges.Verdict.Merge = &fleet.MergeOrder{HeadSHA: pull, Base: "main", Method: "squash", Deploy: true, By: fleet.Actor{Login: "a person"}}
	merges.Verdict.Headline = "Merging 9f8e7d6, as a person asks for."
	set(&merges, fleet.Condition{ID: "hold", Outcome: fleet.Waiting, Soft: true, Overridden: true, Found: find(b.holding(), "hold").Found})
	breaks := b.failing()
	held := b.held()
	breaks.Verdict.Conditions = append(breaks.Verdict.Conditions, find(held, "held"))
	breaks.Verdict.At = b.now.Add(time.Hour)
	return []Story{
		page("explain", "Every condition of an update.", "", b.holding(), b.holding(), false),
		page("explain-merge", "What if a person pressed Merge & Deploy?", "?merge=yes", b.holding(), merges, true),
		page("explain-fail", "What if a check failed and somebody held it?", "?check=build%3Afailure&hold=on&at=2026-12-01T15%3A00&label=nixfleet%2Fhold", b.holding(), breaks, true),
		page("explain-problem", "A supposition that is not understood.", "?at=soon&merge=yes", b.checks(), b.checks(), false),
		page("explain-hostile", "Hostile strings on the page that explains.", "?label=%22%3E%3Cscript%3Ealert%285%29%3C%2Fscript%3E", b.hostile(), b.hostile(), true),
	}
}

func find(u fleet.Update, id string) fleet.Condition {
	for _, c := range u.Verdict.Conditions {
		if c.ID == id {
			return c
		}
	}
	return fleet.Condition{}
}
