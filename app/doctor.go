package app

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/nixfleet/nixfleet"
	"github.com/nixfleet/nixfleet/api"
)

// The states of a finding.
const (
	fine     = "ok"
	remark   = "note"    // it works, but not all of it
	wrong    = "wrong"   // it does not work
	notKnown = "unknown" // could not be found out
)

const (
	// examineWithin bounds an examination; the command line waits half a minute.
	examineWithin = 25 * time.Second

	// skewMost is how far our clock may be from GitHub's. GitHub refuses a signature
	// that lies in its future, and a minute is allowed for in ours.
	skewMost = 30 * time.Second
)

// examination collects findings, in the order in which things rest on each other.
type examination struct {
	a        *App
	manifest nixfleet.Manifest
	findings []api.Finding
}

// add notes a finding. Where all is well there is nothing to do about it.
func (x *examination) add(check, state, found, remedy string) {
	if state == fine {
		remedy = ""
	}
	x.findings = append(x.findings, api.Finding{Check: check, State: state, Found: found, Remedy: remedy})
}

// Examine looks at everything that has to work. It shows no secret: what it says of
// them is where they come from.
func (s service) Examine(ctx context.Context) (api.Report, error) {
	m, err := nixfleet.AppManifest()
	if err != nil {
		return api.Report{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, examineWithin)
	defer cancel()
	x := &examination{a: s.a, manifest: m}
	x.database(ctx)
	x.bus(ctx)
	x.receivers(ctx)
	if x.credentials() {
		x.clock(ctx)
		x.github(ctx)
	}
	return api.Report{
		At: s.a.cfg.Now(), Findings: x.findings,
		OK: !slices.ContainsFunc(x.findings, func(f api.Finding) bool { return f.State == wrong }),
	}, nil
}

func (x *examination) database(ctx context.Context) {
	const check = "database"
	stats, err := x.a.db.Stats(ctx, x.a.cfg.Now())
	switch {
	case err != nil:
		x.a.log.Warn().Ctx(ctx).Err(err).Msg("examination: database")
		x.add(check, wrong, "It does not answer.", "Look at the server's log, and at NIXFLEET_DATABASE_URL where it is set.")
	case stats.InboxLag > time.Minute:
		x.add(check, wrong, fmt.Sprintf("It answers, but %d webhooks wait to be worked on, the oldest for %s.", stats.InboxWaiting, stats.InboxLag.Round(time.Second)),
			"Look at the server's log for what keeps them.")
	default:
		x.add(check, fine, "It answers, and no webhook waits.", "")
	}
}

// receivers tells of those who can't be told anything.
func (x *examination) receivers(ctx context.Context) {
	const check = "notifications"
	known, err := x.a.db.Receivers(ctx)
	if err != nil {
		x.add(check, notKnown, "The receivers could not be read.", "Look at the server's log.")
		return
	}
	var failing []string
	for _, r := range known {
		if r.Enabled && !r.FailingSince.IsZero() {
			failing = append(failing, fmt.Sprintf("%s since %s (%s)", r.Name, r.FailingSince.UTC().Format("2 January 15:04 UTC"), r.LastError))
		}
	}
	switch {
	case len(failing) > 0:
		x.add(check, wrong, "These can't be reached: "+list(failing)+".", "Correct the address under "+x.a.cfg.URL+"/settings/notifications, and send a test there.")
	case len(known) == 0:
		x.add(check, fine, "Nobody is told anything; there is no receiver.", "")
	default:
		x.add(check, fine, fmt.Sprintf("The last message to each of %d receivers went well, where there was one.", len(known)), "")
	}
}

func (x *examination) bus(ctx context.Context) {
	if err := x.a.bus.Healthy(ctx); err != nil {
		x.a.log.Warn().Ctx(ctx).Err(err).Msg("examination: bus")
		x.add("bus", wrong, "NATS does not answer; hosts get no orders.", "Look at the server's log, and at NIXFLEET_NATS_URL where it is set.")
		return
	}
	x.add("bus", fine, "NATS answers.", "")
	x.busCertificate()
}

// certificateSoon is when the end of a certificate is worth a word. The server's own
// is renewed before.
const certificateSoon = 14 * 24 * time.Hour

// busCertificate looks at what the embedded NATS presents to hosts.
func (x *examination) busCertificate() {
	const check = "bus certificate"
	if x.a.door.expires == nil {
		return
	}
	ends := x.a.door.expires()
	left := ends.Sub(x.a.cfg.Now())
	found := fmt.Sprintf("It is valid until %s.", ends.UTC().Format("2 January 2006 15:04 UTC"))
	switch {
	case left <= 0:
		x.add(check, wrong, "It ended on "+ends.UTC().Format("2 January 2006 15:04 UTC")+"; hosts use only the way through the server.", "Renew the certificate that NIXFLEET_NATS_TLS_CERT_FILE names.")
	case left < certificateSoon:
		x.add(check, remark, found, "Renew the certificate that NIXFLEET_NATS_TLS_CERT_FILE names; it is read again by itself.")
	default:
		x.add(check, fine, found, "")
	}
}

// credentials reports whether there is an App to ask GitHub about.
func (x *examination) credentials() bool {
	const check = "credentials"
	a := x.a
	c := a.setup.app.Load()
	if c == nil {
		found := "There is no GitHub App yet."
		if problem := a.setup.sealed.Load(); problem != nil {
			found = *problem
		}
		x.add(check, wrong, found, "Open "+a.cfg.URL+nixfleet.SetupPath+", or run `nixfleet setup`.")
		return false
	}
	file, from := a.cfg.GitHubPrivateKeyFile, fmt.Sprintf("App %d, named by the settings", c.appID)
	if !c.settings {
		file, from = a.seal.file, fmt.Sprintf("App %s (%d), created by the set-up and sealed with %s", c.slug, c.appID, a.seal.file)
	}
	if info, err := os.Stat(file); err == nil && info.Mode().Perm()&0o077 != 0 {
		x.add(check, remark, fmt.Sprintf("%s. Others on this machine may read %s (mode %04o).", from, file, info.Mode().Perm()), "Run: chmod 600 "+file)
		return true
	}
	x.add(check, fine, from+".", "")
	return true
}

func (x *examination) clock(ctx context.Context) {
	const check = "clock"
	theirs, err := x.a.forge.Clock(ctx)
	if err != nil {
		x.add(check, notKnown, err.Error(), "Check that the server reaches "+x.a.cfg.GitHubAPIURL+" (network, proxy, firewall).")
		return
	}
	skew := x.a.cfg.Now().Sub(theirs).Round(time.Second)
	if skew.Abs() <= skewMost {
		x.add(check, fine, "Agrees with GitHub's.", "")
		return
	}
	where := "ahead of"
	if skew < 0 {
		where = "behind"
	}
	x.add(check, wrong, fmt.Sprintf("The server's clock is %s %s GitHub's.", skew.Abs(), where), "Set the clock, e.g. with NTP (`timedatectl set-ntp true`).")
}

// list joins names for a sentence.
func list(names []string) string { return strings.Join(names, ", ") }
