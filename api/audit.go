package api

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/nixfleet/nixfleet/fleet"
)

// AuditService is what the API needs to show the history.
type AuditService interface {
	// Acts reads lines of the history, newest first.
	Acts(ctx context.Context, q fleet.ActQuery) ([]fleet.Act, error)
}

// AuditLine is one line of the history: who did what, by which way, when and why.
type AuditLine struct {
	ID      int64          `json:"id"`
	At      time.Time      `json:"at"`
	Who     string         `json:"who" doc:"A login, policy, push, github or host:NAME"`
	Way     string         `json:"way,omitempty" doc:"How a person did it: page, api, comment or check"`
	Kind    string         `json:"kind" example:"update.merged"`
	Says    string         `json:"says" doc:"The line as a sentence" example:"alice merged #42 of octo/fleet"`
	Reason  string         `json:"reason,omitempty"`
	Subject string         `json:"subject" example:"update/12"`
	Host    string         `json:"host,omitempty"`
	Rollout string         `json:"rollout,omitempty"`
	Repo    string         `json:"repo,omitempty"`
	Number  int            `json:"number,omitempty" doc:"Of the pull request"`
	Detail  map[string]any `json:"detail,omitempty"`
}

// AuditLineOf is a line of the history as the API and exports show it.
func AuditLineOf(a fleet.Act) AuditLine {
	return AuditLine{
		ID: a.ID, At: a.At.UTC(), Who: a.Actor, Way: string(a.Way), Kind: a.Kind, Says: a.Text(), Reason: a.Reason, Subject: a.Subject,
		Host: a.Host, Rollout: a.Rollout, Repo: a.Repo, Number: a.Number, Detail: a.Detail,
	}
}

// AuditQuery picks lines of the history.
type AuditQuery struct {
	Page
	Who     string    `query:"who" maxLength:"200" doc:"A login, policy, push, github or a host"`
	Host    string    `query:"host" maxLength:"63" doc:"Is about this host"`
	About   string    `query:"about" enum:"updates,rollouts,orders,hosts,locks,settings,access" doc:"A group of kinds"`
	Kind    string    `query:"kind" maxLength:"100" doc:"Exactly this kind"`
	Repo    string    `query:"repo" maxLength:"200" doc:"owner/name"`
	Update  int       `query:"update" minimum:"1" maximum:"2147483647" doc:"Number of a pull request"`
	Rollout string    `query:"rollout" maxLength:"64" doc:"Is about this rollout, by its whole id"`
	Text    string    `query:"text" maxLength:"200" doc:"Stands in the reason, whatever the case of its letters"`
	From    time.Time `query:"from" doc:"Not before it"`
	To      time.Time `query:"to" doc:"Before it"`
}

// Values is the query of an address.
func (q AuditQuery) Values() url.Values {
	v := url.Values{}
	for name, text := range map[string]string{
		"who": q.Who, "host": q.Host, "about": q.About, "kind": q.Kind, "repo": q.Repo, "rollout": q.Rollout, "text": q.Text, "cursor": q.Cursor,
	} {
		if text != "" {
			v.Set(name, text)
		}
	}
	for name, at := range map[string]time.Time{"from": q.From, "to": q.To} {
		if !at.IsZero() {
			v.Set(name, at.UTC().Format(time.RFC3339Nano))
		}
	}
	for name, n := range map[string]int{"update": q.Update, "limit": q.Limit} {
		if n > 0 {
			v.Set(name, strconv.Itoa(n))
		}
	}
	return v
}

func (q *AuditQuery) domain() fleet.ActQuery {
	return fleet.ActQuery{
		Actor: q.Who, Host: q.Host, Repo: q.Repo, Number: q.Update, Rollout: q.Rollout, Group: fleet.ActGroup(q.About), Kind: q.Kind,
		Text: q.Text, From: q.From, To: q.To, Before: q.AfterNumber(), Limit: q.Limit + 1,
	}
}

// Audit is a page of the history.
type Audit struct {
	Lines []AuditLine `json:"lines" doc:"Newest first"`
	Next  string      `json:"next,omitempty" doc:"Cursor of the next page; left out on the last"`
}

type auditOutput struct {
	Link string `header:"Link" doc:"Address of the next page, where there is one"`
	Body Audit
}

func audit(a huma.API, s AuditService) {
	huma.Register(a, huma.Operation{
		OperationID: "list-audit", Tags: []string{TagPeople}, Method: http.MethodGet, Path: "/api/v1/audit", Summary: "The history: who did what, when and why",
		Description: "What people, policy, GitHub and hosts did, the newest first. All filters that are given have to hold.", Metadata: needs("viewer"),
	}, func(ctx context.Context, in *AuditQuery) (*auditOutput, error) {
		acts, err := s.Acts(ctx, in.domain())
		if err != nil {
			return nil, err
		}
		lines := make([]AuditLine, 0, len(acts))
		for _, act := range acts {
			lines = append(lines, AuditLineOf(act))
		}
		out := &auditOutput{}
		out.Body.Lines, out.Body.Next, out.Link = cutPage(&in.Page, lines, func(l AuditLine) string { return strconv.FormatInt(l.ID, 10) })
		return out, nil
	})
}

// Audit reads a page of the history.
func (c *Client) Audit(ctx context.Context, q AuditQuery) (Audit, error) {
	var out Audit
	err := c.call(ctx, http.MethodGet, "/api/v1/audit?"+q.Values().Encode(), nil, &out)
	return out, err
}
