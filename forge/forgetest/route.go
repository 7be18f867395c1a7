package forgetest

import (
	"cmp"
	"encoding/json"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// obj is a JSON object on its way out. Answers are built from maps, not from
// go-github's structs, so that a field which that library lacks or misspells
// is still on the wire.
type obj = map[string]any

// who may call a route.
type credential int

const (
	installationToken credential = iota // or nobody, for public repositories
	appJWT
	anyone
)

type route struct {
	method, pattern string
	who             credential
	// need is the permission, "name:read" or "name:write"; alternatives are
	// separated by "|".
	need   string
	handle func(*call) reply
	path   *regexp.Regexp
	names  []string
}

// call is one REST request on its way through a handler.
type call struct {
	http   *http.Request
	params map[string]string
	query  url.Values
	body   []byte
	route  *route
	repo   *repository
	token  *token
	person *user // whose token of a sign-in it carries
}

func (c *call) number(name string) int64 {
	n, _ := strconv.ParseInt(c.params[name], 10, 64) // the pattern lets digits only through
	return n
}

// reply is the answer before it is sent; body is marshalled unless raw is set.
type reply struct {
	status int
	body   any
	raw    []byte
	header http.Header
}

func ok(body any) reply      { return reply{status: http.StatusOK, body: body} }
func created(body any) reply { return reply{status: http.StatusCreated, body: body} }

func refuse(status int, message string) reply {
	return reply{status: status, body: obj{
		"message": message, "documentation_url": "https://docs.github.com/rest", "status": strconv.Itoa(status),
	}}
}

func notFound() reply { return refuse(http.StatusNotFound, "Not Found") }

func invalid(resource, field, code string) reply {
	return reply{status: http.StatusUnprocessableEntity, body: obj{
		"message": "Validation Failed", "documentation_url": "https://docs.github.com/rest",
		"errors": []obj{{"resource": resource, "field": field, "code": code}}, "status": "422",
	}}
}

// unprocessable is the 422 that carries only a sentence.
func unprocessable(message string) reply {
	return reply{status: http.StatusUnprocessableEntity, body: obj{"message": message, "documentation_url": "https://docs.github.com/rest", "status": "422"}}
}

func broken(err error) reply { return refuse(http.StatusInternalServerError, err.Error()) }

// decode reads the JSON body; the second value is the answer to give when it
// is not JSON of this shape.
func decode[T any](c *call) (T, *reply) {
	var v T
	if len(c.body) == 0 {
		return v, nil
	}
	if err := json.Unmarshal(c.body, &v); err != nil {
		r := refuse(http.StatusBadRequest, "Problems parsing JSON")
		return v, &r
	}
	return v, nil
}

var param = regexp.MustCompile(`\{([a-z_]+)\}`)

// Parameters that may hold slashes, escaped or not.
var greedy = map[string]bool{"path": true, "name": true, "ref": true, "branch": true, "basehead": true}

// compileRoutes turns OpenAPI path templates into expressions, the most
// specific first. Ids are digits, so issues/comments/5 and issues/5/comments
// never compete.
func compileRoutes(table []route) []route {
	for i := range table {
		r := &table[i]
		expr := param.ReplaceAllStringFunc(regexp.QuoteMeta(r.pattern), func(s string) string { return s })
		expr = strings.NewReplacer(`\{`, "{", `\}`, "}").Replace(expr)
		expr = param.ReplaceAllStringFunc(expr, func(s string) string {
			name := strings.Trim(s, "{}")
			r.names = append(r.names, name)
			switch {
			case greedy[name]:
				return "(.+)"
			case strings.HasSuffix(name, "_id") || strings.HasSuffix(name, "_number"):
				return `(\d+)`
			default:
				return "([^/]+)"
			}
		})
		r.path = regexp.MustCompile("^" + expr + "$")
	}
	literal := func(r route) int { return len(param.ReplaceAllString(r.pattern, "")) }
	slices.SortStableFunc(table, func(a, b route) int { return cmp.Compare(literal(b), literal(a)) })
	return table
}

// match finds the route of an escaped path; ok is false for paths that the
// imitation does not know.
func match(routes []route, method, path string) (*route, map[string]string, bool) {
	for i := range routes {
		r := &routes[i]
		if r.method != method {
			continue
		}
		m := r.path.FindStringSubmatch(path)
		if m == nil {
			continue
		}
		params := map[string]string{}
		for j, name := range r.names {
			v, err := url.PathUnescape(m[j+1])
			if err != nil {
				return nil, nil, false
			}
			params[name] = v
		}
		return r, params, true
	}
	return nil, nil, false
}

// page cuts a list as GitHub does (30 a page, at most 100) and gives the Link
// header that leads through it.
func page[T any](s *Server, c *call, all []T) ([]T, http.Header) {
	size, err := strconv.Atoi(c.query.Get("per_page"))
	if err != nil || size < 1 {
		size = 30
	}
	size = min(size, 100)
	at, err := strconv.Atoi(c.query.Get("page"))
	if err != nil || at < 1 {
		at = 1
	}
	last := max(1, (len(all)+size-1)/size)
	var links []string
	link := func(rel string, n int) {
		q := url.Values{}
		for k, v := range c.query {
			q[k] = v
		}
		q.Set("page", strconv.Itoa(n))
		links = append(links, "<"+s.url+c.http.URL.EscapedPath()+"?"+q.Encode()+`>; rel="`+rel+`"`)
	}
	if at > 1 {
		link("prev", at-1)
		link("first", 1)
	}
	if at < last {
		link("next", at+1)
		link("last", last)
	}
	header := http.Header{}
	if links != nil {
		header.Set("Link", strings.Join(links, ", "))
	}
	from := min((at-1)*size, len(all))
	return all[from:min(from+size, len(all))], header
}

// paged answers a list that is itself the body.
func paged[T any](s *Server, c *call, all []T) reply {
	items, header := page(s, c, all)
	return reply{status: http.StatusOK, body: nonNil(items), header: header}
}

// counted answers a list inside an object with its total.
func counted[T any](s *Server, c *call, key string, all []T) reply {
	items, header := page(s, c, all)
	return reply{status: http.StatusOK, body: obj{"total_count": len(all), key: nonNil(items)}, header: header}
}

// nonNil makes an empty list appear as [] and not as null.
func nonNil[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

func collect[T any](list []T, f func(T) obj) []obj {
	out := make([]obj, 0, len(list))
	for _, v := range list {
		out = append(out, f(v))
	}
	return out
}
