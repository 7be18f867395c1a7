package fleet

import (
	"cmp"
	"regexp"
	"strconv"
	"strings"
)

var versionForm = regexp.MustCompile(`^v?([0-9]{1,9})(?:\.([0-9]{1,9}))?(?:\.([0-9]{1,9}))?(?:-([0-9A-Za-z.-]{1,100}))?(?:\+[0-9A-Za-z.-]{1,100})?$`)

// compareVersions orders two versions as semver.org 2.0 section 11 does; a leading
// v, and missing minor and patch numbers, are accepted. ok is false where either
// is no version, such as a development build: then nothing is known.
func compareVersions(a, b string) (order int, ok bool) {
	x, y := versionForm.FindStringSubmatch(a), versionForm.FindStringSubmatch(b)
	if x == nil || y == nil {
		return 0, false
	}
	for i := 1; i <= 3; i++ {
		m, _ := strconv.Atoi(orElse(x[i], "0"))
		n, _ := strconv.Atoi(orElse(y[i], "0"))
		if m != n {
			return cmp.Compare(m, n), true
		}
	}
	return comparePre(x[4], y[4]), true
}

// Outdated reports whether an agent's version is older than the one that is expected.
// One that can't be compared is not.
func Outdated(agent, expected string) bool {
	order, ok := compareVersions(agent, expected)
	return ok && order < 0
}

// comparePre orders pre-release parts; a release comes after all of its own.
func comparePre(a, b string) int {
	switch {
	case a == b:
		return 0
	case a == "":
		return 1
	case b == "":
		return -1
	}
	x, y := strings.Split(a, "."), strings.Split(b, ".")
	for i := range min(len(x), len(y)) {
		m, errM := strconv.Atoi(x[i])
		n, errN := strconv.Atoi(y[i])
		var c int
		switch {
		case errM == nil && errN == nil:
			c = cmp.Compare(m, n)
		case errM == nil:
			c = -1 // numbers come before words
		case errN == nil:
			c = 1
		default:
			c = strings.Compare(x[i], y[i])
		}
		if c != 0 {
			return c
		}
	}
	return cmp.Compare(len(x), len(y))
}
