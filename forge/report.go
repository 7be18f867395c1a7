package forge

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/nixfleet/nixfleet/fleet"
)

const (
	// Marker is the first line of our comment; nobody sees it.
	Marker = "<!-- nixfleet:update -->"

	// maxComment is GitHub's limit for the body of a comment, in characters; bytes
	// are never fewer.
	maxComment = 65536

	// commentPages bounds the search for our comment.
	commentPages = 30
)

type commentPayload struct {
	ID   int64  `json:"id"`
	Body string `json:"body"`
	Via  *struct {
		ID int64 `json:"id"`
	} `json:"performed_via_github_app"`
}

// by reports whether the comment is the one of this App. Anybody can write the
// marker, and another App may run NixFleet, too.
func (c commentPayload) by(app int64) bool {
	return c.Via != nil && c.Via.ID == app && strings.HasPrefix(c.Body, Marker)
}

// UpsertComment writes the one comment of an update and returns its id. With id 0
// it looks for ours first, because the answer to an earlier attempt may have been
// lost; a comment that somebody deleted is written again.
func (f *Forge) UpsertComment(ctx context.Context, repo fleet.Repo, number int, id int64, body string) (int64, error) {
	op := fmt.Sprintf("write comment on pull request %d of %s", number, repo.FullName())
	c, err := f.as(ctx, talker, repo)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", op, err)
	}
	if !strings.HasPrefix(body, Marker) {
		body = Marker + "\n" + body
	}
	in := map[string]string{"body": cut(body, maxComment)}
	edit := func() (gone bool, err error) {
		_, err = c.write(ctx, repo, call{op: op, method: http.MethodPatch, in: in}, fmt.Sprintf("/issues/comments/%d", id))
		return codeOf(err) == http.StatusNotFound, err
	}
	if id != 0 {
		if gone, err := edit(); !gone {
			return id, err
		}
	}
	if id, err = f.ownComment(ctx, c, repo, number); err != nil {
		return 0, fmt.Errorf("%s: %w", op, err)
	}
	if id != 0 {
		_, err := edit()
		return id, err
	}
	a, err := c.write(ctx, repo, call{op: op, method: http.MethodPost, in: in}, fmt.Sprintf("/issues/%d/comments", number))
	if err != nil {
		return 0, err
	}
	var made commentPayload
	return made.ID, decodeID(op, a, &made, &made.ID)
}

// ownComment finds the oldest comment that is ours.
func (f *Forge) ownComment(ctx context.Context, c *client, repo fleet.Repo, number int) (int64, error) {
	path, err := repoPath(repo, fmt.Sprintf("/issues/%d/comments", number))
	if err != nil {
		return 0, err
	}
	lists, err := pages[[]commentPayload](ctx, c, "list comments", path, commentPages)
	if err != nil {
		return 0, err
	}
	for _, comment := range slices.Concat(lists...) {
		if comment.by(f.config.AppID) {
			return comment.ID, nil
		}
	}
	return 0, nil
}

// decodeID decodes what was made, which must have an id.
func decodeID(op string, a answer, v any, id *int64) error {
	if err := decode(op, a, v); err != nil {
		return err
	}
	if *id <= 0 {
		return &Error{Op: op, Code: a.code, Message: "something without an id"}
	}
	return nil
}

// Limits of a check run, from GitHub's documentation.
const (
	maxActions     = 3
	maxLabel       = 20
	maxDescription = 40
	maxRunText     = 65535 // of summary and of text
)

// CheckRun is our check run `NixFleet / lock update` at one head SHA.
type CheckRun struct {
	ID          int64 // 0: not made yet for this head SHA
	HeadSHA     string
	Status      string // queued, in_progress or completed
	Conclusion  string // where completed
	Title       string
	Summary     string // Markdown
	Text        string // Markdown
	DetailsURL  string
	CompletedAt time.Time
	Actions     []CheckAction
}

// CheckAction is a button of a check run.
type CheckAction struct {
	Label       string `json:"label"`
	Description string `json:"description"`
	Identifier  string `json:"identifier"`
}

func (r CheckRun) payload() map[string]any {
	p := map[string]any{
		"name":   fleet.CheckRunName,
		"status": r.Status,
		"output": map[string]string{
			"title": cut(r.Title, 255), "summary": cut(r.Summary, maxRunText), "text": cut(r.Text, maxRunText),
		},
		"actions": append([]CheckAction{}, r.Actions[:min(len(r.Actions), maxActions)]...),
	}
	if r.Status == "completed" {
		p["conclusion"] = r.Conclusion
		if !r.CompletedAt.IsZero() {
			p["completed_at"] = r.CompletedAt.UTC().Format(time.RFC3339)
		}
	}
	if u, err := url.Parse(r.DetailsURL); err == nil && u.Host != "" {
		p["details_url"] = r.DetailsURL
	}
	return p
}

// UpsertCheckRun writes our check run and returns its id. With ID 0 it looks for
// ours at the head SHA first, for the same reason as UpsertComment.
func (f *Forge) UpsertCheckRun(ctx context.Context, repo fleet.Repo, r CheckRun) (int64, error) {
	op := fmt.Sprintf("write check run of %s at %.7s", repo.FullName(), r.HeadSHA)
	c, err := f.as(ctx, talker, repo)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", op, err)
	}
	if !isSHA(r.HeadSHA) {
		return 0, fmt.Errorf("%s: no head SHA", op)
	}
	if r.ID == 0 {
		if r.ID, err = f.ownRun(ctx, c, repo, r.HeadSHA); err != nil {
			return 0, fmt.Errorf("%s: %w", op, err)
		}
	}
	body := r.payload()
	if r.ID != 0 {
		_, err = c.write(ctx, repo, call{op: op, method: http.MethodPatch, in: body}, fmt.Sprintf("/check-runs/%d", r.ID))
		if codeOf(err) != http.StatusNotFound {
			return r.ID, err
		}
	}
	body["head_sha"] = r.HeadSHA
	a, err := c.write(ctx, repo, call{op: op, method: http.MethodPost, in: body}, "/check-runs")
	if err != nil {
		return 0, err
	}
	var made runPayload
	return made.ID, decodeID(op, a, &made, &made.ID)
}

func (f *Forge) ownRun(ctx context.Context, c *client, repo fleet.Repo, sha string) (int64, error) {
	runs, err := c.runs(ctx, repo, sha, "&check_name="+url.QueryEscape(fleet.CheckRunName))
	if err != nil {
		return 0, err
	}
	for _, r := range runs {
		if r.App.ID == f.config.AppID && r.Name == fleet.CheckRunName {
			return r.ID, nil
		}
	}
	return 0, nil
}
