package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// logServer has one order of web1, in two parts, of which the second comes when it
// is followed, unless ended says that it never comes.
func logServer(t *testing.T, whole, ended bool) string {
	t.Helper()
	const one, two = `{"from":0,"to":4,"text":"one\n"}`, `{"from":4,"to":8,"text":"two\n"}`
	const change = `"change":{"from":{"path":"/x"},"to":{"path":"/y"},"packages":[{"name":"nginx","from":["1.26.1"],"to":["1.26.2"],"bytes":12595}],"size_from":1024,"size_to":13619}`
	end := ""
	if ended {
		end = `"ended":"2026-11-22T12:00:00Z",`
	}
	part := func(chunks string, next int, whole bool) string {
		return fmt.Sprintf(`{"order":"O1","host":"web1","chunks":[%s],"next":%d,"whole":%v,%s%s}`, chunks, next, whole, end, change)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/v1/hosts/web1/log", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(part(one, 4, false)))
	})
	mux.HandleFunc("GET /api/v1/orders/O1/log", func(w http.ResponseWriter, r *http.Request) {
		switch from := r.URL.Query().Get("from"); {
		case from == "0":
			_, _ = w.Write([]byte(part(one, 4, false)))
		case from == "4" && whole:
			_, _ = w.Write([]byte(part(two, 8, true)))
		case from == "4":
			_, _ = w.Write([]byte(part("", 4, false)))
		default:
			_, _ = w.Write([]byte(part("", 8, true)))
		}
	})
	mux.HandleFunc("GET /api/v1/orders/O1/log/stream", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Last-Event-ID") != "4" {
			t.Errorf("followed from %q", r.Header.Get("Last-Event-ID"))
		}
		_, _ = fmt.Fprintf(w, "event: chunk\nid: 8\ndata: %s\n\nevent: end\ndata: {\"whole\":true}\n\n", two)
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server.URL
}

const printedChange = "\nWhat order O1 changes:\n  nginx: 1.26.1 → 1.26.2, +12.3 KiB\n  closure: 1.0 KiB → 13.3 KiB, +12.3 KiB\n"

func TestLogsPrintWhatAnOrderPrintedAndChanges(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		whole, ended bool
		args         []string
		want         string
	}{
		"all of it":         {true, true, nil, "one\ntwo\n" + printedChange},
		"by order":          {true, true, []string{"--order", "O1"}, "one\ntwo\n" + printedChange},
		"followed":          {false, false, []string{"--follow"}, "one\ntwo\n" + printedChange},
		"under way":         {false, false, nil, "one\n" + printedChange + "\nOrder O1 is under way; with --follow you see it go on.\n"},
		"the rest is away":  {false, true, nil, "one\n" + printedChange + "\nweb1 has not sent the rest of what it printed.\n"},
		"nothing to follow": {true, true, []string{"-f"}, "one\ntwo\n" + printedChange},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			address := logServer(t, c.whole, c.ended)
			out, errOut, code := nixfleet(append([]string{"logs", "--server", address, "--token", "t", "web1"}, c.args...)...)
			if code != 0 || out != c.want {
				t.Errorf("exit %d, %s\n%s", code, errOut, out)
			}
		})
	}
}

func TestLogsAsJSONAreALineForEachPiece(t *testing.T) {
	t.Parallel()
	out, _, code := nixfleet("logs", "--server", logServer(t, false, false), "--token", "t", "--json", "-f", "web1")
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if code != 0 || len(lines) != 3 || !strings.Contains(lines[0], `"text":"one\n"`) || !strings.Contains(lines[1], `"from":4`) ||
		!strings.Contains(lines[2], `"chunks":[],"next":8,"whole":true`) || !strings.Contains(lines[2], `"name":"nginx"`) {
		t.Errorf("exit %d:\n%s", code, out)
	}
}

func TestLogsOfAnotherHostsOrderAreRefused(t *testing.T) {
	t.Parallel()
	_, errOut, code := nixfleet("logs", "--server", logServer(t, true, true), "--token", "t", "--order", "O1", "web2")
	if code != 2 || !strings.Contains(errOut, "order O1 is one of web1, not of web2") {
		t.Errorf("exit %d: %s", code, errOut)
	}
}
