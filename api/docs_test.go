package api_test

import (
	"regexp"
	"strings"
	"testing"
)

func TestThePageOfTheAPIHoldsEveryOperationAndLoadsNothingFromElsewhere(t *testing.T) {
	t.Parallel()
	_, url := serve(t)
	resp, page := send(t, "GET", url+"/api/v1/docs", "", "", "")
	if kind := resp.Header.Get("Content-Type"); resp.StatusCode != 200 || kind != "text/html; charset=utf-8" {
		t.Fatalf("%s %s", resp.Status, kind)
	}
	policy := resp.Header.Get("Content-Security-Policy")
	if !strings.Contains(policy, "default-src 'none'") || strings.Contains(policy, "unsafe") {
		t.Errorf("policy %q", policy)
	}
	for _, not := range []string{"<script", "<style", " style=", "http://", "//cdn"} {
		if i := strings.Index(page, not); i >= 0 {
			t.Errorf("holds %q: %.80s", not, page[i:])
		}
	}
	for path, item := range described(t, url).Paths {
		for method, op := range item {
			part := page[strings.Index(page, `<article id="`+op.OperationID+`">`):]
			part = part[:strings.Index(part, "</article>")]
			for _, want := range []string{strings.ToUpper(method), path, `class="role ` + op.Role + `"`, "curl -H", "Refusals:"} {
				if !strings.Contains(part, want) {
					t.Errorf("%s does not show %s", op.OperationID, want)
				}
			}
		}
	}
	anchors := map[string]bool{}
	for _, m := range regexp.MustCompile(` id="([^"]+)"`).FindAllStringSubmatch(page, -1) {
		if anchors[m[1]] {
			t.Errorf("two parts have the id %s", m[1])
		}
		anchors[m[1]] = true
	}
	for _, m := range regexp.MustCompile(`href="#([^"]*)"`).FindAllStringSubmatch(page, -1) {
		if !anchors[m[1]] {
			t.Errorf("a link leads to #%s, which there is not", m[1])
		}
	}
	style := regexp.MustCompile(`<link rel="stylesheet" href="([^"]+)">`).FindStringSubmatch(page)
	if resp, text := send(t, "GET", url+style[1], "", "", ""); resp.StatusCode != 200 || !strings.Contains(resp.Header.Get("Cache-Control"), "immutable") ||
		!strings.Contains(text, "color-scheme") || strings.Contains(text, "url(") {
		t.Errorf("style: %s %v", resp.Status, resp.Header)
	}
	// Programs get the same as a document.
	for _, form := range []string{"json", "yaml"} {
		if resp, text := send(t, "GET", url+"/api/v1/openapi."+form, "", "", ""); resp.StatusCode != 200 || !strings.Contains(text, "list-hosts") {
			t.Errorf("openapi.%s: %s", form, resp.Status)
		}
	}
}
