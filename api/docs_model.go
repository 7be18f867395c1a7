package api

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"path"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

// docsPage is what the page of the API shows.
type docsPage struct {
	Title, Version, About, Style string
	Groups                       []docsGroup
	Problems                     []docsProblem
	Schemas                      []docsSchema
}

type docsGroup struct {
	Name, Anchor, About string
	Operations          []docsOperation
}

type docsOperation struct {
	ID, Method, Path, Summary, About, Role string
	Params                                 []docsField
	Body                                   []docsField
	BodyName                               string // of its schema
	BodyExample                            string
	Curl                                   string
	Answers                                []docsAnswer
	Refusals                               []docsRefusal
}

type docsField struct {
	Name, In, Type, Ref, About string
	Required                   bool
}

type docsAnswer struct {
	Status, About, Kind, Schema, Example string
	Headers                              []docsField
}

type docsRefusal struct {
	Status, Anchor string
}

type docsProblem struct {
	Status              int
	Title, Anchor, Text string
}

type docsSchema struct {
	Name   string
	Fields []docsField
}

func docsOf(api *huma.OpenAPI, style string) docsPage {
	page := docsPage{Title: api.Info.Title, Version: api.Info.Version, About: api.Info.Description, Style: style}
	paths := slices.SortedFunc(maps.Keys(api.Paths), func(a, b string) int { // what is about all comes before what is about one
		return cmp.Or(cmp.Compare(strings.Count(a, "/"), strings.Count(b, "/")), strings.Compare(a, b))
	})
	for _, t := range api.Tags {
		g := docsGroup{Name: t.Name, Anchor: strings.ToLower(t.Name), About: t.Description}
		for _, at := range paths {
			for _, op := range operationsAt(api.Paths[at]) {
				if slices.Contains(op.Tags, t.Name) {
					g.Operations = append(g.Operations, docsOperationOf(api.Components.Schemas, op))
				}
			}
		}
		if len(g.Operations) > 0 {
			page.Groups = append(page.Groups, g)
		}
	}
	for _, k := range problemKinds {
		page.Problems = append(page.Problems, docsProblem{k.status, http.StatusText(k.status), "problem-" + k.name, k.means})
	}
	schemas := api.Components.Schemas.Map()
	for _, name := range slices.Sorted(maps.Keys(schemas)) {
		if s := schemas[name]; len(s.Properties) > 0 {
			page.Schemas = append(page.Schemas, docsSchema{name, fieldsOf(s)})
		}
	}
	return page
}

// operationsAt are those of one address, in the order in which people think of them.
func operationsAt(item *huma.PathItem) []*huma.Operation {
	all := []*huma.Operation{item.Get, item.Post, item.Put, item.Patch, item.Delete}
	return slices.DeleteFunc(all, func(op *huma.Operation) bool { return op == nil })
}

func docsOperationOf(schemas huma.Registry, op *huma.Operation) docsOperation {
	out := docsOperation{ID: op.OperationID, Method: op.Method, Path: op.Path, Summary: op.Summary, About: op.Description, Role: roleOf(op)}
	for _, p := range op.Parameters {
		f := fieldOf(p.Name, p.Schema)
		f.In, f.Required = p.In, p.Required
		if p.Description != "" {
			f.About = p.Description
		}
		out.Params = append(out.Params, f)
	}
	if media := jsonOf(op.RequestBody); media != nil {
		out.BodyName = refName(media.Schema)
		out.BodyExample = pretty(media.Example)
		out.Body = fieldsOf(resolved(schemas, media.Schema))
	}
	out.Curl = curlOf(op)
	for _, code := range slices.Sorted(maps.Keys(op.Responses)) {
		r := op.Responses[code]
		if strings.HasPrefix(code, "2") {
			out.Answers = append(out.Answers, answerOf(code, r))
			continue
		}
		refusal := docsRefusal{Status: code}
		for _, k := range problemKinds {
			if fmt.Sprint(k.status) == code {
				refusal.Anchor = "problem-" + k.name
			}
		}
		out.Refusals = append(out.Refusals, refusal)
	}
	return out
}

