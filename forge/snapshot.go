package forge

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/nixfleet/nixfleet/fleet"
)

// readsAtOnce bounds the parallel reads of one kind in a snapshot: a lock of thirty
// inputs is asked about at once.
const readsAtOnce = 32

// Kept is what we recorded of a repository, and a look goes by.
type Kept struct {
	Authors  map[string]fleet.Actor       // logins of the policy that were resolved before; they are not asked for again
	Settings *fleet.Reading[fleet.Policy] // the policy where the repository has no file; nil: the built-in one
}

// look is one look at one pull request.
type look struct {
	*client
	repo fleet.Repo
	kept Kept
	base branch // of the default branch, now
	s    fleet.Snapshot

	changed []filePayload // between merge base and head SHA, where the merge base is known

	mu    sync.Mutex
	fatal error // why the whole look is void
}

// Snapshot reads everything that GitHub can say about a pull request, in as few
// rounds as what depends on what allows: the pull request beside the default branch;
// what goes by their commits; the locks; the revisions in the locks. All of it is
// pinned to the head SHA and to the commit of the default branch that were read
// first. A read that fails is an unknown reading, with the reason. An error means
// that nothing can be said now: the context ended, GitHub asks us to wait
// (*RateLimited), or ErrInstallationGone.
func (f *Forge) Snapshot(ctx context.Context, repo fleet.Repo, number int, kept Kept) (fleet.Snapshot, error) {
	c, err := f.as(ctx, reader, repo)
	if err != nil {
		return fleet.Snapshot{}, fmt.Errorf("read pull request %d of %s: %w", number, repo.FullName(), err)
	}
	l := &look{client: c, repo: repo, kept: kept, s: fleet.Snapshot{Repo: repo, Number: number, OwnAppID: f.config.AppID}}
	l.stage(ctx, l.readPull, l.readBase)
	l.settle(ctx)
	if l.fatal == nil && l.s.Pull.Known() {
		l.stage(ctx, l.readPolicy, l.readFiles, l.readMergeBase, l.readRequired, l.readRules, l.readChecks, l.readSuites)
		l.pinFiles()
		l.stage(ctx, l.readAuthors, l.readModes, l.readLocks)
		l.stage(ctx, l.readCommits, l.readLineages)
	}
	if ctx.Err() != nil {
		return fleet.Snapshot{}, fmt.Errorf("read pull request %d of %s: %w", number, repo.FullName(), context.Cause(ctx))
	}
	if l.fatal != nil {
		return fleet.Snapshot{}, l.fatal
	}
	return l.s, nil
}

// stage runs reads that do not need each other. Each writes a field of its own.
func (l *look) stage(ctx context.Context, reads ...func(context.Context)) {
	var g errgroup.Group
	g.SetLimit(readsAtOnce)
	for _, read := range reads {
		g.Go(func() error { read(ctx); return nil })
	}
	_ = g.Wait() // failures are in the readings
}

// each reads one thing per key, in parallel.
func each[T any](l *look, keys []string, one func(key string) fleet.Reading[T]) map[string]fleet.Reading[T] {
	all := make([]fleet.Reading[T], len(keys))
	var g errgroup.Group
	g.SetLimit(readsAtOnce)
	for i, key := range keys {
		g.Go(func() error { all[i] = one(key); return nil })
	}
	_ = g.Wait() // failures are in the readings
	m := make(map[string]fleet.Reading[T], len(keys))
	for i, key := range keys {
		m[key] = all[i]
	}
	return m
}

// reading makes a reading, and notes what makes the whole look void.
func reading[T any](l *look, source string, v T, err error) fleet.Reading[T] {
	_, limited := errors.AsType[*RateLimited](err)
	if limited || errors.Is(err, ErrInstallationGone) {
		l.mu.Lock()
		l.fatal = err
		l.mu.Unlock()
	}
	return read(l.now(), source, v, err)
}

func (l *look) readPull(ctx context.Context) {
	p, err := l.pull(ctx, l.repo, l.s.Number)
	l.s.Pull = reading(l, pullSource(l.repo, l.s.Number), p.domain(), err)
	if err == nil {
		l.s.Repo = p.Base.Repo.domain(l.repo.Installation)
	}
}

// readBase reads the head of what was the default branch when we last heard. What
// the pull request calls its base SHA may be older than that.
func (l *look) readBase(ctx context.Context) {
	if l.repo.DefaultBranch == "" {
		return // settle finds out
	}
	var err error
	if l.base, err = l.branch(ctx, l.repo, l.repo.DefaultBranch); err != nil {
		l.base.err = err
	}
}

