package handlers

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/nixfleet/nixfleet/fleet"
)

// The parts that several payloads share. They hold only what we read; whatever
// else GitHub sends, or adds later, is passed over.

type repoPart struct {
	ID            int64    `json:"id"`
	Name          string   `json:"name"`
	FullName      string   `json:"full_name"`
	DefaultBranch string   `json:"default_branch"`
	Owner         userPart `json:"owner"`
}

type userPart struct {
	ID    int64  `json:"id"`
	Login string `json:"login"`
	Name  string `json:"name"` // only pushes name the owner so
	Type  string `json:"type"`
}

type appPart struct {
	ID int64 `json:"id"`
}

// isOurs reports whether a check belongs to our own App.
func isOurs(by appPart, app int64) bool { return app != 0 && by.ID == app }

type pullPart struct {
	Number int `json:"number"`
	Base   struct {
		Repo struct {
			ID int64 `json:"id"`
		} `json:"repo"`
	} `json:"base"`
}

// payloadHead is at the top of every payload.
type payloadHead struct {
	Action       string   `json:"action"`
	Repository   repoPart `json:"repository"`
	Sender       userPart `json:"sender"`
	Installation struct {
		ID int64 `json:"id"`
	} `json:"installation"`
}

// parse decodes a payload into v.
func parse(payload []byte, v any) error {
	if err := json.Unmarshal(payload, v); err != nil {
		return fmt.Errorf("parse payload: %w", err)
	}
	return nil
}

var (
	errNoRepo = errors.New("the payload names no repository")
	errNoSHA  = errors.New("the payload names no commit")
)

// repo is the payload's repository, as the domain names it.
func (c payloadHead) repo() (fleet.Repo, error) {
	r := c.Repository.repo(c.Installation.ID)
	if r.ID <= 0 {
		return fleet.Repo{}, errNoRepo
	}
	return r, nil
}

func (r repoPart) repo(installation int64) fleet.Repo {
	owner, name := r.Owner.Login, r.Name
	if owner == "" {
		owner = r.Owner.Name
	}
	if o, n, ok := strings.Cut(r.FullName, "/"); ok && owner == "" {
		owner, name = o, n
	}
	return fleet.Repo{
		ID:            r.ID,
		Installation:  installation,
		Owner:         clean(owner, maxName),
		Name:          clean(name, maxName),
		DefaultBranch: clean(r.DefaultBranch, maxName),
	}
}

// repos converts a list, leaving out entries without an id.
func repos(parts []repoPart, installation int64) []fleet.Repo {
	var list []fleet.Repo
	for _, p := range parts {
		if p.ID > 0 {
			list = append(list, p.repo(installation))
		}
	}
	return list
}

func (u userPart) actor() fleet.Actor {
	return fleet.Actor{ID: u.ID, Login: clean(u.Login, maxName), Type: clean(u.Type, maxName)}
}

// cause names what woke us: event and action.
func (c payloadHead) cause(event string) string {
	if !isWord(c.Action) {
		return event
	}
	return event + "." + c.Action
}

// touched is the one fact of an event about a commit.
func (c payloadHead) touched(event, sha string) ([]fleet.Fact, error) {
	repo, err := c.repo()
	if err != nil {
		return nil, err
	}
	if !isSHA(sha) {
		return nil, errNoSHA
	}
	return []fleet.Fact{fleet.CommitTouched{Repo: repo, SHA: sha, Cause: c.cause(event)}}, nil
}

// pressed is the fact of a button, for the pull requests of this repository.
// GitHub also lists those of forks.
func (c payloadHead) pressed(event, sha, action string, pulls []pullPart) ([]fleet.Fact, error) {
	repo, err := c.repo()
	if err != nil {
		return nil, err
	}
	if !isSHA(sha) {
		return nil, errNoSHA
	}
	p := fleet.Pressed{Repo: repo, SHA: sha, Action: clean(action, maxIdentifier), By: c.Sender.actor(), Cause: c.cause(event)}
	for _, pull := range pulls {
		if pull.Base.Repo.ID == repo.ID && pull.Number > 0 {
			p.Numbers = append(p.Numbers, pull.Number)
		}
	}
	return []fleet.Fact{p}, nil
}

const (
	maxName       = 255 // bytes; GitHub's own limit for refs, its names are shorter
	maxIdentifier = 20  // GitHub's limit for the identifier of a button
)

// clean makes outside text fit to store and to log: valid UTF-8, no control
// characters (Postgres refuses NUL), at most limit bytes.
func clean(s string, limit int) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD"))
	if len(s) <= limit {
		return s
	}
	for limit > 0 && !utf8.RuneStart(s[limit]) {
		limit--
	}
	return s[:limit]
}

// isSHA reports whether s is a git object name (SHA-1, or SHA-256 one day).
func isSHA(s string) bool {
	for _, c := range []byte(s) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return len(s) == 40 || len(s) == 64
}
