package dashboard

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/nixfleet/nixfleet/fleet"
)

// updateShelf is what a world knows of single updates, and of those that have ended.
type updateShelf struct {
	detail *fleet.UpdateDetail
	past   []fleet.Update
	query  fleet.UpdateQuery // the last one
	works  []fleet.LockWork
}

func (w *world) Update(_ context.Context, repo string, number int) (fleet.UpdateDetail, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if u := w.detail; u != nil && u.Repo.FullName() == repo && u.Number == number {
		return *u, w.readErr
	}
	for _, u := range w.overview.Updates {
		if u.Repo.FullName() == repo && u.Number == number {
			return fleet.UpdateDetail{Update: u}, w.readErr
		}
	}
	return fleet.UpdateDetail{}, ErrUnknown
}

func (w *world) UpdateByID(_ context.Context, id int64) (fleet.Update, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if u := w.detail; u != nil && u.ID == id {
		return u.Update, w.readErr
	}
	for _, u := range w.overview.Updates {
		if u.ID == id {
			return u, w.readErr
		}
	}
	return fleet.Update{}, ErrUnknown
}

func (w *world) EndedUpdates(_ context.Context, q fleet.UpdateQuery) ([]fleet.Update, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.query = q
	return w.past[:min(q.Limit, len(w.past))], w.readErr
}

func (w *world) LookAgain(_ context.Context, a fleet.Actor, id int64) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.asks = append(w.asks, fmt.Sprintf("%s %d look", a.Login, id))
	return w.askErr
}

func (w *world) CheckForUpdates(_ context.Context, a fleet.Actor, repo string) ([]fleet.Checked, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.askErr == nil {
		w.asks = append(w.asks, a.Login+" checks "+repo)
	}
	return []fleet.Checked{{Repo: "aurora/nixcfg", Found: "Started lock.yml on main."}}, w.askErr
}

func (w *world) UpdateInputs(_ context.Context, a fleet.Actor, wish InputsWish) (string, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.askErr == nil {
		w.asks = append(w.asks, fmt.Sprintf("%s %s on %q: %q, pull %v", a.Login, wish.Repo, wish.Host, wish.Inputs, wish.AsPull))
	}
	return "hsb1", w.askErr
}

func (w *world) LockWorks(context.Context) ([]fleet.LockWork, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.works, w.readErr
}

func TestWhatIsNoUpdateHasNoPage(t *testing.T) {
	t.Parallel()
	d := newDashboard(t, newWorld(story(t, "holding").Overview), Config{})
	for path, want := range map[string]struct {
		code int
		says string
	}{
		"/updates/aurora/nixcfg/42":         {http.StatusOK, "flake.lock: Update"},
		"/updates/aurora/nixcfg/43":         {http.StatusNotFound, "has never seen a pull request #43 there"},
		"/updates/aurora/<b>/42":            {http.StatusNotFound, "aurora/&lt;b&gt; is not watched"},
		"/updates/aurora/nixcfg/042":        {http.StatusNotFound, "Not found"},
		"/updates/aurora/nixcfg/-1":         {http.StatusNotFound, "Not found"},
		"/updates/7/ask/merge":              {http.StatusNotFound, "There is no such update"},
		"/updates/x/ask/merge":              {http.StatusNotFound, "There is no such update"},
		"/events/updates/aurora/nixcfg/043": {http.StatusNotFound, "nothing at this address"},
	} {
		rec := do(d, request(http.MethodGet, strings.NewReplacer("<", "%3C", ">", "%3E").Replace(path), "op", nil))
		if rec.Code != want.code || !strings.Contains(rec.Body.String(), want.says) {
			t.Errorf("%s answers %d, want %d and %q: %s", path, rec.Code, want.code, want.says, rec.Body)
		}
		if framed := strings.Contains(rec.Body.String(), `aria-label="Pages"`); !framed && !strings.HasPrefix(path, "/events") {
			t.Errorf("%s leads nowhere else", path)
		}
	}
}