// settle goes on with the repository as the pull request tells it, and reads its
// default branch where that turns out to be another one.
func (l *look) settle(ctx context.Context) {
	was := l.repo.DefaultBranch
	if l.repo = l.s.Repo; was != l.repo.DefaultBranch && l.s.Pull.Known() {
		l.base = branch{}
		l.readBase(ctx)
	}
}

func (l *look) readFiles(ctx context.Context) {
	files, err := l.files(ctx, l.repo, l.s.Number)
	l.s.Files = reading(l, fmt.Sprintf("GET /repos/%s/pulls/%d/files", l.repo.FullName(), l.s.Number), files, err)
}

func (l *look) readMergeBase(ctx context.Context) {
	var p comparePayload
	source, err := "GET /repos/"+l.repo.FullName()+"/compare", l.base.err
	if err == nil {
		p, err = l.mergeBase(ctx, l.repo, l.base.Commit.SHA, l.s.Pull.Value.HeadSHA)
		source += fmt.Sprintf("/%.7s...%.7s", l.base.Commit.SHA, l.s.Pull.Value.HeadSHA)
	}
	l.s.MergeBase, l.changed = reading(l, source, p.MergeBase.SHA, err), p.Files
}

// pinFiles makes sure that the listed files are those of the head SHA. The list goes
// by the pull request's number: after a push during the look, which may be taken
// back before the merge, it would vouch for a commit that it never saw.
func (l *look) pinFiles() {
	if !l.s.Files.Known() || !l.s.MergeBase.Known() {
		return
	}
	listed := map[string]bool{}
	for _, f := range l.s.Files.Value {
		listed[f.Path] = true
	}
	same := len(l.changed) == min(len(l.s.Files.Value), maxCompared)
	for _, f := range l.changed {
		same = same && listed[f.Filename]
	}
	if !same {
		f := l.s.Files
		l.s.Files = fleet.Unknown[[]fleet.ChangedFile](f.Source, f.At, "GitHub lists the files of another commit; was something pushed just now?")
	}
}

// lockPaths are the changed files that are locks by policy; all locks where the
// changed files are unknown.
func (l *look) lockPaths() []string {
	changed := map[string]bool{}
	for _, f := range l.s.Files.Value {
		changed[f.Path] = true
	}
	var paths []string
	for _, path := range l.s.Policy.Value.Updates.Files {
		if changed[path] || !l.s.Files.Known() {
			paths = append(paths, path)
		}
	}
	return paths
}

func (l *look) readModes(ctx context.Context) {
	head := l.s.Pull.Value.HeadSHA
	modes, err := l.modes(ctx, l.repo, head, l.lockPaths())
	l.s.Modes = reading(l, fmt.Sprintf("GET /repos/%s/git/trees/%.7s", l.repo.FullName(), head), modes, err)
}

func (l *look) readLocks(ctx context.Context) {
	if !l.s.MergeBase.Known() {
		return
	}
	l.s.Locks = each(l, l.lockPaths(), func(path string) fleet.Reading[fleet.LockPair] {
		var pair fleet.LockPair
		var g errgroup.Group
		for _, side := range []struct {
			sha  string
			into *[]byte
		}{{l.s.MergeBase.Value, &pair.Base}, {l.s.Pull.Value.HeadSHA, &pair.Head}} {
			g.Go(func() (err error) {
				*side.into, err = l.content(ctx, l.repo, path, side.sha, maxLock)
				return err
			})
		}
		err := g.Wait()
		return reading(l, fmt.Sprintf("GET /repos/%s/contents/%s", l.repo.FullName(), path), pair, err)
	})
}

func (l *look) readAuthors(ctx context.Context) {
	if !l.s.Policy.Known() {
		return
	}
	known, unknown := map[string]fleet.Actor{}, []string{}
	for _, login := range l.s.Policy.Value.Updates.Authors {
		if a, ok := l.kept.Authors[login]; ok {
			known[login] = a // a name is resolved once: whoever bears it later is somebody else
		} else {
			unknown = append(unknown, login)
		}
	}
	source := "accounts"
	if len(unknown) > 0 {
		source = "GET /users/{login}"
	}
	actors, err := l.actors(ctx, unknown)
	maps.Copy(known, actors)
	l.s.Authors = reading(l, source, known, err)
}

func (l *look) readCommits(ctx context.Context) {
	keys := l.ofLocks(fleet.CommitsToRead)
	l.s.Commits = each(l, keys, func(key string) fleet.Reading[fleet.CommitFacts] {
		facts, source, err := l.commit(ctx, key)
		return reading(l, source, facts, err)
	})
}
