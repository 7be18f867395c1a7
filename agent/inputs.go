package agent

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nixfleet/nixfleet/agentbus"
)

const (
	inputsTimeout = 30 * time.Minute // to fetch all new inputs
	maxInputs     = 200
)

// inputPattern is a name of an input of flake.nix; it holds nothing that a command
// line would read as an option.
var inputPattern = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_'+.-]{0,99}$`)

// updateInputs makes a newer lock in a throw-away checkout and sends it back. The
// agent's own checkout stays as it is, and nothing is pushed: this host has nothing
// to push with.
func (t *task) updateInputs(ctx context.Context) (note string, err error) {
	if err := t.begin(agentbus.StepFetching, ""); err != nil {
		return "", err
	}
	c := t.checkout()
	t.log.printf("fetching branch %s for commit %s", t.order.Branch, t.order.Commit)
	err = t.fetch(ctx, c)
	if ctx.Err() != nil {
		return "", ctx.Err()
	}
	if noteErr := t.notes.update(func(n *notes) { n.failed(errFetch, err) }); noteErr != nil || err != nil {
		return "", errors.Join(noteErr, err)
	}
	if err := t.begin(agentbus.StepBuilding, "updating inputs"); err != nil {
		return "", err
	}
	note, err = t.updateLock(ctx, c)
	if ctx.Err() != nil {
		return "", ctx.Err()
	}
	return note, err
}

// updateLock puts the new lock into t.final.Lock. What speaks against it is a *stepError.
func (t *task) updateLock(ctx context.Context, c checkout) (note string, err error) {
	file := or(t.order.LockFile, "flake.lock")
	before, err := c.blob(ctx, t.order.Commit, file)
	if err != nil {
		return "", failed(agentbus.StepBuilding, "no_lock", err)
	}
	was, err := summarizeLock(before)
	if err != nil {
		return "", failed(agentbus.StepBuilding, "no_lock", err)
	}
	if err := knownInputs(was, t.order.Inputs); err != nil {
		return "", failed(agentbus.StepBuilding, "unknown_input", err)
	}
	away, err := c.throwAway(ctx, statePath(t.cfg.StateDir, throwAwayDir), t.order.Commit)
	defer func() { _ = os.RemoveAll(away.dir) }()
	if err != nil {
		return "", failed(agentbus.StepBuilding, "checkout_failed", err)
	}
	if _, err := away.plain(file); err != nil {
		return "", failed(agentbus.StepBuilding, "no_lock", err)
	}
	timeout := or(t.order.Policy.BuildTimeout.Duration(), inputsTimeout)
	if err := t.builder().updateInputs(ctx, filepath.Join(away.dir, filepath.FromSlash(path.Dir(file))), t.order.Inputs, timeout); err != nil {
		return "", failed(agentbus.StepBuilding, "update_failed", err)
	}
	changed, err := away.changed(ctx)
	switch {
	case err != nil:
		return "", failed(agentbus.StepBuilding, "checkout_failed", err)
	case len(changed) == 0:
		return "all inputs are current", nil
	case len(changed) > 1 || changed[0] != file:
		return "", failed(agentbus.StepBuilding, "more_changed",
			fmt.Errorf("nix was to change %s alone, and changed %s", file, clip(printable([]byte(strings.Join(changed, ", "))), 300)))
	}
	after, err := away.plain(file)
	if err != nil {
		return "", failed(agentbus.StepBuilding, "lock_unreadable", err)
	}
	if t.final.Lock, err = pack(after); err != nil {
		t.final.Lock = nil
		return "", failed(agentbus.StepBuilding, "lock_too_large", err)
	}
	return "updated " + strings.Join(newInputs(was, after), ", "), nil
}

// knownInputs says which of the inputs that were asked for the lock does not have: Nix
// would only warn, and update nothing.
func knownInputs(lock *agentbus.LockSummary, asked []string) error {
	var names []string
	for _, in := range lock.Inputs {
		names = append(names, in.Name)
	}
	if len(names) == maxLockInputs {
		return nil // there may be more
	}
	for _, name := range asked {
		if !slices.Contains(names, name) {
			return fmt.Errorf("the lock has no input %q of the flake itself; there are: %s", name, clip(strings.Join(names, ", "), 400))
		}
	}
	return nil
}

