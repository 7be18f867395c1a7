package forge

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/nixfleet/nixfleet/fleet"
)

// ErrNoComment says that a comment was deleted, or is none on a pull request.
var ErrNoComment = errors.New("there is no such comment any more")

// SaidComment is a comment as GitHub has it now.
type SaidComment struct {
	By      fleet.Actor
	Body    string
	Created time.Time
	Edited  bool // somebody changed it since it was written
	ViaApp  bool // an App wrote it in somebody's name
}

// ReadComment reads a comment on a pull request.
func (f *Forge) ReadComment(ctx context.Context, repo fleet.Repo, id int64) (SaidComment, error) {
	op := fmt.Sprintf("read comment %d of %s", id, repo.FullName())
	c, err := f.as(ctx, reader, repo)
	if err != nil {
		return SaidComment{}, fmt.Errorf("%s: %w", op, err)
	}
	path, err := repoPath(repo, fmt.Sprintf("/issues/comments/%d", id))
	if err != nil {
		return SaidComment{}, fmt.Errorf("%s: %w", op, err)
	}
	p, err := get[struct {
		ID      int64       `json:"id"`
		Body    string      `json:"body"`
		User    userPayload `json:"user"`
		Created time.Time   `json:"created_at"`
		Updated time.Time   `json:"updated_at"`
		Via     *struct{}   `json:"performed_via_github_app"`
	}](ctx, c, op, path)
	switch {
	case codeOf(err) == http.StatusNotFound, codeOf(err) == http.StatusGone:
		return SaidComment{}, fmt.Errorf("%s: %w", op, ErrNoComment)
	case err != nil:
		return SaidComment{}, err
	case p.ID != id || p.Created.IsZero():
		return SaidComment{}, &Error{Op: op, Code: http.StatusOK, Message: "another comment, or one without a date"}
	}
	return SaidComment{
		By: p.User.domain(), Body: p.Body, Created: p.Created.UTC(), Edited: !p.Updated.Equal(p.Created), ViaApp: p.Via != nil,
	}, nil
}

// React puts a reaction of ours on a comment: "+1", "-1" or "confused". One that is
// there already, or whose comment is gone, is left as it is.
func (f *Forge) React(ctx context.Context, repo fleet.Repo, comment int64, content string) error {
	op := fmt.Sprintf("react to comment %d of %s", comment, repo.FullName())
	c, err := f.as(ctx, talker, repo)
	if err != nil {
		return fmt.Errorf("%s: %w", op, err)
	}
	_, err = c.write(ctx, repo, call{op: op, method: http.MethodPost, in: map[string]string{"content": content}},
		fmt.Sprintf("/issues/comments/%d/reactions", comment))
	if codeOf(err) == http.StatusNotFound || codeOf(err) == http.StatusGone {
		return nil
	}
	return err
}
