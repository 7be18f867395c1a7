package fleet

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Newcomer is a host on its way into the fleet.
type Newcomer struct {
	Host    Host
	Repo    string    // owner/name
	Expires time.Time // of the one-time token that it may enrol with; zero: there is none
}

// Waits reports whether a machine may still enrol as this host.
func (n Newcomer) Waits() bool {
	return n.Host.EnrolledAt.IsZero() || !n.Host.RevokedAt.IsZero()
}

// Modes are how a host may be treated, see SPEC 8.
var Modes = []string{"fleet", "manual", "automatic"}

var attrName = regexp.MustCompile(`^(nixos|darwin|home)Configurations\.[A-Za-z0-9_@.-]+$`)

// selectorWords mean something in a selector, so no host may be called so.
var selectorWords = []string{"all", "and", "or", "not"}

// HostFaults says by field what is wrong with a host that is about to be added; empty
// where nothing is.
func HostFaults(h Host) map[string]string {
	faults := map[string]string{}
	switch {
	case h.Name == "":
		faults["name"] = "Give it a name."
	case !hostName.MatchString(h.Name) || strings.HasSuffix(h.Name, "-"):
		faults["name"] = "A name has up to 63 lower-case letters, digits and dashes, and begins and ends with a letter or a digit."
	case slices.Contains(selectorWords, h.Name):
		faults["name"] = fmt.Sprintf("%q means something else where hosts are picked (deploy.hosts), so no host can be called that.", h.Name)
	}
	if len(h.Attr) > 300 || !attrName.MatchString(h.Attr) {
		faults["attr"] = "An attribute is nixosConfigurations.NAME, darwinConfigurations.NAME or homeConfigurations.NAME, where NAME has letters, digits and _ @ . -"
	}
	for _, t := range h.Tags {
		if !tagName.MatchString(t) {
			faults["tags"] = fmt.Sprintf("%q is no tag: tags have up to 63 letters, digits, dots, dashes and underscores.", PlainLine(t, 80))
		}
	}
	if !slices.Contains(Modes, h.Mode) {
		faults["mode"] = "A mode is fleet, manual or automatic."
	}
	return faults
}
