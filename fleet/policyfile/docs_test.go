package policyfile

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// The page shows every key that the reader knows, and what it shows is valid.
func TestThePolicyPageShowsEveryKey(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/policy.md")
	if err != nil {
		t.Fatal(err)
	}
	_, example, _ := strings.Cut(string(page), "```yaml\n")
	example, _, _ = strings.Cut(example, "```")
	if _, err := Parse([]byte(example), "docs/policy.md"); err != nil {
		t.Errorf("the example is not valid: %v", err)
	}
	sources, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	known := regexp.MustCompile(`(?m)^\s*"([a-z_]+)":\s+func\(v value\)`)
	keys := 0
	for _, file := range sources {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range known.FindAllStringSubmatch(string(text), -1) {
			keys++
			if !regexp.MustCompile(`\b` + m[1] + `:`).MatchString(example) {
				t.Errorf("the key %s (%s) is not in the example", m[1], file)
			}
		}
	}
	if keys < 30 {
		t.Errorf("only %d keys found in the reader's source; the pattern no longer fits it", keys)
	}
}
