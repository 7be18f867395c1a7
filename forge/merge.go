package forge

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/nixfleet/nixfleet/fleet"
)

// MergeOutcome is how a merge ended.
type MergeOutcome string

// The outcomes of a merge.
const (
	Merged         MergeOutcome = "merged"       // SHA is the commit
	MergeHeadMoved MergeOutcome = "head_moved"   // the head SHA is another by now
	MergeRefused   MergeOutcome = "refused"      // Class says what helps, Message is GitHub's
	MergeAmbiguous MergeOutcome = "ambiguous"    // it may have happened: read the pull request first
	MergeLimited   MergeOutcome = "rate_limited" // not done; not before Until
)

// RefusalClass says what helps against a refusal.
type RefusalClass string

// The classes of refusals.
const (
	RefusalRetry    RefusalClass = "retry"    // ask again soon
	RefusalWait     RefusalClass = "wait"     // something has to change first; events tell
	RefusalTerminal RefusalClass = "terminal" // a person has to change settings or rights
)

// MergeResult is what became of a merge.
type MergeResult struct {
	Outcome MergeOutcome
	SHA     string       // of the merge commit
	Class   RefusalClass // of a refusal
	Message string       // verbatim, for people
	Until   time.Time    // of a rate limit
}

// Merge asks for the merge of exactly o.HeadSHA. An error means that the call was
// never sent. Anything that leaves open whether it took effect is MergeAmbiguous.
func (f *Forge) Merge(ctx context.Context, repo fleet.Repo, number int, o fleet.MergeOrder) (MergeResult, error) {
	op := fmt.Sprintf("merge pull request %d of %s at %.7s", number, repo.FullName(), o.HeadSHA)
	if !isSHA(o.HeadSHA) {
		return MergeResult{}, fmt.Errorf("%s: no head SHA to pin it to", op)
	}
	c, err := f.as(ctx, merger, repo)
	if err != nil {
		return MergeResult{}, fmt.Errorf("%s: %w", op, err)
	}
	a, err := c.write(ctx, repo, call{op: op, method: http.MethodPut, urgent: true, in: map[string]string{
		"sha":            o.HeadSHA,
		"merge_method":   o.Method,
		"commit_title":   o.Title,
		"commit_message": o.Message,
	}}, fmt.Sprintf("/pulls/%d/merge", number))
	if err != nil {
		return failedMerge(err)
	}
	var done struct {
		SHA    string `json:"sha"`
		Merged bool   `json:"merged"`
	}
	if a.code != http.StatusOK || json.Unmarshal(a.body, &done) != nil || !done.Merged || !isSHA(done.SHA) {
		return MergeResult{Outcome: MergeAmbiguous, Message: "GitHub's answer to the merge can't be understood"}, nil
	}
	return MergeResult{Outcome: Merged, SHA: done.SHA}, nil
}

// failedMerge tells apart what surely did not happen from what may have.
func failedMerge(err error) (MergeResult, error) {
	if limited, ok := errors.AsType[*RateLimited](err); ok {
		return MergeResult{Outcome: MergeLimited, Message: limited.plain(), Until: limited.Until}, nil
	}
	if _, ok := errors.AsType[*notSent](err); ok || errors.Is(err, ErrInstallationGone) {
		return MergeResult{}, err
	}
	e, ok := errors.AsType[*Error](err)
	if !ok || e.Code == 0 || e.Code >= 500 {
		return MergeResult{Outcome: MergeAmbiguous, Message: plain(err)}, nil
	}
	refused := MergeResult{Outcome: MergeRefused, Message: e.Message}
	switch e.Code {
	case http.StatusConflict:
		return MergeResult{Outcome: MergeHeadMoved, Message: e.Message}, nil
	case http.StatusMethodNotAllowed:
		refused.Class = classify(e.Message)
	case http.StatusUnauthorized: // the token was taken back; the next one may do
		refused.Class = RefusalRetry
	default: // 403, 404, 422: rights, existence or what we asked for
		refused.Class = RefusalTerminal
	}
	return refused, nil
}

// refusals are GitHub's known words for 405, in lower case. GitHub has no codes
// for them. What is not known waits for a change, and is shown verbatim.
var refusals = []struct {
	text  string
	class RefusalClass
}{
	{"base branch was modified", RefusalRetry},
	{"merge already in progress", RefusalRetry},
	{"try the merge again", RefusalRetry},
	{"try again later", RefusalRetry},
	{"merge queue", RefusalTerminal},
	{"merge commits are not allowed", RefusalTerminal},
	{"squash merges are not allowed", RefusalTerminal},
	{"rebase merges are not allowed", RefusalTerminal},
	{"not authorized to push", RefusalTerminal},
	{"required status check", RefusalWait},
	{"approving review", RefusalWait},
	{"code owner", RefusalWait},
	{"approval from someone other than the last pusher", RefusalWait},
	{"rule violations", RefusalWait},
	{"not mergeable", RefusalWait},
	{"merge conflict", RefusalWait},
	{"draft", RefusalWait},
}

func classify(message string) RefusalClass {
	message = strings.ToLower(message)
	for _, r := range refusals {
		if strings.Contains(message, r.text) {
			return r.class
		}
	}
	return RefusalWait
}
