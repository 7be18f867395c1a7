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
	keys := knownKeys(t)
	for _, key := range keys {
		if !regexp.MustCompile(`\b` + key + `:`).MatchString(example) {
			t.Errorf("the key %s is not in the example", key)
		}
	}
	if len(keys) < 30 {
		t.Errorf("only %d keys found in the reader's source; the pattern no longer fits it", len(keys))
	}
}

// knownKeys finds the keys that the reader knows in its source.
func knownKeys(t *testing.T) (keys []string) {
	t.Helper()
	sources, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	known := regexp.MustCompile(`(?m)^\s*"([a-z_]+)":\s+func\(v value\)`)
	for _, file := range sources {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range known.FindAllStringSubmatch(string(text), -1) {
			keys = append(keys, m[1])
		}
	}
	return keys
}
