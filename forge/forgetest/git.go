package forgetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"time"
)

// gitTimeout bounds one git command on a local repository.
const gitTimeout = 2 * time.Minute

// gitDir is a bare repository.
type gitDir string

type ident struct {
	name, email string
	at          time.Time
}

// gitEnv isolates git from the configuration of whoever runs the tests.
func gitEnv() []string {
	env := []string{
		"GIT_CONFIG_GLOBAL=" + os.DevNull, "GIT_CONFIG_SYSTEM=" + os.DevNull, "GIT_CONFIG_NOSYSTEM=1",
		"GIT_TERMINAL_PROMPT=0", "LC_ALL=C", "HOME=" + os.TempDir(),
		// Nobody needs the imitation's repositories after a power cut.
		"GIT_CONFIG_COUNT=2", "GIT_CONFIG_KEY_0=safe.directory", "GIT_CONFIG_VALUE_0=*",
		"GIT_CONFIG_KEY_1=core.fsync", "GIT_CONFIG_VALUE_1=none",
	}
	return append(env, "PATH="+os.Getenv("PATH"))
}

// gitError keeps the exit code, which some commands use as an answer.
type gitError struct {
	args   []string
	code   int
	stderr string
}

func (e *gitError) Error() string {
	return fmt.Sprintf("git %s: exit %d: %s", e.args[0], e.code, strings.TrimSpace(e.stderr))
}

func exitCode(err error) int {
	var g *gitError
	if errors.As(err, &g) {
		return g.code
	}
	return -1
}

func (g gitDir) exec(stdin []byte, env []string, args ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), gitTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.Dir = string(g)
	cmd.Env = append(gitEnv(), env...)
	cmd.Stdin = bytes.NewReader(stdin)
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	if err := cmd.Run(); err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			return out.Bytes(), &gitError{args, exit.ExitCode(), errOut.String()}
		}
		return nil, fmt.Errorf("git %s: %w", args[0], err)
	}
	return out.Bytes(), nil
}

// run runs a command that needs nothing but its arguments. What is said of objects
// by their full names can never change, so it is asked once: processes are most of
// what the imitation takes.
func (g gitDir) run(args ...string) ([]byte, error) {
	if !timeless(args) {
		return g.exec(nil, nil, args...)
	}
	key := string(g) + "\x00" + strings.Join(args, "\x00")
	if known, ok := answers.get(key); ok {
		return known, nil
	}
	out, err := g.exec(nil, nil, args...)
	if err == nil {
		answers.set(key, out)
	}
	return out, err
}

var objectPattern = regexp.MustCompile(`^[0-9a-f]{40}(\.\.[0-9a-f]{40}|\^\{(commit|tree)\})?$`)

// timeless reports whether a command only reads objects that are named in full.
func timeless(args []string) bool {
	switch args[0] {
	case "cat-file", "diff", "diff-tree", "log", "ls-tree", "merge-base", "rev-list", "rev-parse":
	default:
		return false
	}
	named := 0
	for _, a := range args[1:] {
		switch {
		case a == "--":
			return named > 0 // paths follow
		case strings.HasPrefix(a, "-"), args[0] == "cat-file" && a == "blob":
		case objectPattern.MatchString(a):
			named++
		default:
			return false
		}
	}
	return named > 0
}

// memo remembers answers of git, up to some memory.
type memo struct {
	mu   sync.Mutex
	size int
	of   map[string][]byte
}

const memoSize = 32 << 20 // bytes

var answers = memo{of: map[string][]byte{}}

func (m *memo) get(key string) ([]byte, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	v, ok := m.of[key]
	return bytes.Clone(v), ok
}

func (m *memo) set(key string, v []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.size += len(key) + len(v); m.size > memoSize {
		clear(m.of)
		m.size = len(key) + len(v)
	}
	m.of[key] = bytes.Clone(v)
}

func (g gitDir) line(args ...string) (string, error) {
	out, err := g.run(args...)
	return strings.TrimSpace(string(out)), err
}