// newInputs names the root inputs that differ, or says that others do.
func newInputs(was *agentbus.LockSummary, after []byte) []string {
	var names []string
	if is, err := summarizeLock(after); err == nil {
		for _, in := range is.Inputs {
			if !slices.Contains(was.Inputs, in) {
				names = append(names, clip(in.Name, 60))
			}
		}
	}
	if len(names) == 0 {
		return []string{"inputs of inputs"}
	}
	return names
}

// pack compresses a lock for its way in an answer.
func pack(lock []byte) ([]byte, error) {
	var b bytes.Buffer
	w, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	if _, err = w.Write(lock); err == nil {
		err = w.Close()
	}
	if err == nil && b.Len() > agentbus.MaxLock {
		err = fmt.Errorf("the new lock has %d bytes, %d when packed; an answer takes %d", len(lock), b.Len(), agentbus.MaxLock)
	}
	return b.Bytes(), err
}

// updateInputs runs Nix on the flake in dir. What the flake says about Nix's settings
// is not heeded.
func (b builder) updateInputs(ctx context.Context, dir string, inputs []string, timeout time.Duration) error {
	words := []string{"flake", "update"}
	if len(inputs) > 0 {
		named, err := b.updateTakesNames(ctx)
		if err != nil {
			return err
		}
		if named {
			words = append(words, inputs...)
		} else {
			words = []string{"flake", "lock"}
			for _, in := range inputs {
				words = append(words, "--update-input", in)
			}
		}
	}
	argv := append(niced(), b.nix.program("nix"), "--extra-experimental-features", "nix-command flakes",
		"--option", "accept-flake-config", "false")
	argv = append(append(argv, b.nix.Args...), words...)
	_, err := run(ctx, command{argv: argv, env: environ(b.nix.Env...), dir: dir, timeout: timeout, stream: b.stream})
	if err != nil {
		return fmt.Errorf("update inputs: %w", err)
	}
	return nil
}

// nixVersion finds the version of Nix, and of Lix, in what they print.
var nixVersion = regexp.MustCompile(`\b(\d+)\.(\d+)(?:\.\d+\S*|pre\S*)?\s*$`)

// updateTakesNames reports whether `nix flake update` takes names of inputs, as it does
// from 2.19 on; before, its argument is a flake.
func (b builder) updateTakesNames(ctx context.Context) (bool, error) {
	res, err := run(ctx, command{argv: []string{b.nix.program("nix"), "--version"}, env: environ(b.nix.Env...), dir: "/", timeout: gitTimeout})
	if err != nil {
		return false, err
	}
	return takesNames(string(res.stdout))
}

func takesNames(version string) (bool, error) {
	m := nixVersion.FindStringSubmatch(strings.TrimSpace(version))
	if m == nil {
		return false, fmt.Errorf("nix calls itself %q, which is no version", clip(printable([]byte(version)), 80))
	}
	major, _ := strconv.Atoi(m[1])
	minor, _ := strconv.Atoi(m[2])
	return major > 2 || major == 2 && minor >= 19, nil
}

// checkInputs says why what an order asks to be updated is not acceptable, or nil.
func checkInputs(o agentbus.Order) *agentbus.StepError {
	if o.Kind != agentbus.KindUpdateInputs {
		return nil
	}
	if len(o.Inputs) > maxInputs {
		return refusal(agentbus.RefusedMalformed, "it names %d inputs, and at most %d are taken", len(o.Inputs), maxInputs)
	}
	for _, in := range o.Inputs {
		if !inputPattern.MatchString(in) {
			return refusal(agentbus.RefusedMalformed, "%q is no name of an input of flake.nix", clip(in, 60))
		}
	}
	if !plainPath(or(o.LockFile, "flake.lock")) {
		return refusal(agentbus.RefusedMalformed, "%q is no path of a lock file in a repository", clip(o.LockFile, 100))
	}
	return nil
}

// plainPath reports whether p stays within the repository, and out of git's own files.
func plainPath(p string) bool {
	return len(p) <= 1000 && filepath.IsLocal(p) && path.Clean(p) == p && p != "." && !strings.HasPrefix(p, "-") &&
		!strings.ContainsFunc(p, func(r rune) bool { return r < ' ' || r == '\\' || r == ':' || r == 0x7f }) &&
		!slices.ContainsFunc(strings.Split(p, "/"), func(part string) bool { return strings.EqualFold(part, ".git") })
}
