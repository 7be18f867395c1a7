package db_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nixfleet/nixfleet/db"
	"github.com/nixfleet/nixfleet/fleet"
)

const storePath = "/nix/store/0123456789abcdfghijklmnpqrsvwxyz-"

var headSHA, olderSHA = strings.Repeat("c", 40), strings.Repeat("b", 40)

// head says where the default branch is, as a look at GitHub would.
func (w *world) head(sha string) {
	w.t.Helper()
	must(w.t, w.d.Record(w.t.Context(), w.after(time.Second), fleet.RepositoryChanged{Repo: w.repo}))
	repos, err := w.d.ClaimRepos(w.t.Context(), w.now, lease, 10)
	must(w.t, err)
	must(w.t, w.d.SaveRepo(w.t.Context(), repos[0], db.RepoChange{HeadSHA: sha}, w.now))
}

// evaluator enrols a host with the tag, and seen makes hosts online.
func (w *world) evaluator(name string) {
	w.t.Helper()
	w.hosts(name)
	_, err := w.d.Pool().Exec(w.t.Context(), `update hosts set tags = '{evaluator}' where name = $1`, name)
	must(w.t, err)
}

func (w *world) seen(names ...string) {
	w.t.Helper()
	var beats []db.Beat
	for _, n := range names {
		beats = append(beats, db.Beat{Host: n, At: w.now, Facts: fleet.HostFacts{At: w.now, CheckoutCommit: headSHA}})
	}
	must(w.t, w.d.SaveBeats(w.t.Context(), beats))
}

// unevaluated is what there is to evaluate: attribute, times asked, whom last.
func (w *world) unevaluated() (list []string) {
	w.t.Helper()
	found, err := w.d.Unevaluated(w.t.Context(), w.now)
	must(w.t, err)
	for _, u := range found {
		if u.Repo.ID != w.repo.ID || u.Head == "" {
			w.t.Errorf("%+v", u)
		}
		for _, x := range u.Wanted {
			list = append(list, fmt.Sprintf("%s %d %s", strings.TrimPrefix(x.Attr, "nixosConfigurations."), x.Attempts, x.Host))
		}
	}
	return list
}

// ask has an evaluator evaluate all that there is, by an order of the given id.
func (w *world) ask(id, host string) error {
	w.t.Helper()
	found, err := w.d.Unevaluated(w.t.Context(), w.now)
	must(w.t, err)
	if len(found) != 1 {
		w.t.Fatalf("%d repositories have something to evaluate", len(found))
	}
	return w.askFor(found[0], id, host)
}

func (w *world) askFor(u db.Unevaluated, id, host string) error {
	o := fleet.Order{ID: id, Host: host, Kind: "refresh", RepoID: w.repo.ID, Commit: u.Head, Actor: "evaluations", IssuedAt: w.now, ExpiresAt: w.now.Add(time.Hour)}
	return w.d.AskEvaluations(w.t.Context(), o, u.Wanted, w.now.Add(2*time.Hour), w.now)
}

// says records the final answer to an order.
func (w *world) says(order, host string, edit func(*db.AnswerRow)) {
	w.t.Helper()
	o, err := w.d.Order(w.t.Context(), order)
	must(w.t, err)
	r := answerTo(order, host, 1, "healthy")
	r.Gen, r.StreamSeq = o.Gen, uint64(w.count(`select count(*) from answers`))+1
	edit(&r)
	_, err = w.d.RecordAnswers(w.t.Context(), []db.AnswerRow{r}, w.now)
	must(w.t, err)
}

func (w *world) evaluation(commit, name string) string {
	w.t.Helper()
	e, err := w.d.Evaluation(w.t.Context(), w.repo.ID, commit, "nixosConfigurations."+name)
	if errors.Is(err, db.ErrNotFound) {
		return ""
	}
	must(w.t, err)
	return fmt.Sprintf("%s%s by %s", strings.TrimPrefix(e.Path, storePath), e.Error, e.Host)
}

func attr(name string) string { return "nixosConfigurations." + name }

func TestEvaluationsAreAskedForOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.evaluator("build1")
	w.hosts("web1", "web2")
	w.head(olderSHA)
	equal(t, "while no evaluator is online", w.unevaluated(), []string(nil))
	w.seen("build1")
	equal(t, "at first", w.unevaluated(), []string{"build1 0 ", "web1 0 ", "web2 0 "})
	w.head(headSHA)
	w.seen("build1")
	stale, err := w.d.Unevaluated(t.Context(), w.now)
	must(t, err)
	must(t, w.ask("E1", "build1"))
	equal(t, "while it works", w.unevaluated(), []string(nil))
	if err := w.askFor(stale[0], "E2", "build1"); !errors.Is(err, db.ErrConflict) {
		t.Errorf("another replica asks as well: %v", err)
	}
	stale[0].Head = olderSHA
	if err := w.askFor(stale[0], "E2", "build1"); !errors.Is(err, db.ErrConflict) {
		t.Errorf("asking at a head that is none: %v", err)
	}
	o, err := w.d.Order(t.Context(), "E1")
	must(t, err)
	equal(t, "asked for", o.Detail.Evaluate, []string{attr("build1"), attr("web1"), attr("web2")})

	// One has a path, one an error, and one is not answered: it is asked for again, later.
	w.says("E1", "build1", func(r *db.AnswerRow) {
		r.Evaluated = []db.Evaluated{{Attr: attr("web1"), Path: storePath + "web1"}, {Attr: attr("web2"), Error: "no such luck\x00"}}
	})
	equal(t, "web1", w.evaluation(headSHA, "web1"), "web1 by build1")
	equal(t, "web2", w.evaluation(headSHA, "web2"), "no such luck\uFFFD by build1")
	equal(t, "right after", w.unevaluated(), []string(nil))
	w.after(30 * time.Second)
	equal(t, "half a minute later", w.unevaluated(), []string{"build1 1 build1"})
	must(t, w.ask("E2", "build1"))
	w.says("E2", "build1", func(*db.AnswerRow) {})
	w.after(59 * time.Second)
	w.seen("build1")
	equal(t, "the next pause is longer", w.unevaluated(), []string(nil))
	w.after(time.Second)
	equal(t, "and ends", w.unevaluated(), []string{"build1 2 build1"})

	// A new head makes all of it pointless.
	must(t, w.ask("E3", "build1"))
	w.head(strings.Repeat("d", 40))
	equal(t, "a new head", w.unevaluated(), []string{"build1 0 ", "web1 0 ", "web2 0 "})
	must(t, w.ask("E4", "build1"))
	if n := w.count(`select count(*) from evaluating where commit_sha <> $1`, strings.Repeat("d", 40)); n != 0 {
		t.Errorf("%d notes of the old head stay", n)
	}
}

func TestAnEvaluatorThatIsAwayOrSlowGivesWayToAnother(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.evaluator("build1")
	w.head(headSHA)
	w.seen("build1")
	must(t, w.ask("E1", "build1"))
	w.after(fleet.OnlineWithin)
	w.evaluator("build2")
	w.seen("build2")
	equal(t, "it is away", w.unevaluated(), []string{"build2 0 ", "build1 1 build1"})
	w.seen("build1")
	equal(t, "it is back", w.unevaluated(), []string{"build2 0 "})
	must(t, w.ask("E2", "build2"))
	w.after(2 * time.Hour)
	w.seen("build1", "build2")
	equal(t, "it took too long", w.unevaluated(), []string{"build1 1 build1", "build2 1 build2"})
}

