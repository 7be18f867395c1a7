package dashboard

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"

	"github.com/a-h/templ"

	"github.com/nixfleet/nixfleet/fleet"
)

// Updates is where the pages of updates come from, and of pull requests that are none.
// What is not there is [ErrUnknown].
type Updates interface {
	// Update tells all that is known of one pull request of a repository, named
	// owner/name.
	Update(ctx context.Context, repo string, number int) (fleet.UpdateDetail, error)
	// UpdateByID reads one update.
	UpdateByID(ctx context.Context, id int64) (fleet.Update, error)
	// EndedUpdates lists updates that have ended, newest first.
	EndedUpdates(ctx context.Context, q fleet.UpdateQuery) ([]fleet.Update, error)
	// LookAgain has a pull request read again at once. Asked twice, it is one wish.
	LookAgain(ctx context.Context, by fleet.Actor, id int64) error
}

// updateRoutes are the pages of updates, and what one may ask for there.
func (d *Dashboard) updateRoutes(mux *http.ServeMux) {
	d.live(mux, "/updates", d.updatesLive())
	d.live(mux, "/updates/{owner}/{name}/{number}", d.updateLive())
	mux.Handle("GET /updates/{owner}/{name}/{number}/explain", d.signedIn(d.explainPage))
	for _, what := range []string{askMerge, askOnly, askHold, askRelease} {
		mux.Handle("GET /updates/{id}/ask/"+what, d.askUpdate(what))
	}
	mux.Handle("POST /updates/{id}/merge", d.act(d.merge))
	mux.Handle("POST /updates/{id}/hold", d.act(d.hold))
	mux.Handle("POST /updates/{id}/release", d.act(d.release))
	mux.Handle("GET /updates/ask/check", d.askOf(func(s scene, _ *http.Request) (asking, error) { return s.askCheck(), nil }))
	mux.Handle("GET /updates/ask/inputs", d.askOf(func(s scene, r *http.Request) (asking, error) { return s.askInputs(r.URL.Query().Get("repo")) }))
	mux.Handle("POST /updates/check", d.press(RoleOperator, d.check))
	mux.Handle("POST /updates/inputs", d.press(RoleOperator, d.updateInputs))
	mux.Handle("POST /updates/{id}/look", d.press(RoleOperator, d.lookAgain))
}

// updateURL is our page of an update.
func updateURL(r fleet.Repo, number int) templ.SafeURL {
	return templ.URL(fmt.Sprintf("/updates/%s/%s/%d", url.PathEscape(r.Owner), url.PathEscape(r.Name), number))
}

// updateLive is the page of one update.
func (d *Dashboard) updateLive() livePage {
	return livePage{topic: d.updateTopic, show: func(r *http.Request, p page, b board) templ.Component {
		p.At = "updates"
		return updatePage(p, r.PathValue("owner")+"/"+r.PathValue("name"), r.PathValue("number"), b)
	}}
}

func (d *Dashboard) updateTopic(r *http.Request) (topic, error) {
	repo := fleet.Repo{Owner: r.PathValue("owner"), Name: r.PathValue("name")}
	number, err := strconv.Atoi(r.PathValue("number"))
	if err != nil || number < 1 || strconv.Itoa(number) != r.PathValue("number") {
		return topic{}, ErrUnknown
	}
	return topic{key: string(updateURL(repo, number)), regions: func(ctx context.Context, s scene) ([]liveRegion, error) {
		u, err := d.cfg.Updates.Update(ctx, repo.FullName(), number)
		if errors.Is(err, ErrUnknown) {
			return nil, missing(fmt.Sprintf("Either %s is not watched, or NixFleet has never seen a pull request #%d there.", repo.FullName(), number))
		}
		if err != nil {
			return nil, err
		}
		return s.updateRegions(u), nil
	}}, nil
}

// detailView is one update with what befell it, ready to show.
type detailView struct {
	updateView
	rollouts []rolloutView
	history  []fleet.Act
	inTime   string // how long it took from the merge until all hosts had it
}

func (s scene) detail(u fleet.UpdateDetail) detailView {
	v := detailView{updateView: s.update(u.Update)}
	for _, r := range u.Rollouts {
		v.rollouts = append(v.rollouts, s.rollout(r))
		if r.Kind != fleet.RolloutRestore && r.State == fleet.RolloutSucceeded && r.EndedAt.After(u.MergedAt) && !u.MergedAt.IsZero() {
			v.inTime = span(r.EndedAt.Sub(u.MergedAt))
		}
	}
	// The same press is on record twice: as a request, and as the wish that it became.
	v.history = slices.DeleteFunc(slices.Clone(u.History), func(h fleet.Act) bool { return h.Kind == "update.merge_requested" })
	return v
}

// activity is where the history of v goes on.
func (v detailView) activity() templ.SafeURL {
	return activityURL("repo", v.repo, "update", strconv.Itoa(v.Number))
}

// updateRegions lists everything live of the page of one update.
func (s scene) updateRegions(u fleet.UpdateDetail) []liveRegion {
	v := s.detail(u)
	main := []live{}
	if v.State == fleet.UpdateMerged {
		main = append(main, live{"u-merge", mergedCard(v)})
	}
	if len(v.Verdict.Inputs) > 0 || !v.Ignored {
		main = append(main, live{"u-inputs", inputsCard(v.updateView)})
	}
	if len(v.Verdict.Conditions) > 0 {
		main = append(main, live{"u-conditions", conditionsCard(v.updateView)})
	}
	side := []live{}
	if v.State.Open() && !v.Ignored {
		side = append(side, live{"u-hosts", affectedCard(v)})
	}
	if v.Request != nil || v.held != nil || v.Answer != nil {
		side = append(side, live{"u-asked", askedCard(v)})
	}
	side = append(side, live{"u-history", historyCard(v)})
	return []liveRegion{
		{"u-top", []live{{fmt.Sprintf("u-%d", v.ID), updateHead(v)}}},
		{"u-main", main},
		{"u-side", side},
	}
}

// lookAgain has a pull request read again.
func (d *Dashboard) lookAgain(r *http.Request, who visitor) (pressed, error) {
	id, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
	if err != nil {
		return pressed{}, ErrUnknown
	}
	return pressed{text: "GitHub is read again now. What is found shows here by itself."}, d.cfg.Updates.LookAgain(r.Context(), who.actor, id)
}
