package forgetest

import (
	"os"
)

// TB is what NewForTest needs of a *testing.T. The package must not import
// testing itself, because the demo embeds it.
type TB interface {
	Helper()
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
	Logf(format string, args ...any)
	TempDir() string
	Cleanup(f func())
}

// NewForTest starts an imitated github.com for one test: in a directory of its
// own, closed at the end, and with every violation of GitHub's own description
// reported as a test failure. Where that description is absent it says so in
// the log.
func NewForTest(t TB, o Options) *Server {
	t.Helper()
	if o.Dir == "" {
		o.Dir = t.TempDir()
	}
	o.Report = t.Errorf
	o.checks = loadChecks(t)
	s, err := New(o)
	if err != nil {
		t.Fatalf("%v", err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil && !os.IsTimeout(err) {
			t.Errorf("close imitated github.com: %v", err)
		}
	})
	return s
}
