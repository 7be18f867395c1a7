package app

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/nixfleet/nixfleet"
	"github.com/nixfleet/nixfleet/forge"
)

// github looks at the App as GitHub has it.
func (x *examination) github(ctx context.Context) {
	about, err := x.a.forge.About(ctx)
	switch code := forge.CodeOf(err); {
	case code == http.StatusUnauthorized || code == http.StatusNotFound:
		x.add("app", wrong, err.Error(), "GitHub does not know the App by this id and private key. Check that they belong together and that the clock is right; make a new private key on the App's page; or, if the App was deleted, set NixFleet up anew.")
		return
	case err != nil:
		x.add("app", wrong, err.Error(), "Check that the server reaches "+x.a.cfg.GitHubAPIURL+" (network, proxy, firewall).")
		return
	}
	x.add("app", fine, fmt.Sprintf("GitHub knows it as %s, which belongs to %s.", about.Slug, about.Owner), "")
	page := x.settingsPage(about)
	x.permissions("permissions", "The App", about.Permissions, "Change them on "+page+"/permissions, then have the owner of each installation accept.")
	x.events(about.Events, page)
	x.installations(ctx, about)
	x.webhook(ctx, page)
	x.delivery(ctx)
	x.secrets()
	x.signIn(ctx, page)
}

// settingsPage is where the App's owner changes it.
func (x *examination) settingsPage(about forge.About) string {
	web := strings.TrimSuffix(x.a.cfg.GitHubWebURL, "/")
	if about.OwnedByOrg {
		web += "/organizations/" + about.Owner
	}
	return web + "/settings/apps/" + about.Slug
}