func TestWhoIsBelievedAboutEvaluations(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.evaluator("build1")
	w.hosts("web1", "web2")
	w.head(headSHA)
	w.seen("build1")
	must(t, w.ask("E1", "build1"))
	_, err := w.d.IssueOrders(t.Context(), []fleet.Order{
		{ID: "O1", Host: "web1", Kind: "refresh", RepoID: w.repo.ID, IssuedAt: w.now, ExpiresAt: w.now.Add(time.Hour), Detail: fleet.OrderDetail{Evaluate: []string{attr("web2")}}},
		{ID: "O2", Host: "web2", Kind: "pull", RepoID: w.repo.ID, Commit: headSHA, IssuedAt: w.now, ExpiresAt: w.now.Add(time.Hour)},
		{ID: "O3", Host: "web2", Kind: "refresh", RepoID: w.repo.ID, IssuedAt: w.now, ExpiresAt: w.now.Add(time.Hour)},
	}, w.now)
	must(t, err)
	facts := func(commit, path string) func(*db.AnswerRow) {
		return func(r *db.AnswerRow) {
			r.Facts = &fleet.HostFacts{At: w.now, CheckoutCommit: commit, ExpectedCommit: commit, ExpectedPath: path}
		}
	}
	// web1 speaks for itself, and not for web2, whatever it was asked for.
	w.says("O1", "web1", func(r *db.AnswerRow) {
		facts(headSHA, storePath+"web1")(r)
		r.Evaluated = []db.Evaluated{{Attr: attr("web2"), Path: storePath + "evil"}}
	})
	equal(t, "itself", w.evaluation(headSHA, "web1"), "web1 by web1")
	equal(t, "another", w.evaluation(headSHA, "web2"), "")
	// An error gives way to a path. What was said first stays, the rest is history.
	w.says("E1", "build1", func(r *db.AnswerRow) {
		r.Evaluated = []db.Evaluated{
			{Attr: attr("web1"), Path: storePath + "other"}, {Attr: attr("web2"), Error: "no network"},
			{Attr: attr("build1"), Path: "/etc/passwd"}, {Attr: attr("stranger"), Path: storePath + "x"},
		}
	})
	equal(t, "first", w.evaluation(headSHA, "web1"), "web1 by web1")
	equal(t, "an error", w.evaluation(headSHA, "web2"), "no network by build1")
	equal(t, "no path of a store", w.evaluation(headSHA, "build1"), "")
	equal(t, "not asked for", w.evaluation(headSHA, "stranger"), "")
	w.says("O2", "web2", facts(headSHA, storePath+"web2"))
	w.says("O2", "web2", facts(headSHA, storePath+"again")) // a repetition, though changed
	equal(t, "a path", w.evaluation(headSHA, "web2"), "web2 by web2")
	w.says("O3", "web2", facts("no commit", storePath+"web2"))
	if n := w.count(`select count(*) from evaluations`); n != 2 {
		t.Errorf("%d evaluations, want two", n)
	}
	events, err := w.d.History(t.Context(), 100)
	must(t, err)
	events = slices.DeleteFunc(events, func(e db.Event) bool { return e.Kind != "evaluation.differs" })
	if len(events) != 1 || events[0].Actor != "host:build1" || events[0].Detail["path"] != storePath+"other" || events[0].Detail["first_by"] != "web1" {
		t.Errorf("differences %+v", events)
	}

	must(t, w.d.SaveBeats(t.Context(), []db.Beat{
		{Host: "build1", At: w.after(time.Minute), Facts: fleet.HostFacts{At: w.now, Order: "E1", Step: "building", Working: true}},
		{Host: "web2", At: w.now, Facts: fleet.HostFacts{At: w.now, Order: "O3", Step: "healthy"}},
	}))
	o, err := w.d.Overview(t.Context(), w.now)
	must(t, err)
	for _, h := range o.Hosts {
		if (h.Doing == "refresh") != (h.Host.Name == "build1") {
			t.Errorf("%s is doing %q", h.Host.Name, h.Doing)
		}
		if e := h.Evaluation; (e != nil) != (h.Host.Name == "web1") || e != nil && (e.Path != storePath+"web1" || e.Commit != headSHA || e.Host != "web1" || !e.At.Equal(w.now.Add(-time.Minute))) {
			t.Errorf("%s: %+v", h.Host.Name, e)
		}
	}
}

