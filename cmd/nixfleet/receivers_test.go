package main

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nixfleet/nixfleet/api"
)

// receiverServer answers as a server with one receiver, and keeps what was put.
func receiverServer(t *testing.T, tests ...string) (flags []string, put *api.NewReceiver) {
	put = &api.NewReceiver{}
	asked := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer := ""
		switch r.Method + " " + r.URL.Path {
		case "GET /api/v1/receivers":
			answer = `{"receivers":[{"name":"ops","service":"Slack","enabled":true,"waiting":2,"rule":{"on":["merged","failed"],"tz":"Europe/Vienna","quiet_from":"22:00","quiet_to":"07:00"},
				"last_sent":"2026-11-26T06:00:00Z","failing_since":"2026-11-26T07:00:00Z","last_error":"403 \u001b[31m"}]}`
		case "PUT /api/v1/receivers/ops", "PUT /api/v1/receivers/dev":
			_ = json.NewDecoder(r.Body).Decode(put)
			answer = `{"name":"ops","service":"ntfy","rule":{"on":["merged"]}}`
		case "POST /api/v1/receivers/ops/test":
			w.WriteHeader(http.StatusAccepted)
		case "GET /api/v1/receivers/ops/deliveries":
			answer = `{"deliveries":[` + tests[min(asked, len(tests)-1)] + `]}`
			asked++
		case "DELETE /api/v1/receivers/ops":
			w.WriteHeader(http.StatusNoContent)
		default:
			w.WriteHeader(http.StatusNotFound)
		}
		_, _ = io.WriteString(w, answer)
	}))
	t.Cleanup(server.Close)
	return []string{"--server", server.URL, "--token", "secret"}, put
}

func TestReceiversFromTheCommandLine(t *testing.T) {
	t.Parallel()
	const failed, sent = `{"id":2,"event":"test","state":"waiting","attempts":1,"error":"403"}`, `{"id":2,"event":"test","state":"sent","attempts":1}`
	for name, tt := range map[string]struct {
		args  []string
		tests []string
		code  int
		want  string
	}{
		"list":        {[]string{"receivers"}, nil, 0, "RECEIVER  SERVICE  EVENTS  WAITING  LAST              STATE\nops       Slack    2       2        2026-11-26 06:00  failing since 2026-11-26 07:00: 403  [31m\n"},
		"a good test": {[]string{"receivers", "test", "ops"}, []string{`{"id":1,"event":"test","state":"sent","attempts":1}`, `{"id":2,"event":"test","state":"waiting"}`, sent}, 0, "ops took the test.\n"},
		"a bad test":  {[]string{"receivers", "test", "ops"}, []string{``, failed}, 1, "nixfleet: the test did not reach ops: 403\n"},
		"remove":      {[]string{"receivers", "remove", "ops"}, nil, 0, "The receiver ops is removed; nothing more is sent to it.\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			flags, _ := receiverServer(t, tt.tests...)
			var out bytes.Buffer
			if code := run(append(tt.args, flags...), strings.NewReader(""), &out, &out); code != tt.code || out.String() != tt.want {
				t.Errorf("exit %d:\n%s\nwant %d:\n%s", code, out.String(), tt.code, tt.want)
			}
		})
	}
}

func TestAReceiverIsAddedWithoutItsAddressInTheArguments(t *testing.T) {
	t.Parallel()
	flags, put := receiverServer(t)
	var out bytes.Buffer
	args := []string{"receivers", "add", "dev", "--address-file", "-", "--on", "merged", "--digest", "6h", "--urgent", "none", "--off"}
	if code := run(append(args, flags...), strings.NewReader("ntfy://ntfy.sh/secret\n"), &out, &out); code != 0 {
		t.Fatal(out.String())
	}
	if put.Address != "ntfy://ntfy.sh/secret" || len(put.Rule.On) != 1 || put.Rule.Every != 6 || !put.Rule.Patient || *put.Enabled {
		t.Errorf("it put %+v %+v", put, put.Rule)
	}
	flags, put = receiverServer(t)
	file := filepath.Join(t.TempDir(), "address")
	if err := os.WriteFile(file, []byte("slack://hook:x@webhook"), 0o600); err != nil {
		t.Fatal(err)
	}
	if code := run(append([]string{"receivers", "add", "ops", "--address-file", file, "--quiet", "none", "--digest", "08:00"}, flags...), strings.NewReader(""), &out, &out); code != 0 {
		t.Fatal(out.String())
	}
	if put.Address != "slack://hook:x@webhook" || put.Rule.QuietFrom != "" || put.Rule.TZ != "Europe/Vienna" || put.Rule.DigestAt != "08:00" || put.Enabled != nil {
		t.Errorf("what was not said did not stay: %+v %+v", put, put.Rule)
	}
	for _, bad := range [][]string{{"--quiet", "22"}, {"--digest", "xh"}, {"--address-file", "/nowhere"}} {
		if code := run(append(append([]string{"receivers", "add", "ops"}, bad...), flags...), strings.NewReader(""), &out, &out); code != 1 {
			t.Errorf("%v came to exit %d", bad, code)
		}
	}
}
