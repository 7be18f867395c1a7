package notify

import (
	"cmp"
	"context"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"net"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/nicholas-fedor/shoutrrr/pkg/router"

	"github.com/nixfleet/nixfleet/fleet"
)

// failure is an error whose text holds nothing secret. It wraps nothing: what it was
// made of does.
type failure string

func (f failure) Error() string { return string(f) }

const (
	// shortest is how long a part of an address must be to be found in a text without
	// finding it everywhere. Where a secret is shorter, nothing of the text is told.
	shortest = 4

	maxFailure = 300
)

// scrubbed is what may be told of an error that an address led to.
func scrubbed(err error, address string) error {
	if err == nil {
		return nil
	}
	if what := class(err); what != "" {
		return failure(what)
	}
	secrets, all := secretsOf(address)
	if !all {
		return failure("it did not work; the address holds a secret too short to tell more")
	}
	text := err.Error()
	for _, s := range secrets {
		text = strings.ReplaceAll(text, s, "…")
	}
	return failure(fleet.PlainLine(addresses.ReplaceAllString(text, "$1://…"), maxFailure))
}

// addresses are whatever looks like one, the receiver's own among them.
var addresses = regexp.MustCompile(`\b([a-zA-Z][a-zA-Z0-9+.-]*)://[^\s"'<>]+`)

// classes are the failures that have short words. The library passes most causes on as
// text only.
var classes = []struct {
	is   func(error) bool
	said []string
	what string
}{
	{is[*net.DNSError], []string{"no such host"}, "the name of the server is not known"},
	{is[x509.UnknownAuthorityError], []string{"x509:", "tls: failed to verify"}, "the certificate of the server is not valid"},
	{func(err error) bool {
		return errors.Is(err, router.ErrServiceTimeout) || errors.Is(err, context.DeadlineExceeded)
	}, []string{"Client.Timeout", "i/o timeout", "deadline exceeded"}, "no answer in time"},
	{func(error) bool { return false }, []string{"connection refused", "no route to host", "network is unreachable"}, "the server does not answer"},
	{func(error) bool { return false }, []string{"connection reset", "EOF"}, "the server hung up"},
	{func(err error) bool { return errors.Is(err, router.ErrInitializeFailed) }, nil, "the address is not what this service takes; docs/notifications.md shows what one looks like"},
}

func is[T error](err error) bool {
	_, ok := errors.AsType[T](err)
	return ok
}

// class says in a few words of ours what kind of failure it is.
func class(err error) string {
	text := err.Error()
	for _, c := range classes {
		if c.is(err) || slices.ContainsFunc(c.said, func(s string) bool { return strings.Contains(text, s) }) {
			return c.what
		}
	}
	return ""
}

// secretsOf are the parts of an address that must not be told, longest first, in the
// spellings in which they may turn up. all is false where one is too short to be found.
func secretsOf(address string) (secrets []string, all bool) {
	all = true
	seen := map[string]bool{}
	add := func(s string, must bool) {
		if s == "" || seen[s] {
			return
		}
		seen[s] = true
		if len(s) < shortest {
			all = all && !must
			return
		}
		secrets = append(secrets, s, url.QueryEscape(s), url.PathEscape(s), base64.StdEncoding.EncodeToString([]byte(s)))
	}
	add(address, false)
	u, err := url.Parse(address)
	if err != nil {
		// Nobody knows which parts of it are secret.
		return nil, false
	}
	add(u.User.Username(), true)
	password, _ := u.User.Password()
	add(password, true)
	if password != "" {
		add(u.User.Username()+":"+password, false)
	}
	kind, _, _ := strings.Cut(u.Scheme, "+")
	if !slices.Contains(publicHosts, strings.ToLower(kind)) {
		add(u.Host, true)
		add(u.Hostname(), true)
	}
	for _, text := range []string{u.Path, u.EscapedPath(), u.Fragment} {
		add(text, false)
		for part := range strings.SplitSeq(text, "/") {
			add(part, false)
			for word := range strings.SplitSeq(part, ":") {
				add(word, false)
			}
		}
	}
	for _, values := range u.Query() {
		for _, v := range values {
			add(v, false)
			for part := range strings.SplitSeq(v, " ") {
				add(part, false)
			}
		}
	}
	add(u.RawQuery, false)
	slices.SortFunc(secrets, func(a, b string) int { return cmp.Or(len(b)-len(a), strings.Compare(a, b)) })
	return secrets, all
}

// publicHosts are the services whose address names a server where others have a token.
var publicHosts = []string{"generic", "gotify", "lark", "matrix", "mattermost", "ntfy", "rocketchat", "signal", "smtp", "zulip", "bark"}