func initGit(dir, branch string) (gitDir, error) {
	if _, err := gitDir("").run("init", "-q", "--bare", "-b", branch, dir); err != nil {
		return "", err
	}
	g := gitDir(dir)
	f, err := os.OpenFile(filepath.Join(dir, "config"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return "", err
	}
	_, err = f.WriteString(gitConfig)
	return g, errors.Join(err, f.Close())
}

// gitConfig is written at once: a process for each line would take longer than the
// whole rest. Like github.com: any object may be fetched by SHA, also those that
// only a fork has, and those hidden refs are not advertised.
const gitConfig = `
[uploadpack]
	allowAnySHA1InWant = true
	allowFilter = true
[http]
	receivepack = false
[transfer]
	hideRefs = refs/network
[gc]
	auto = 0
`

var (
	shaPattern = regexp.MustCompile(`^[0-9a-f]{40}$`)
	shortSHA   = regexp.MustCompile(`^[0-9a-f]{7,39}$`)
	refPattern = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_./+@-]*$`)
)

// resolve finds the commit that a ref of the API means: a SHA or its beginning, a
// branch, a tag, or "heads/x".
func (g gitDir) resolve(ref string) (string, bool) {
	candidates := []string{"refs/heads/" + ref, "refs/tags/" + ref, "refs/" + strings.TrimPrefix(ref, "refs/")}
	if shaPattern.MatchString(ref) {
		candidates = []string{ref}
	} else if !refPattern.MatchString(ref) || strings.Contains(ref, "..") {
		return "", false
	}
	if shortSHA.MatchString(ref) {
		candidates = append(candidates, ref)
	}
	for _, c := range candidates {
		if sha, err := g.line("rev-parse", "--verify", "--quiet", c+"^{commit}"); err == nil {
			return sha, true
		}
	}
	return "", false
}

// tip is the commit of a branch, or "".
func (g gitDir) tip(branch string) string {
	sha, err := g.line("rev-parse", "--verify", "--quiet", "refs/heads/"+branch+"^{commit}")
	if err != nil {
		return ""
	}
	return sha
}

type commit struct {
	sha, tree, message string
	parents            []string
	author, committer  ident
}

func (c commit) title() string {
	title, _, _ := strings.Cut(c.message, "\n")
	return title
}

const logFormat = "--format=%H%x00%T%x00%P%x00%an%x00%ae%x00%aI%x00%cn%x00%ce%x00%cI%x00%B%x1e"

// log reads commits; args select them as for git log.
func (g gitDir) log(args ...string) ([]commit, error) {
	out, err := g.run(append([]string{"log", "--no-show-signature", logFormat}, args...)...)
	if err != nil {
		return nil, err
	}
	var commits []commit
	for record := range strings.SplitSeq(string(out), "\x1e") {
		f := strings.SplitN(strings.TrimLeft(record, "\n"), "\x00", 10)
		if len(f) != 10 {
			continue
		}
		c := commit{sha: f[0], tree: f[1], message: strings.TrimRight(f[9], "\n"), parents: strings.Fields(f[2])}
		c.author = ident{f[3], f[4], parseTime(f[5])}
		c.committer = ident{f[6], f[7], parseTime(f[8])}
		commits = append(commits, c)
	}
	return commits, nil
}

func (g gitDir) commit(sha string) (commit, error) {
	list, err := g.log("-1", sha)
	if err != nil {
		return commit{}, err
	}
	if len(list) != 1 {
		return commit{}, fmt.Errorf("git log: no commit %s", sha)
	}
	return list[0], nil
}

func parseTime(s string) time.Time {
	t, _ := time.Parse(time.RFC3339, s) // git prints strict ISO 8601
	return t.UTC()
}

// newCommit describes a commit object to write.
type newCommit struct {
	tree, message     string
	parents           []string
	author, committer ident
}

func (g gitDir) commitTree(c newCommit) (string, error) {
	args := []string{"commit-tree", c.tree, "-F", "-"}
	for _, p := range c.parents {
		args = append(args, "-p", p)
	}
	date := func(t time.Time) string { return fmt.Sprintf("%d +0000", t.Unix()) }
	out, err := g.exec([]byte(c.message), []string{
		"GIT_AUTHOR_NAME=" + c.author.name, "GIT_AUTHOR_EMAIL=" + c.author.email, "GIT_AUTHOR_DATE=" + date(c.author.at),
		"GIT_COMMITTER_NAME=" + c.committer.name, "GIT_COMMITTER_EMAIL=" + c.committer.email, "GIT_COMMITTER_DATE=" + date(c.committer.at),
	}, args...)
	return strings.TrimSpace(string(out)), err
}

func (g gitDir) isAncestor(a, b string) bool {
	_, err := g.run("merge-base", "--is-ancestor", a, b)
	return err == nil
}