func answerOf(code string, r *huma.Response) docsAnswer {
	out := docsAnswer{Status: code, About: r.Description}
	for _, kind := range slices.Sorted(maps.Keys(r.Content)) {
		media := r.Content[kind]
		out.Kind, out.Schema, out.Example = kind, refName(media.Schema), pretty(media.Example)
	}
	for _, name := range slices.Sorted(maps.Keys(r.Headers)) {
		h := r.Headers[name]
		f := fieldOf(name, h.Schema)
		if h.Description != "" {
			f.About = h.Description
		}
		out.Headers = append(out.Headers, f)
	}
	return out
}

func jsonOf(b *huma.RequestBody) *huma.MediaType {
	if b == nil {
		return nil
	}
	return b.Content["application/json"]
}

func resolved(schemas huma.Registry, s *huma.Schema) *huma.Schema {
	if s != nil && s.Ref != "" {
		return schemas.SchemaFromRef(s.Ref)
	}
	return s
}

func fieldsOf(s *huma.Schema) []docsField {
	if s == nil {
		return nil
	}
	var list []docsField
	for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
		f := fieldOf(name, s.Properties[name])
		f.Required = slices.Contains(s.Required, name)
		list = append(list, f)
	}
	slices.SortStableFunc(list, func(a, b docsField) int { // required ones first
		switch {
		case a.Required == b.Required:
			return 0
		case a.Required:
			return -1
		}
		return 1
	})
	return list
}

func fieldOf(name string, s *huma.Schema) docsField {
	f := docsField{Name: name}
	if s == nil {
		return f
	}
	f.Type, f.Ref = typeOf(s)
	f.About = s.Description
	if s.Default != nil {
		f.About = strings.TrimSpace(fmt.Sprintf("%s (default: %v)", f.About, s.Default))
	}
	return f
}

// typeOf is a type in words, and the schema that it names.
func typeOf(s *huma.Schema) (words, ref string) {
	switch {
	case s.Ref != "":
		return refName(s), refName(s)
	case len(s.Enum) > 0:
		words := make([]string, len(s.Enum))
		for i, v := range s.Enum {
			words[i] = fmt.Sprint(v)
		}
		return strings.Join(words, " | "), ""
	case s.Type == huma.TypeArray && s.Items != nil:
		words, ref := typeOf(s.Items)
		return "list of " + words, ref
	case s.Format == "date-time":
		return "time", ""
	case s.Type == "":
		return "any", ""
	}
	return s.Type, ""
}

func refName(s *huma.Schema) string {
	if s == nil || s.Ref == "" {
		return ""
	}
	return path.Base(s.Ref)
}

func pretty(v any) string {
	if v == nil {
		return ""
	}
	if text, ok := v.(string); ok {
		return text
	}
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if enc.Encode(v) != nil {
		return ""
	}
	return strings.TrimSpace(b.String())
}

// curlOf is a call to copy.
func curlOf(op *huma.Operation) string {
	at := op.Path
	for _, p := range op.Parameters {
		if p.In == "path" {
			at = strings.Replace(at, "{"+p.Name+"}", exampleParam(p), 1)
		}
	}
	line := "curl -H \"Authorization: Bearer $NIXFLEET_TOKEN\""
	if op.Method != "GET" {
		line += " -X " + op.Method
	}
	if op.Method == "POST" {
		line += " -H \"Idempotency-Key: $(uuidgen)\""
	}
	if media := jsonOf(op.RequestBody); media != nil {
		body, _ := json.Marshal(media.Example) // examples always encode
		line += " \\\n  --json '" + strings.ReplaceAll(string(body), "'", `'\''`) + "'"
	}
	return line + " \\\n  \"$NIXFLEET_SERVER" + at + "\""
}

func exampleParam(p *huma.Param) string {
	if p.Example != nil {
		return fmt.Sprint(p.Example)
	}
	if p.Schema != nil && len(p.Schema.Examples) > 0 {
		return fmt.Sprint(p.Schema.Examples[0])
	}
	if v, ok := exampleWords[p.Name]; ok {
		return fmt.Sprint(v)
	}
	return p.Name
}
