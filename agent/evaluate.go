package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/nixfleet/nixfleet/agentbus"
)

const (
	// evaluatedAtOnce is how many configurations one process of Nix evaluates: they
	// share what they have in common, and Nix gives no memory back before it ends.
	evaluatedAtOnce = 10

	// evaluateErrorBytes keeps a hundred errors within one answer.
	evaluateErrorBytes = 400
)

// waitsForEvaluator is the note of an order whose outcome another host works out.
const waitsForEvaluator = "waits for the evaluator"

// told is what the order itself says about commit: what it comes to, where somebody
// has worked that out, or that somebody else is about to.
func (t *task) told(commit, attr string) (path string, waits bool) {
	o := t.order
	if o.Expected != "" && o.Commit == commit && o.Attr == attr {
		if p, err := storePath(o.Expected); err == nil {
			return p, false
		}
	}
	return "", o.NoEval
}

// noteTold takes what the order says about commit in place of an evaluation, and
// reports whether it says anything.
func (t *task) noteTold(commit, attr string) (told bool, err error) {
	path, waits := t.told(commit, attr)
	if path == "" && !waits {
		return false, nil
	}
	return true, t.notes.update(func(n *notes) {
		n.failed(errEvaluate, nil) // it was another commit's
		if path != "" {
			n.Expected = evaluated{Commit: commit, Attr: attr, Path: path}
		}
	})
}

// evaluateOthers evaluates what the order names, for other hosts. What one attribute
// comes to says nothing about the next: each has a path or an error of its own.
func (t *task) evaluateOthers(ctx context.Context, c checkout) (note string, err error) {
	o := t.order
	if len(o.Evaluate) == 0 {
		return "", nil
	}
	if err := t.onBranch(ctx, c); err != nil {
		return "", err
	}
	if _, err := exec.LookPath(t.cfg.Nix.program("nix")); err != nil {
		return "", failed(agentbus.StepBuilding, "no_nix", err) // which is no fault of any configuration
	}
	if err := t.begin(agentbus.StepBuilding, fmt.Sprintf("evaluating %d configurations", len(o.Evaluate))); err != nil {
		return "", err
	}
	// Nix asks for the HEAD of a repository, which the own checkout may not have yet.
	away, err := c.throwAway(ctx, statePath(t.cfg.StateDir, throwAwayDir), o.Commit)
	defer func() { _ = os.RemoveAll(away.dir) }()
	if err != nil && ctx.Err() == nil {
		return "", failed(agentbus.StepBuilding, "checkout_failed", err)
	}
	done := t.evaluations.of(o.ID)
	for set, attrs := range bySet(o.Evaluate, done) {
		for chunk := range slices.Chunk(attrs, evaluatedAtOnce) {
			got := t.builder().evaluateChunk(ctx, away.dir, o.Commit, set, chunk, or(o.Policy.BuildTimeout.Duration(), defaultBuildTimeout))
			if ctx.Err() != nil {
				return "", ctx.Err()
			}
			for _, e := range got {
				done[e.Attr] = e
			}
		}
	}
	bad := 0
	for _, attr := range o.Evaluate {
		t.final.Evaluated = append(t.final.Evaluated, done[attr])
		if done[attr].Error != "" {
			bad++
		}
	}
	note = fmt.Sprintf("%d configurations evaluated", len(o.Evaluate)-bad)
	if bad > 0 {
		note += fmt.Sprintf(", %d do not evaluate", bad)
	}
	return note, nil
}

// evaluations are what an order to evaluate has come to so far: where another order
// goes first, nothing is evaluated twice.
type evaluations struct {
	order string
	done  map[string]agentbus.Evaluated
}

// of is what order has come to, for this agent process.
func (e *evaluations) of(order string) map[string]agentbus.Evaluated {
	if e.order != order {
		e.order, e.done = order, map[string]agentbus.Evaluated{}
	}
	return e.done
}

// bySet sorts the attributes that are not done by the output of the flake that they
// are in.
func bySet(attrs []string, done map[string]agentbus.Evaluated) map[string][]string {
	sets := map[string][]string{}
	for _, attr := range attrs {
		if _, ok := done[attr]; ok {
			continue
		}
		set, _, _ := strings.Cut(attr, ".")
		sets[set] = append(sets[set], attr)
	}
	return sets
}

// evaluateChunk evaluates attrs, all of one output of the flake, by one process; where
// that fails, by one for each, so that one broken configuration hides no other.
func (b builder) evaluateChunk(ctx context.Context, dir, commit, set string, attrs []string, timeout time.Duration) []agentbus.Evaluated {
	paths, err := b.evaluateTogether(ctx, dir, commit, set, attrs, timeout)
	out := make([]agentbus.Evaluated, 0, len(attrs))
	for i, attr := range attrs {
		e := agentbus.Evaluated{Attr: attr}
		if err == nil {
			e.Path = paths[i]
		} else {
			e.Path, e.Error = b.evaluateAlone(ctx, dir, commit, attr, timeout)
		}
		out = append(out, e)
	}
	return out
}

// evaluateTogether is the paths of attrs, in their order.
func (b builder) evaluateTogether(ctx context.Context, dir, commit, set string, attrs []string, timeout time.Duration) ([]string, error) {
	if len(attrs) == 1 {
		return nil, errors.New("one is evaluated alone")
	}
	var list strings.Builder
	for _, attr := range attrs {
		inst, err := installable(attr)
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(&list, " s%s.outPath", strings.TrimPrefix(inst, set))
	}
	u := url.URL{Scheme: "git+file", Path: dir, RawQuery: "rev=" + commit}
	res, err := b.run(ctx, timeout, "eval", "--json", u.String()+"#"+set, "--apply", "s: ["+list.String()+" ]")
	if err != nil {
		return nil, err
	}
	var paths []string
	if err := json.Unmarshal(res.stdout, &paths); err != nil {
		return nil, err
	}
	if len(paths) != len(attrs) {
		return nil, fmt.Errorf("nix reported %d paths for %d configurations", len(paths), len(attrs))
	}
	for _, p := range paths {
		if _, err := storePath(p); err != nil {
			return nil, err
		}
	}
	return paths, nil
}

// evaluateAlone is one attribute's path, or in words why it has none.
func (b builder) evaluateAlone(ctx context.Context, dir, commit, attr string, timeout time.Duration) (path, failure string) {
	ref, err := flakeRef(dir, commit, attr)
	if err == nil {
		path, err = b.evaluate(ctx, ref, timeout)
	}
	if err != nil {
		return "", clip(printable([]byte(err.Error())), evaluateErrorBytes)
	}
	return path, ""
}

// checkEvaluate says why what an order asks to be evaluated is not acceptable, or nil.
func checkEvaluate(o agentbus.Order) *agentbus.StepError {
	if len(o.Evaluate) == 0 {
		return nil
	}
	switch {
	case o.Kind != agentbus.KindRefresh:
		return refusal(agentbus.RefusedMalformed, "a %s order evaluates for no other host", o.Kind)
	case !commitPattern.MatchString(o.Commit) || o.Repo == "" || o.Branch == "":
		return refusal(agentbus.RefusedMalformed, "an order to evaluate names a repository, a branch and a commit; this one does not")
	case len(o.Evaluate) > agentbus.MaxEvaluated:
		return refusal(agentbus.RefusedMalformed, "it asks for %d evaluations, and at most %d are taken at once", len(o.Evaluate), agentbus.MaxEvaluated)
	}
	for _, attr := range o.Evaluate {
		if _, err := installable(attr); err != nil {
			return refusal(agentbus.RefusedMalformed, "%v", err)
		}
	}
	return nil
}
