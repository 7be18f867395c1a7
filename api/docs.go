package api

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"html/template"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

//go:embed docs/page.html docs/page.css
var docsFiles embed.FS

// docsPolicy lets the page load its one style sheet, and nothing else.
const docsPolicy = "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// code sets what stands between backticks as code.
func code(text string) template.HTML {
	var b strings.Builder
	for i, part := range strings.Split(text, "`") {
		part = template.HTMLEscapeString(part)
		if i%2 == 1 {
			part = "<code>" + part + "</code>"
		}
		b.WriteString(part)
	}
	return template.HTML(b.String()) //nolint:gosec // each part is escaped
}

// docs serves the page of the API, made of its description once, at the start.
func docs(mux *http.ServeMux, a huma.API) {
	style, err := docsFiles.ReadFile("docs/page.css")
	if err != nil {
		panic(err) // it is embedded
	}
	sum := sha256.Sum256(style)
	styleAt := docsPath + "/" + hex.EncodeToString(sum[:6]) + ".css"
	page := template.Must(template.New("page.html").Funcs(template.FuncMap{"code": code}).ParseFS(docsFiles, "docs/page.html"))
	var b bytes.Buffer
	if err := page.Execute(&b, docsOf(a.OpenAPI(), styleAt)); err != nil {
		panic(fmt.Sprintf("the page of the API: %v", err)) // it is made of constants, and a test makes it
	}
	mux.HandleFunc("GET "+styleAt, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/css; charset=utf-8")
		w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
		_, _ = w.Write(style)
	})
	mux.HandleFunc("GET "+docsPath, func(w http.ResponseWriter, _ *http.Request) {
		h := w.Header()
		h.Set("Content-Type", "text/html; charset=utf-8")
		h.Set("Content-Security-Policy", docsPolicy)
		h.Set("Cache-Control", "no-cache")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		_, _ = w.Write(b.Bytes())
	})
}
