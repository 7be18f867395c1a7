package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

func parse(t *testing.T, args ...string) (*cli, *kong.Context, error) {
	t.Helper()
	var top cli
	parser, err := kong.New(&top, kong.Writers(&bytes.Buffer{}, &bytes.Buffer{}))
	if err != nil {
		t.Fatal(err)
	}
	ctx, err := parser.Parse(args)
	return &top, ctx, err
}

func TestFlags(t *testing.T) {
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte("secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, args, want string // want is within the error; "" means none
	}{
		{"enrol with a token", "enroll --server https://x --token t", ""},
		{"enrol with a file", "enroll --server https://x --token-file " + token, ""},
		{"enrol without a token", "enroll --server https://x", "token"},
		{"enrol with both", "enroll --server https://x --token t --token-file " + token, "token"},
		{"run", "run --state-dir /x", ""},
		{"run on an unknown platform", "run --platform plan9", "platform"},
		{"supervise without a job", "supervise", "job"},
		{"status", "status", ""},
		{"resume", "resume --state-dir /x", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, _, err := parse(t, strings.Fields(tt.args)...)
			if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
		})
	}
}

func TestProtocolsDefault(t *testing.T) {
	top, _, err := parse(t, "run")
	if err != nil || strings.Join(top.Run.Protocols, " ") != "https ssh" {
		t.Errorf("protocols %v, %v", top.Run.Protocols, err)
	}
}