func TestOrdersSayWhatIsKnown(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.evaluator("build1")
	w.hosts("web1")
	w.head(headSHA)
	w.seen("build1", "web1")
	order := func(id, commit string) fleet.Order {
		return fleet.Order{ID: id, Host: "web1", Kind: "refresh", RepoID: w.repo.ID, Commit: commit, IssuedAt: w.now, ExpiresAt: w.now.Add(time.Hour)}
	}
	_, err := w.d.IssueOrders(t.Context(), []fleet.Order{order("A", headSHA), order("B", ""), order("C", olderSHA)}, w.now)
	must(t, err)
	expect := func(what string, want map[string]db.Expectation) {
		t.Helper()
		got, err := w.d.Expectations(t.Context(), []string{"A", "B", "C"}, w.now)
		must(t, err)
		equal(t, what, got, want)
	}
	old := db.Expectation{Commit: olderSHA}
	waits := db.Expectation{Commit: headSHA, Waits: true}
	expect("while it works", map[string]db.Expectation{"A": waits, "B": waits, "C": old})
	must(t, w.ask("E1", "build1"))
	w.says("E1", "build1", func(r *db.AnswerRow) { r.Evaluated = []db.Evaluated{{Attr: attr("web1"), Error: "no"}} })
	broken := db.Expectation{Commit: headSHA}
	expect("what an evaluator can't", map[string]db.Expectation{"A": broken, "B": broken, "C": old})
	w.says("A", "web1", func(r *db.AnswerRow) {
		r.Facts = &fleet.HostFacts{At: w.now, CheckoutCommit: headSHA, ExpectedCommit: headSHA, ExpectedPath: storePath + "web1"}
	})
	known := db.Expectation{Commit: headSHA, Path: storePath + "web1"}
	expect("known", map[string]db.Expectation{"A": known, "B": known, "C": old})
	w.after(time.Hour)
	_, err = w.d.Pool().Exec(t.Context(), `delete from evaluations`)
	must(t, err)
	expect("nobody is there", map[string]db.Expectation{"A": broken, "B": broken, "C": old})
}

func TestOldEvaluationsAreForgotten(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.hosts("web1", "web2")
	w.head(headSHA)
	for i, commit := range []string{headSHA, olderSHA, strings.Repeat("a", 40)} {
		for _, name := range []string{"web1", "web2"} {
			_, err := w.d.Pool().Exec(t.Context(), `insert into evaluations values (7, $1, $2, '/p', '', 'web1', $3)`,
				commit, attr(name), w.now.Add(time.Duration(i-3)*time.Hour))
			must(t, err)
		}
	}
	must(t, w.d.SaveBeats(t.Context(), []db.Beat{{Host: "web1", At: w.now, Facts: fleet.HostFacts{At: w.now, CheckoutCommit: olderSHA}}}))
	n, err := w.d.PruneEvaluations(t.Context(), w.now.Add(-90*time.Minute), 10)
	if err != nil || n != 1 || w.evaluation(olderSHA, "web2") != "" {
		t.Errorf("forgot %d (%v)", n, err)
	}
}

func TestALockComesWithTheAnswerOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.hosts("web1")
	issue := func(id, kind string) {
		_, err := w.d.IssueOrders(t.Context(), []fleet.Order{
			{ID: id, Host: "web1", Kind: kind, RepoID: w.repo.ID, Commit: headSHA, IssuedAt: w.now, ExpiresAt: w.now.Add(time.Hour)},
		}, w.now)
		must(t, err)
	}
	proposals := func() (keys []string) {
		for _, key := range w.effects() {
			if strings.HasPrefix(key, "propose:") {
				keys = append(keys, key)
			}
		}
		return keys
	}
	issue("U1", "update_inputs")
	w.says("U1", "web1", func(r *db.AnswerRow) { r.Lock = true })
	equal(t, "asked for", proposals(), []string{"propose:U1"})
	w.says("U1", "web1", func(r *db.AnswerRow) { r.Lock = true })
	equal(t, "repeated", proposals(), []string(nil))
	issue("U2", "update_inputs")
	w.says("U2", "web1", func(r *db.AnswerRow) { r.Lock, r.Step = true, "failed" })
	issue("U3", "refresh")
	w.says("U3", "web1", func(r *db.AnswerRow) { r.Lock = true })
	equal(t, "of orders that bring none", proposals(), []string(nil))
}
