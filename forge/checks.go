package forge

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/nixfleet/nixfleet/fleet"
)

// checkPages bounds the check runs and the statuses of one commit: 1000 each,
// which is where GitHub stops, too.
const checkPages = 10

type runPayload struct {
	ID          int64     `json:"id"`
	Name        string    `json:"name"`
	HeadSHA     string    `json:"head_sha"`
	Status      string    `json:"status"`
	Conclusion  string    `json:"conclusion"`
	HTMLURL     string    `json:"html_url"`
	StartedAt   time.Time `json:"started_at"`
	CompletedAt time.Time `json:"completed_at"`
	Suite       struct {
		ID int64 `json:"id"`
	} `json:"check_suite"`
	App appPayload `json:"app"`
}

type appPayload struct {
	ID   int64  `json:"id"`
	Slug string `json:"slug"`
}

func (r runPayload) domain() fleet.Check {
	return fleet.Check{
		Name: r.Name, Kind: "run", AppID: r.App.ID, App: r.App.Slug,
		State: r.Status, Conclusion: r.Conclusion, URL: r.HTMLURL,
		At: cmp.Or(r.CompletedAt, r.StartedAt),
	}
}

type statusPayload struct {
	ID        int64       `json:"id"`
	Context   string      `json:"context"`
	State     string      `json:"state"` // error, failure, pending or success
	TargetURL string      `json:"target_url"`
	Creator   userPayload `json:"creator"`
	UpdatedAt time.Time   `json:"updated_at"`
}

func (s statusPayload) domain() fleet.Check {
	c := fleet.Check{
		Name: s.Context, Kind: "status", App: strings.TrimSuffix(s.Creator.Login, "[bot]"),
		State: "completed", Conclusion: s.State, URL: s.TargetURL, At: s.UpdatedAt, Bot: s.Creator.Type == "Bot",
	}
	if s.State == "pending" {
		c.State, c.Conclusion = "pending", ""
	}
	return c
}

func (l *look) readChecks(ctx context.Context) {
	sha := l.s.Pull.Value.HeadSHA
	var runs []runPayload
	var statuses []statusPayload
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() (err error) { runs, err = l.runs(gctx, l.repo, sha, ""); return err })
	g.Go(func() (err error) { statuses, err = l.statuses(gctx, l.repo, sha); return err })
	err := g.Wait()
	source := fmt.Sprintf("GET /repos/%s/commits/%.7s/check-runs and /statuses", l.repo.FullName(), sha)
	l.s.Checks = reading(l, source, newestChecks(runs, statuses), err)
}

// newestChecks keeps the newest report of each name, source and suite, newest
// first. Of one App there can be several runs of a name, as each workflow event
// opens a suite of its own: none may hide what another one found.
func newestChecks(runs []runPayload, statuses []statusPayload) []fleet.Check {
	type key struct {
		kind, name, app string
		id, suite       int64
	}
	seen := map[key]bool{}
	var list []fleet.Check
	add := func(c fleet.Check, suite int64) {
		k := key{c.Kind, c.Name, c.App, c.AppID, suite}
		if !seen[k] {
			seen[k] = true
			list = append(list, c)
		}
	}
	slices.SortFunc(runs, func(a, b runPayload) int { return cmp.Compare(b.ID, a.ID) })
	for _, r := range runs {
		add(r.domain(), r.Suite.ID)
	}
	slices.SortFunc(statuses, func(a, b statusPayload) int { return cmp.Compare(b.ID, a.ID) })
	for _, s := range statuses {
		add(s.domain(), 0)
	}
	return list
}

// readSuites reads the check suites of the head commit. They are not judged; see
// fleet.CheckSuite.
func (l *look) readSuites(ctx context.Context) {
	sha := l.s.Pull.Value.HeadSHA
	op := fmt.Sprintf("list check suites of %.7s", sha)
	var list []fleet.CheckSuite
	path, err := repoPath(l.repo, "/commits/"+sha+"/check-suites")
	if err == nil {
		list, err = suites(ctx, l.client, op, path)
	}
	l.s.Suites = reading(l, fmt.Sprintf("GET /repos/%s/commits/%.7s/check-suites", l.repo.FullName(), sha), list, err)
}

func suites(ctx context.Context, c *client, op, path string) ([]fleet.CheckSuite, error) {
	lists, err := pages[struct {
		Suites []struct {
			Status     string     `json:"status"`
			Conclusion string     `json:"conclusion"`
			Runs       int        `json:"latest_check_runs_count"`
			App        appPayload `json:"app"`
		} `json:"check_suites"`
	}](ctx, c, op, path, checkPages)
	if err != nil {
		return nil, err
	}
	all := []fleet.CheckSuite{}
	for _, list := range lists {
		for _, s := range list.Suites {
			all = append(all, fleet.CheckSuite{AppID: s.App.ID, App: s.App.Slug, Status: s.Status, Conclusion: s.Conclusion, Runs: s.Runs})
		}
	}
	return all, nil
}

// runs lists the check runs of a commit, of one name where that is given. Suites
// are not asked: Apps that never report leave them queued for ever.
func (c *client) runs(ctx context.Context, repo fleet.Repo, sha, query string) ([]runPayload, error) {
	op := fmt.Sprintf("list check runs of %.7s", sha)
	path, err := repoPath(repo, "/commits/"+sha+"/check-runs?filter=latest"+query)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", op, err)
	}
	lists, err := pages[struct {
		TotalCount int          `json:"total_count"`
		CheckRuns  []runPayload `json:"check_runs"`
	}](ctx, c, op, path, checkPages)
	if err != nil {
		return nil, err
	}
	var all []runPayload
	for _, list := range lists {
		all = append(all, list.CheckRuns...)
	}
	if len(lists) > 0 && len(all) < lists[len(lists)-1].TotalCount {
		return nil, &Error{Op: op, Code: 200, Message: fmt.Sprintf("%d check runs, but counts %d", len(all), lists[len(lists)-1].TotalCount)}
	}
	return all, nil
}

// statuses lists the statuses of a commit. The combined status would not say who
// set them.
func (c *client) statuses(ctx context.Context, repo fleet.Repo, sha string) ([]statusPayload, error) {
	op := fmt.Sprintf("list statuses of %.7s", sha)
	path, err := repoPath(repo, "/commits/"+sha+"/statuses")
	if err != nil {
		return nil, fmt.Errorf("%s: %w", op, err)
	}
	lists, err := pages[[]statusPayload](ctx, c, op, path, checkPages)
	if err != nil {
		return nil, err
	}
	return slices.Concat(lists...), nil
}
