package app

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"
)

// How often one address may try a token that is wrong, set out for GitHub, and call the
// API. Tokens of ours have 192 bits; the admin token has as many as its owner gave it.
const (
	guessesAtOnce, guessEvery = 10, 6 * time.Second
	visitsAtOnce, visitEvery  = 20, 6 * time.Second
	callsAtOnce, callEvery    = 1000, 50 * time.Millisecond

	// Refusals at the door that the history holds, from wherever: it is kept for years, and
	// strangers must not fill it. The log has all of them.
	refusalsAtOnce, refusalEvery = 20, time.Minute
)

// fenceLimits are the limits at the doors for people and programs.
type fenceLimits struct{ guesses, visits, calls, refusals *limits }

// limited are the limits of this replica, made on first use.
func (a *App) limited() *fenceLimits {
	a.fenceOnce.Do(func() {
		a.fence = fenceLimits{
			newLimits(guessEvery, guessesAtOnce, a.cfg.Now), newLimits(visitEvery, visitsAtOnce, a.cfg.Now), newLimits(callEvery, callsAtOnce, a.cfg.Now),
			newLimits(refusalEvery, refusalsAtOnce, a.cfg.Now),
		}
	})
	return &a.fence
}

type addressKey struct{}

// callerAddress is where a request comes from, as fenced found it.
func callerAddress(ctx context.Context) string {
	address, _ := ctx.Value(addressKey{}).(string)
	return address
}

// fenced stands before every address of the server: it finds out where a request comes
// from, also behind a proxy that we were told of, and slows down who calls the API too
// often.
func (a *App) fenced(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		at := clientAddress(r, a.cfg.trusted)
		r = r.WithContext(context.WithValue(r.Context(), addressKey{}, at))
		r.RemoteAddr = net.JoinHostPort(at, "0")
		if forPrograms(r.URL.Path) {
			calls := a.limited().calls
			if wait := calls.wait(limitOf(at)); wait > 0 {
				slowDown(w, wait, "Too many calls from this address.")
				return
			}
			calls.count(limitOf(at))
		}
		next.ServeHTTP(w, r)
	})
}

// forPrograms reports whether a path is one of the API that is not for hosts, which have
// limits of their own and may be many behind one address.
func forPrograms(path string) bool {
	return strings.HasPrefix(path, "/api/v1/") && path != "/api/v1/enroll" && !strings.HasPrefix(path, "/api/v1/agent/")
}

// limitOf is whom a limit counts: an address, or the network that one is given for a
// home where there are more addresses in it than anybody could try.
func limitOf(address string) string {
	at, err := netip.ParseAddr(address)
	if err != nil || at.Is4() || at.Is4In6() {
		return address
	}
	network, _ := at.WithZone("").Prefix(64) // every IPv6 address has one
	return network.String()
}

// clientAddress is the address that a request comes from. X-Forwarded-For counts only
// as far as proxies that we trust wrote it: from its end, up to the first address that
// is none of theirs.
func clientAddress(r *http.Request, trusted []netip.Prefix) string {
	at := address(r)
	theirs := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for i := len(theirs) - 1; i >= 0; i-- {
		proxy, err := netip.ParseAddr(at)
		if err != nil || !contains(trusted, proxy) {
			return at
		}
		before, err := netip.ParseAddr(strings.TrimSpace(theirs[i]))
		if err != nil {
			return at
		}
		at = before.Unmap().String()
	}
	return at
}

func contains(list []netip.Prefix, at netip.Addr) bool {
	for _, p := range list {
		if p.Contains(at.Unmap()) {
			return true
		}
	}
	return false
}

// proxies reads the setting with the proxies that we trust: addresses and networks.
func proxies(setting string) (list []netip.Prefix, err error) {
	for text := range strings.SplitSeq(setting, ",") {
		if text = strings.TrimSpace(text); text == "" {
			continue
		}
		p, err := netip.ParsePrefix(text)
		if err != nil {
			at, err := netip.ParseAddr(text)
			if err != nil {
				return nil, fmt.Errorf("NIXFLEET_TRUSTED_PROXIES: %q is neither an address nor a network such as 10.0.0.0/8", text)
			}
			p = netip.PrefixFrom(at, at.BitLen())
		}
		list = append(list, p)
	}
	return list, nil
}
