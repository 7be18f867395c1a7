package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/nixfleet/nixfleet/api"
)

// historyServer has lines 1 to n, and answers with at most atOnce of them.
func historyServer(t *testing.T, n, atOnce int, asked *[]string) []string {
	t.Helper()
	return rolloutServer(t, func(r *http.Request) (int, string) {
		*asked = append(*asked, r.URL.RawQuery)
		q := r.URL.Query()
		limit, _ := strconv.Atoi(q.Get("limit"))
		next, _ := strconv.Atoi(q.Get("cursor"))
		if next == 0 {
			next = n + 1
		}
		page := api.Audit{Lines: []api.AuditLine{}}
		for id := next - 1; id > 0 && len(page.Lines) < min(limit, atOnce); id-- {
			page.Lines = append(page.Lines, api.AuditLine{ID: int64(id), Way: "page", Says: fmt.Sprintf("alice merged #%d", id), Reason: "\x1b[31m why"})
			page.Next = strconv.Itoa(id)
		}
		if page.Next == "1" {
			page.Next = ""
		}
		text, _ := json.Marshal(page)
		return 200, string(text)
	})
}

func TestTheHistoryIsPrintedOverAllItsPages(t *testing.T) {
	t.Parallel()
	var asked []string
	flags := historyServer(t, 5, 2, &asked)
	out, errOut, code := nixfleet(append([]string{"audit", "--actor", "a&b", "--host", "web1", "--limit", "3"}, flags...)...)
	want := `WHEN(UTC)            WAY   WHAT
0001-01-01 00:00:00  page  alice merged #5:  [31m why
0001-01-01 00:00:00  page  alice merged #4:  [31m why
0001-01-01 00:00:00  page  alice merged #3:  [31m why
`
	if code != 0 || out != want {
		t.Errorf("exit %d (%s), printed:\n%s\nwant:\n%s", code, errOut, out, want)
	}
	if got := strings.Join(asked, " "); got != "host=web1&limit=3&who=a%26b cursor=4&host=web1&limit=1&who=a%26b" {
		t.Errorf("it asked for %s", got)
	}
	out, _, code = nixfleet(append([]string{"audit", "--json"}, flags...)...)
	if code != 0 || strings.Count(out, `"says"`) != 5 || !json.Valid([]byte(out)) {
		t.Errorf("--json: exit %d, printed %s", code, out)
	}
}

func TestFollowingPrintsEachLineOnce(t *testing.T) {
	t.Parallel()
	var asked []string
	flags := historyServer(t, 120, 50, &asked)
	c := auditCmd{serverFlags: serverFlags{Server: flags[1], Token: "x"}, Follow: true}
	known := map[int64]bool{60: true}
	for id := range int64(60) {
		known[id] = true
	}
	var out bytes.Buffer
	lines, err := c.read(&env{ctx: t.Context(), out: &out}, api.AuditQuery{}, 1000, known)
	if err != nil || len(lines) != 60 || lines[59].ID != 61 {
		t.Errorf("%d new lines of 60, over more than one page: %v", len(lines), err)
	}
	if len(asked) > 3 {
		t.Errorf("it read %d pages, also such of what is known", len(asked))
	}
}
