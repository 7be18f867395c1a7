package forgetest

import (
	"html/template"
	"net/http"
	"regexp"
	"strconv"
	"strings"
)

// The pages are for the demo, so that links lead somewhere. They say what they
// are and imitate nobody's design.
var pageTemplate = template.Must(template.New("").Parse(`<!doctype html><html lang="en"><meta charset="utf-8"><title>{{.Title}}</title>
<style>body{font:16px/1.5 system-ui,sans-serif;max-width:52rem;margin:2rem auto;padding:0 1rem}pre{background:#8881;padding:.6rem;overflow:auto}
.note{border:1px solid #8886;padding:.3rem .8rem;border-radius:.4rem}td,th{text-align:left;padding:.1rem 1rem .1rem 0}</style>
<p class="note">Imitated github.com: nothing here is on the internet.</p><h1>{{.Title}}</h1><p>{{.Lead}}</p>
{{with .Rows}}<table>{{range .}}<tr><th>{{.Name}}<td>{{.Text}}{{end}}</table>{{end}}
{{range .Comments}}<h3>{{.Name}}</h3><pre>{{.Text}}</pre>{{end}}{{range .Files}}<h3>{{.Name}}</h3><pre>{{.Text}}</pre>{{end}}</html>`))

type pageData struct {
	Title, Lead           string
	Rows, Comments, Files []pageRow
}

type pageRow struct{ Name, Text string }

var (
	pullPage    = regexp.MustCompile(`^/([^/]+/[^/]+)/pull/(\d+)$`)
	comparePage = regexp.MustCompile(`^/([^/]+/[^/]+)/compare/(.+?)\.\.\.(.+)$`)
	repoPage    = regexp.MustCompile(`^/([^/]+/[^/]+)$`)
	newAppPage  = regexp.MustCompile(`^(/organizations/[^/]+)?/settings/apps/new$`)
)

func (s *Server) servePage(w http.ResponseWriter, r *http.Request) {
	path := r.URL.Path
	if newAppPage.MatchString(path) && r.Method == http.MethodPost {
		s.newApp(w, r)
		return
	}
	data, found := s.pageOf(path)
	if !found {
		w.WriteHeader(http.StatusNotFound)
		data = pageData{Title: "Not found", Lead: "The imitated github.com has no such page."}
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_ = pageTemplate.Execute(w, data) // the reader may be gone
}

func (s *Server) pageOf(path string) (pageData, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if m := pullPage.FindStringSubmatch(path); m != nil {
		n, _ := strconv.Atoi(m[2])
		if r, err := s.find(m[1]); err == nil && r.pulls[n] != nil {
			return s.showPull(r.pulls[n]), true
		}
	}
	if m := comparePage.FindStringSubmatch(path); m != nil {
		if r, err := s.find(m[1]); err == nil {
			return s.showCompare(r, m[2], m[3])
		}
	}
	if m := repoPage.FindStringSubmatch(path); m != nil {
		if r, err := s.find(m[1]); err == nil {
			return s.showRepo(r), true
		}
	}
	return pageData{}, false
}

func (s *Server) showRepo(r *repository) pageData {
	data := pageData{Title: r.fullName(), Lead: "Default branch " + r.defaultBranch + " at " + r.git.tip(r.defaultBranch)}
	for _, p := range r.sortedPulls() {
		data.Rows = append(data.Rows, pageRow{"#" + strconv.Itoa(p.number), p.title + " (" + p.state + ")"})
	}
	return data
}

func (s *Server) showPull(p *pull) pageData {
	state := p.state
	if !p.merged.IsZero() {
		state = "merged as " + p.mergeSHA
	}
	data := pageData{
		Title: p.title + " #" + strconv.Itoa(p.number),
		Lead:  state + "; " + p.author.login + " wants to merge " + p.headRef + " (" + p.headSHA + ") into " + p.baseRef,
	}
	for _, run := range p.base.latestRuns(p.headSHA) {
		data.Rows = append(data.Rows, pageRow{run.name, strings.TrimSpace(run.status + " " + run.conclusion + " " + run.output.Title)})
	}
	for _, st := range p.base.latestStatuses(p.headSHA) {
		data.Rows = append(data.Rows, pageRow{st.context, st.state})
	}
	for _, c := range p.base.comments {
		if c.number == p.number {
			data.Comments = append(data.Comments, pageRow{c.author.login, c.body})
		}
	}
	if fork, changes, err := p.changes(); err == nil {
		data.Files = patches(p.base.git, fork, p.headSHA, changes)
	}
	return data
}

func (s *Server) showCompare(r *repository, base, head string) (pageData, bool) {
	from, okFrom := r.git.resolve(base)
	to, okTo := r.git.resolve(head)
	if !okFrom || !okTo {
		return pageData{}, false
	}
	changes, err := r.git.diff(from, to)
	if err != nil {
		return pageData{}, false
	}
	return pageData{Title: "Comparing " + base + " with " + head, Lead: r.fullName(), Files: patches(r.git, from, to, changes)}, true
}

// maxPagePatches keeps a page small enough to look at.
const maxPagePatches = 20

func patches(g gitDir, base, head string, changes []change) []pageRow {
	var rows []pageRow
	for _, c := range changes[:min(len(changes), maxPagePatches)] {
		rows = append(rows, pageRow{c.path + " (" + c.status + ")", g.patch(base, head, c)})
	}
	return rows
}
