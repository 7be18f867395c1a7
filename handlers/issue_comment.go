package handlers

import (
	"errors"

	"github.com/nixfleet/nixfleet/fleet"
)

// issueComment serves issue_comment. Only new comments of people on pull requests
// count, and of these only commands: an edited comment could turn an old discussion into a command, and our
// own and other Apps' comments would be echoes.
func issueComment(event string, _ int64, payload []byte) ([]fleet.Fact, error) {
	var p struct {
		payloadHead
		Issue struct {
			Number      int       `json:"number"`
			PullRequest *struct{} `json:"pull_request"`
		} `json:"issue"`
		Comment struct {
			ID   int64     `json:"id"`
			Body string    `json:"body"`
			User userPart  `json:"user"`
			Via  *struct{} `json:"performed_via_github_app"`
		} `json:"comment"`
	}
	if err := parse(payload, &p); err != nil {
		return nil, err
	}
	if p.Action != "created" || p.Issue.PullRequest == nil {
		return nil, nil
	}
	if p.Comment.Via != nil || p.Comment.User.Type == "Bot" {
		return nil, nil
	}
	if _, command := fleet.FindCommand(p.Comment.Body); !command {
		return nil, nil // talk between people; what is a command is read again from GitHub
	}
	repo, err := p.repo()
	if err != nil {
		return nil, err
	}
	if p.Issue.Number <= 0 || p.Comment.ID <= 0 {
		return nil, errors.New("the payload names no comment")
	}
	return []fleet.Fact{fleet.Commented{
		Repo:    repo,
		Number:  p.Issue.Number,
		Comment: p.Comment.ID,
		By:      p.Comment.User.actor(),
		Cause:   p.cause(event),
	}}, nil
}