// permissions compares what somebody grants with app.yml. It reports whether nothing
// is missing.
func (x *examination) permissions(check, who string, have map[string]string, remedy string) bool {
	var lacks, misses, extra []string
	for _, name := range slices.Sorted(maps.Keys(x.manifest.Permissions)) {
		want := x.manifest.Permissions[name]
		switch missed, optional := x.manifest.Optional[name]; {
		case forge.Covers(have[name], want):
		case optional:
			misses = append(misses, fmt.Sprintf("%s: %s (%s)", name, want, strings.TrimSuffix(missed, ".")))
		default:
			lacks = append(lacks, name+": "+want)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(have)) {
		if !forge.Covers(x.manifest.Permissions[name], have[name]) {
			extra = append(extra, name+": "+have[name])
		}
	}
	switch {
	case len(lacks) > 0:
		x.add(check, wrong, who+" lacks "+list(lacks)+".", remedy)
	case len(misses) > 0:
		x.add(check, remark, who+" does without the optional "+list(misses)+".", remedy)
	case len(extra) > 0:
		x.add(check, remark, who+" may do more than NixFleet needs: "+list(extra)+".", remedy)
	default:
		x.add(check, fine, who+" may do what app.yml asks for, and no more.", "")
	}
	return len(lacks) == 0 && len(misses) == 0
}

func (x *examination) events(have []string, page string) {
	const check = "events"
	remedy := "Change them on " + page + "/permissions, under “Subscribe to events”."
	var missing, extra []string
	for _, e := range x.manifest.Events {
		if !slices.Contains(have, e) {
			missing = append(missing, e)
		}
	}
	for _, e := range have {
		if !slices.Contains(x.manifest.Events, e) {
			extra = append(extra, e)
		}
	}
	switch {
	case len(missing) > 0:
		x.add(check, wrong, "GitHub does not tell us of "+list(missing)+".", remedy)
	case len(extra) > 0:
		x.add(check, remark, "GitHub also tells us of "+list(extra)+", which nothing handles.", remedy)
	default:
		x.add(check, fine, fmt.Sprintf("GitHub tells us of the %d events that are handled.", len(have)), "")
	}
}

func (x *examination) installations(ctx context.Context, about forge.About) {
	const check = "installation"
	grants, err := x.a.forge.Grants(ctx)
	if err != nil {
		x.add(check, notKnown, err.Error(), "Run this again.")
		return
	}
	install := about.HTMLURL + "/installations/new"
	if len(grants) == 0 {
		x.add(check, wrong, "The App is installed nowhere, so it sees no repository.", "Install it: "+install)
		return
	}
	for _, g := range grants {
		if g.Suspended {
			x.add(check, remark, g.Account+" has suspended the App; nothing happens in its repositories.", "Resume it: "+g.HTMLURL)
			continue
		}
		x.permissions(check, "The installation of "+g.Account, g.Permissions, "Have its owner accept the App's permissions: "+g.HTMLURL)
	}
	repos, err := x.a.db.Repos(ctx)
	switch {
	case err != nil:
		return // the database has its own finding
	case len(repos) == 0:
		x.add("repositories", wrong, "No repository is watched.", "Add one to an installation: "+install)
	default:
		names := make([]string, len(repos))
		for i, r := range repos {
			names[i] = r.FullName()
		}
		x.add("repositories", fine, "Watched: "+list(names)+".", "")
	}
}

func (x *examination) webhook(ctx context.Context, page string) {
	const check = "webhook"
	hook, err := x.a.forge.Hook(ctx)
	ours := x.a.cfg.URL + nixfleet.HookPath
	remedy := "Change it on " + page + ", under “Webhook”."
	switch {
	case err != nil:
		x.add(check, notKnown, err.Error(), "Run this again.")
	case hook.URL != ours:
		x.add(check, wrong, fmt.Sprintf("GitHub sends webhooks to %s; this server is %s.", hook.URL, ours), remedy+" Or set NIXFLEET_URL to the server's address.")
	case hook.ContentType != "json":
		x.add(check, wrong, "GitHub sends webhooks as "+hook.ContentType+"; they are refused.", remedy+" The content type must be application/json.")
	case !hook.Secret:
		x.add(check, wrong, "No secret is set at GitHub; unsigned webhooks are refused.", remedy+" Set the secret that the server has.")
	case x.a.unreachable():
		x.add(check, remark, "GitHub can't reach "+ours+", so changes take up to five minutes to be noticed.", "Set NIXFLEET_URL to the address that the server has on the internet, restart it, and change the webhook's address.")
	case hook.Insecure:
		x.add(check, remark, "GitHub does not check the certificate of "+ours+".", remedy+" Enable SSL verification.")
	default:
		x.add(check, fine, "GitHub sends webhooks to "+ours+", signed.", "")
	}
}

// delivery has GitHub bring a webhook once more, and waits until it has.
func (x *examination) delivery(ctx context.Context) {
	const check = "delivery"
	latest, err := x.a.forge.LatestDeliveries(ctx)
	if err != nil {
		x.add(check, notKnown, err.Error(), "Run this again.")
		return
	}
	if len(latest) == 0 {
		x.add(check, notKnown, "GitHub has sent no webhook in the last three days, so there is none to send again.", "Push to a watched repository, or edit the description of a pull request; then run this again.")
		return
	}
	sample := latest[0]
	if i := slices.IndexFunc(latest, func(d forge.HookDelivery) bool { return d.Event == "ping" }); i >= 0 {
		sample = latest[i]
	}
	again, err := x.a.deliverAgain(ctx, sample, latest)
	if errors.Is(err, context.DeadlineExceeded) {
		x.add(check, notKnown, fmt.Sprintf("GitHub was asked to send a webhook (%s) again, and has not within %s.", sample.Event, deliverWithin), "Run this again in a minute.")
		return
	}
	if err != nil {
		x.add(check, notKnown, err.Error(), "Run this again.")
		return
	}
	if !again.Arrived() {
		x.add(check, wrong, fmt.Sprintf("GitHub sent a webhook (%s) again and got %s.", sample.Event, answerText(again.Code)), x.undelivered(again.Code))
		return
	}
	if unknown, err := x.a.db.UnknownDeliveries(ctx, []string{sample.GUID}); err != nil || len(unknown) > 0 {
		x.add(check, wrong, "GitHub sent a webhook again and was told that it arrived, but it is not in our database.", "Another program answers at "+x.a.cfg.URL+nixfleet.HookPath+"; check the proxy in front of this server.")
		return
	}
	x.add(check, fine, fmt.Sprintf("GitHub sent a webhook (%s) again, and it arrived.", sample.Event), "")
}

func answerText(code int) string {
	if code == 0 {
		return "no answer"
	}
	return strings.TrimSpace(fmt.Sprintf("the answer %d %s", code, http.StatusText(code)))
}

// undelivered is what to do when GitHub got some other answer than ours.
func (x *examination) undelivered(code int) string {
	at := x.a.cfg.URL + nixfleet.HookPath
	switch {
	case code == http.StatusUnauthorized:
		return "The webhook's secret at GitHub is not one of the server's. Set the same: docs/setup.md says how to change it without a gap."
	case code == http.StatusRequestEntityTooLarge:
		return "The proxy in front of this server refuses large bodies; let it pass 25 MB at " + at + "."
	case code == http.StatusNotFound, code == http.StatusForbidden, code >= 300 && code < 400:
		return "Something in front of this server does not pass POST " + at + " on; check its routes and its sign-in."
	case code >= 500 && code != http.StatusBadGateway && code != http.StatusGatewayTimeout:
		return "Look at the server's log."
	default:
		return "GitHub could not reach " + at + ": check DNS, certificate, firewall and proxy."
	}
}

// secrets says which webhook secret GitHub uses, where that is known: GitHub does not
// tell, but what it has signed does.
func (x *examination) secrets() {
	const check = "webhook secret"
	c := x.a.setup.app.Load()
	at, last := x.a.lastSigned()
	switch {
	case last < 0 && len(c.webhook) > 1:
		x.add(check, notKnown, "Two are live. Which one GitHub uses is not known: no webhook has come since this replica started.", "Run this again once one has come.")
	case last < 0:
		x.add(check, fine, "One is live.", "")
	case len(c.webhook) == 1:
		x.add(check, fine, "One is live, and GitHub used it at "+at+".", "")
	case last == 0:
		x.add(check, remark, "Two are live. GitHub used the first at "+at+".", "If the first is the new one, the rotation can end: see docs/setup.md.")
	default:
		x.add(check, remark, "Two are live. GitHub used the second at "+at+".", "If the first is the new one, set it at GitHub; the rotation is not finished.")
	}
}
