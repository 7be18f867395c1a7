package api

import (
	"encoding/base64"
	"net/url"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

// Page asks for one page of a list. Pages go by what the last entry of the one before
// was, so that entries that come or go meanwhile neither repeat nor hide others.
type Page struct {
	Limit  int    `query:"limit" minimum:"1" maximum:"1000" default:"100" doc:"How many at most"`
	Cursor string `query:"cursor" maxLength:"400" doc:"Where to go on: next of the page before, as it is. The header Link with rel=\"next\" holds the whole address"`

	after string
	at    url.URL
}

// Resolve reads the cursor.
func (p *Page) Resolve(ctx huma.Context) []error {
	p.at = ctx.URL()
	if p.Cursor == "" {
		return nil
	}
	text, err := base64.RawURLEncoding.DecodeString(p.Cursor)
	after, ok := strings.CutPrefix(string(text), cursorForm)
	if err != nil || !ok {
		return []error{&huma.ErrorDetail{Location: "query.cursor", Message: "is none that this list gave out; leave it out to begin anew", Value: p.Cursor}}
	}
	p.after = after
	return nil
}

// cursorForm marks how cursors are made, so that another form can follow.
const cursorForm = "1:"

// After is what the last entry of the page before goes by; empty for the first page.
func (p *Page) After() string { return p.after }

// AfterNumber is [Page.After] for lists that go by numbers; zero for the first page.
func (p *Page) AfterNumber() int64 {
	n, _ := strconv.ParseInt(p.after, 10, 64) // what is not a number was made by hand, and finds the first page
	return n
}

// Next is where the page after the given entry begins: its cursor and the header Link.
func (p *Page) Next(last string) (cursor, link string) {
	cursor = base64.RawURLEncoding.EncodeToString([]byte(cursorForm + last))
	query := p.at.Query()
	query.Set("cursor", cursor)
	next := url.URL{Path: p.at.Path, RawPath: p.at.RawPath, RawQuery: query.Encode()}
	return cursor, "<" + next.String() + `>; rel="next"`
}

// cutPage makes a page of a list that holds one entry more where there are more.
func cutPage[T any](p *Page, list []T, goesBy func(T) string) (page []T, cursor, link string) {
	if len(list) <= p.Limit {
		if list == nil {
			list = []T{}
		}
		return list, "", ""
	}
	list = list[:p.Limit]
	cursor, link = p.Next(goesBy(list[len(list)-1]))
	return list, cursor, link
}
