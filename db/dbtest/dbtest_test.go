package dbtest

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/nixfleet/nixfleet/fleet"
)

// victim makes the test binary a test process that waits to be killed.
const victim = "NIXFLEET_TEST_VICTIM"

func TestMain(m *testing.M) {
	if os.Getenv(victim) == "" {
		Main(m)
	}
	if _, err := shared.take(); err != nil {
		_, _ = fmt.Fprintln(os.Stdout, err)
		os.Exit(1)
	}
	_, _ = fmt.Fprintln(os.Stdout, shared.dir)
	select {}
}

func TestNothingIsLeftWhenTheTestProcessIsKilled(t *testing.T) {
	t.Parallel()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), victim+"=1")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	dir := strings.TrimSpace(line)
	if _, statErr := os.Stat(dir + "/pg/data/postmaster.pid"); err != nil || statErr != nil {
		t.Fatalf("the test process said %q, %v: %v", line, err, statErr)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	deadline := time.After(20 * time.Second)
	for {
		if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
			return // the directory goes after Postgres
		}
		select {
		case <-deadline:
			t.Fatalf("%s is still there", dir)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func TestEachTestBeginsEmpty(t *testing.T) {
	t.Parallel()
	for range 3 {
		t.Run("", func(t *testing.T) {
			d := New(t)
			repos, err := d.Repos(t.Context())
			if err != nil || len(repos) != 0 {
				t.Errorf("found %v, %v", repos, err)
			}
			repo := fleet.Repo{ID: 7, Owner: "o", Name: "r"}
			if err := d.Record(t.Context(), time.Unix(0, 0), fleet.PullTouched{Repo: repo, Number: 1}); err != nil {
				t.Fatal(err)
			}
			claimed, err := d.ClaimUpdates(t.Context(), time.Unix(0, 0), time.Minute, 1)
			if err != nil || len(claimed) != 1 || claimed[0].Update.ID != 1 {
				t.Errorf("claimed %+v, %v, want the first id", claimed, err)
			}
		})
	}
}
