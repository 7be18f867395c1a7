package demo

import (
	"context"
	"html/template"
	"net/http"
)

// demoPath is where the imitated github.com has the page with the demo's buttons.
const demoPath = "/updates"

var page = template.Must(template.New("demo").Parse(`<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Imitated github.com: open an update</title>
<link rel="stylesheet" href="/updates/style.css">
<main>
<p class="eyebrow">imitated github.com</p>
<h1>Open an update of <a href="/{{.Repo}}">{{.Repo}}</a></h1>
<p>Each button plays the weekly update workflow: a real <code>nix flake update</code> in a fresh clone,
pushed by <code>github-actions[bot]</code>, then CI. Watch what <a href="{{.Dashboard}}">NixFleet</a> makes of it.</p>
{{with .Opened}}<p role="status" class="opened">Opened <a href="/{{$.Repo}}/pull/{{.}}">pull request #{{.}}</a>.</p>{{end}}
{{with .Fault}}<p role="alert" class="fault">{{.}}</p>{{end}}
<ul>{{range .Scenarios}}
<li><div><strong>{{.Title}}</strong><p>{{.Expect}}</p></div>
<form method="post" action="/updates/open"><input type="hidden" name="scenario" value="{{.ID}}"><button>Open</button></form></li>
{{end}}</ul>
</main></html>
`))

const style = `:root{color-scheme:light dark;--line:light-dark(#d8dce3,#30363f);--soft:light-dark(#57606a,#9aa4b2)}
body{margin:0;font:16px/1.5 system-ui,sans-serif;background:light-dark(#f6f7f9,#0f1216);color:light-dark(#1b1f24,#e6e9ee)}
main{max-width:44rem;margin:3rem auto;padding:0 1rem}
.eyebrow{margin:0;color:var(--soft);font-size:.85rem}h1{margin:.2rem 0 1rem;font-size:1.6rem}
a{color:light-dark(#0b5cad,#6cb2ff)}ul{list-style:none;padding:0;margin:1.5rem 0}
li{display:flex;gap:1rem;align-items:center;justify-content:space-between;padding:1rem;margin:0 0 .6rem;
border:1px solid var(--line);border-radius:10px;background:light-dark(#fff,#161a20)}
li p{margin:.15rem 0 0;color:var(--soft);font-size:.92rem}
button{font:inherit;font-weight:600;padding:.5rem 1.1rem;border-radius:8px;border:1px solid var(--line);cursor:pointer;
background:light-dark(#1f6feb,#2f7cf6);color:#fff;min-height:40px}
.opened,.fault{padding:.7rem 1rem;border-radius:10px;border:1px solid var(--line)}`

type pageData struct {
	Repo, Dashboard, Fault string
	Opened                 int
	Scenarios              []shownScenario
}

type shownScenario struct{ ID, Title, Expect string }

// servePage puts the buttons on the imitated github.com: opening pull requests is
// what people and robots do there, so the product itself needs no demo button.
func (d *demo) servePage(ctx context.Context) {
	mux := http.NewServeMux()
	show := func(w http.ResponseWriter, opened int, fault error) {
		data := pageData{Repo: fleetRepo, Dashboard: d.app.URL(), Opened: opened}
		if fault != nil {
			data.Fault = fault.Error()
			w.WriteHeader(http.StatusInternalServerError)
		}
		for _, s := range scenarios {
			data.Scenarios = append(data.Scenarios, shownScenario{ID: s.id, Title: s.title, Expect: s.expect})
		}
		_ = page.Execute(w, data)
	}
	mux.HandleFunc("GET /updates", func(w http.ResponseWriter, _ *http.Request) { show(w, 0, nil) })
	mux.HandleFunc("GET /updates/style.css", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/css")
		_, _ = w.Write([]byte(style))
	})
	mux.HandleFunc("POST /updates/open", func(w http.ResponseWriter, r *http.Request) {
		number, err := d.world.openUpdate(ctx, r.FormValue("scenario"))
		if err == nil {
			d.talk.say("pull request #%d is open (%s)", number, r.FormValue("scenario"))
		}
		show(w, number, err)
	})
	d.world.hub.SetPages(demoPath, http.NewCrossOriginProtection().Handler(mux))
}
