package agent

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nixfleet/nixfleet/agentbus"
)

// gitTimeout bounds git commands that need no network.
const gitTimeout = time.Minute

// checkout is the agent's own clone, never the person's.
type checkout struct {
	dir    string
	git    Git
	stream func([]byte)
	tokens *repoTokens // nil where the server gives none
}

func (c checkout) run(ctx context.Context, timeout time.Duration, args ...string) (string, error) {
	out, err := c.raw(ctx, timeout, args...)
	return strings.TrimSpace(string(out)), err
}

func (c checkout) raw(ctx context.Context, timeout time.Duration, args ...string) ([]byte, error) {
	argv := append([]string{
		c.git.Program,
		"-c", "core.hooksPath=/dev/null", // nothing of the repository runs here
		"-c", "core.fsmonitor=false",
		"-c", "core.symlinks=true",
		"-c", "gc.autoDetach=false", // no process of ours stays behind
		"-c", "maintenance.autoDetach=false",
		"-c", "submodule.recurse=false",
		"-c", "advice.detachedHead=false",
	}, args...)
	env := environ(
		"GIT_TERMINAL_PROMPT=0",
		"GIT_ASKPASS=true",
		"GIT_OPTIONAL_LOCKS=0",
		"GIT_ALLOW_PROTOCOL="+strings.Join(c.git.Protocols, ":"),
		"GIT_DIR="+filepath.Join(c.dir, ".git"), // never a repository further up
		"GIT_WORK_TREE="+c.dir,
		"LC_ALL=C",
	)
	if os.Getenv("GIT_SSH_COMMAND") == "" {
		env = append(env, "GIT_SSH_COMMAND=ssh -oBatchMode=yes")
	}
	res, err := run(ctx, command{
		argv: argv, env: append(env, c.git.Env...), dir: c.dir, timeout: timeout, stream: c.stream,
	})
	return res.stdout, err
}

// fetch brings o's branch and makes sure that o's commit is on it. Repeating it
// is harmless.
func (c checkout) fetch(ctx context.Context, o agentbus.Order) error {
	if err := c.prepare(ctx); err != nil {
		return err
	}
	timeout := or(o.Policy.FetchTimeout.Duration(), defaultFetchTimeout)
	fetch := func(c checkout) error {
		_, err := c.run(ctx, timeout, "fetch", "--quiet", "--no-tags", "--no-recurse-submodules", "--force",
			"--", o.Repo, "refs/heads/"+o.Branch+":"+remoteRef(o.Branch))
		return err
	}
	err := fetch(c) // with what the host already has
	if err != nil && c.tokens != nil && needsToken(o.Repo, err) {
		err = c.fetchWithToken(ctx, o.Repo, fetch, err)
	}
	if err != nil {
		return fmt.Errorf("fetch branch %s: %w", o.Branch, err)
	}
	return nil
}

// fetchWithToken fetches again with a token of the server's.
func (c checkout) fetchWithToken(ctx context.Context, url string, fetch func(checkout) error, without error) error {
	token, err := c.tokens.get(ctx, url)
	if err != nil {
		return fmt.Errorf("%w (and the server gave no token: %w)", without, err)
	}
	c.git.Env = slices.Concat(c.git.Env, withToken(url, token))
	if err = fetch(c); err != nil && needsToken(url, err) {
		c.tokens.forget()
	}
	return err
}

func remoteRef(branch string) string { return "refs/remotes/origin/" + branch }

// prepare makes the clone, also over one that an earlier crash left half made.
func (c checkout) prepare(ctx context.Context) error {
	if err := os.MkdirAll(c.dir, 0o700); err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(c.dir, ".git", "HEAD")); errors.Is(err, fs.ErrNotExist) {
		if _, err := c.run(ctx, gitTimeout, "init", "--quiet"); err != nil {
			return fmt.Errorf("make the checkout: %w", err)
		}
	}
	// Only this agent works here and holds the state directory's lock, so lock
	// files are left over from a git that was killed.
	for _, pattern := range []string{"*.lock", "refs/remotes/origin/*.lock"} {
		left, _ := filepath.Glob(filepath.Join(c.dir, ".git", pattern))
		for _, lock := range left {
			_ = os.Remove(lock)
		}
	}
	return nil
}

// at brings the working tree to commit.
func (c checkout) at(ctx context.Context, commit string) error {
	_, err := c.run(ctx, gitTimeout, "checkout", "--quiet", "--detach", "--force", commit, "--")
	if err != nil {
		return fmt.Errorf("check out %s: %w", commit, err)
	}
	return nil
}

// has reports whether the commit's objects are here.
func (c checkout) has(ctx context.Context, commit string) bool {
	_, err := c.run(ctx, gitTimeout, "cat-file", "-e", commit+"^{commit}")
	return err == nil
}

// isAncestor reports whether old is new or one of its ancestors. An error means
// that git could not tell.
func (c checkout) isAncestor(ctx context.Context, old, new string) (bool, error) {
	_, err := c.run(ctx, gitTimeout, "merge-base", "--is-ancestor", old, new)
	if exitCode(err) == 1 {
		return false, nil
	}
	return err == nil, err
}

// head is the commit of the checkout, or "" before there is one.
func (c checkout) head(ctx context.Context) string {
	out, err := c.run(ctx, gitTimeout, "rev-parse", "--verify", "--quiet", "HEAD^{commit}")
	if err != nil || !commitPattern.MatchString(out) {
		return ""
	}
	return out
}

// gitFacts is what the Git compartment needs.
type gitFacts struct {
	Checkout string `json:"checkout,omitempty"`
	Remote   string `json:"remote,omitempty"`
	Behind   int    `json:"behind,omitempty"`
	Ahead    int    `json:"ahead,omitempty"`
}

// observe asks git where the checkout is and how far the branch as last fetched
// is from it.
func (c checkout) observe(ctx context.Context, branch string) gitFacts {
	f := gitFacts{Checkout: c.head(ctx)}
	if branch == "" {
		return f
	}
	out, err := c.run(ctx, gitTimeout, "rev-parse", "--verify", "--quiet", remoteRef(branch)+"^{commit}")
	if err != nil {
		return f
	}
	f.Remote = out
	if f.Checkout == "" {
		return f
	}
	out, err = c.run(ctx, gitTimeout, "rev-list", "--left-right", "--count", f.Checkout+"..."+f.Remote)
	if ahead, behind, ok := strings.Cut(out, "\t"); err == nil && ok {
		f.Ahead, _ = strconv.Atoi(ahead)
		f.Behind, _ = strconv.Atoi(behind)
	}
	return f
}

// errNoFile says that a commit has no such file.
var errNoFile = errors.New("no such file")

// lock is the flake.lock of commit; nil where the flake has none.
func (c checkout) lock(ctx context.Context, commit string) ([]byte, error) {
	data, err := c.blob(ctx, commit, "flake.lock")
	if errors.Is(err, errNoFile) {
		return nil, nil // a flake without inputs has no lock
	}
	return data, err
}

// blob is a file of commit.
func (c checkout) blob(ctx context.Context, commit, file string) ([]byte, error) {
	size, err := c.run(ctx, gitTimeout, "cat-file", "-s", commit+":"+file)
	if err != nil {
		return nil, fmt.Errorf("%s in commit %s: %w", file, commit, errNoFile)
	}
	if n, err := strconv.Atoi(size); err != nil || n >= stdoutBytes {
		return nil, fmt.Errorf("%s of %s is larger than %d bytes", file, commit, stdoutBytes)
	}
	return c.raw(ctx, gitTimeout, "cat-file", "blob", commit+":"+file)
}