func TestQuestionsAboutAnUpdate(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		story, cookie, what string
		says                []string
		open                bool // it can be answered
	}{
		"a merge":                       {"holding", "op", "merge", []string{"Merge &amp; deploy to 9 hosts", `name="deploy" value="yes"`, `data-about="u-42"`}, true},
		"a merge alone":                 {"holding", "op", "only", []string{"Merge, deploy nothing", `name="deploy" value="no"`, `action="/updates/42/merge"`}, true},
		"a hold":                        {"holding", "op", "hold", []string{`data-about="u-42-acts"`, "No host is touched"}, true},
		"a release":                     {"held", "op", "release", []string{"It merges at once"}, true},
		"a second hold":                 {"held", "op", "hold", []string{"It is held already"}, false},
		"a release of no hold":          {"holding", "op", "release", []string{"Nobody holds it."}, false},
		"a merge that is asked for":     {"asked", "op", "merge", []string{"Already asked for."}, false},
		"a merge of what is blocked":    {"blocked-owner", "op", "merge", []string{"nobody can override that here"}, false},
		"a hold of what is over":        {"update-closed", "op", "hold", []string{"It is closed already."}, false},
		"a release of what is over":     {"update-merged", "op", "release", []string{"It is merged already."}, false},
		"a viewer is told why not":      {"holding", "view", "merge", []string{"Read-only: this needs the operator role, yours is viewer."}, false},
		"a merge while it is looked at": {"update-observed", "op", "merge", []string{"still looking"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := story(t, tt.story)
			w := newWorld(s.Overview)
			w.detail = s.Detail
			rec := do(newDashboard(t, w, Config{}), request(http.MethodGet, "/updates/42/ask/"+tt.what, tt.cookie, nil))
			body := rec.Body.String()
			for _, want := range tt.says {
				if !strings.Contains(body, want) {
					t.Errorf("it does not say %q: %s", want, body)
				}
			}
			if rec.Code != http.StatusOK || strings.Contains(body, `type="submit" data-act`) != tt.open {
				t.Errorf("it answers %d; can it be pressed? want %v", rec.Code, tt.open)
			}
		})
	}
}

func TestAQuestionIsBoundToWhatWasSeen(t *testing.T) {
	t.Parallel()
	look := func(u fleet.Update) updateView {
		d := newDashboard(t, newWorld(fleet.Overview{}), Config{})
		return d.scene(fleet.Overview{Updates: []fleet.Update{u}}).update(u)
	}
	was := look(story(t, "holding").Overview.Updates[0])
	for name, tt := range map[string]struct {
		change      func(*fleet.Update)
		merge, hold bool // whether the question of it is void
	}{
		"nothing":          {func(*fleet.Update) {}, false, false},
		"another headline": {func(u *fleet.Update) { u.Verdict.Headline = "x" }, false, false},
		"another head":     {func(u *fleet.Update) { u.HeadSHA, u.Verdict.HeadSHA = "e", "e" }, true, false},
		"a hold":           {func(u *fleet.Update) { u.Hold = &fleet.Hold{At: noon} }, true, true},
		"a press":          {func(u *fleet.Update) { u.Request = &fleet.MergeRequest{HeadSHA: u.HeadSHA} }, true, false},
		"an end":           {func(u *fleet.Update) { u.State = fleet.UpdateMerged }, true, true},
	} {
		u := was.Update
		tt.change(&u)
		is := look(u)
		if merge := is.stance() != was.stance(); merge != tt.merge {
			t.Errorf("%s voids the question of a merge: %v", name, merge)
		}
		if hold := is.holdStance() != was.holdStance(); hold != tt.hold {
			t.Errorf("%s voids the question of a hold: %v", name, hold)
		}
	}
}

func TestLookAgainIsForOperators(t *testing.T) {
	t.Parallel()
	for cookie, code := range map[string]int{"op": http.StatusSeeOther, "admin": http.StatusSeeOther, "view": http.StatusForbidden} {
		w := newWorld(story(t, "holding").Overview)
		rec := press(newDashboard(t, w, Config{}), "look", cookie, nil)
		if rec.Code != code || len(w.asks) > 0 != (code == http.StatusSeeOther) {
			t.Errorf("%s: it answers %d and records %v", cookie, rec.Code, w.asks)
		}
	}
}
