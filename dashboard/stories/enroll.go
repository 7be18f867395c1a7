package stories

import (
	"time"

	"github.com/nixfleet/nixfleet/fleet"
)

// enrolling are the stories of how a host comes into the fleet.
func (b book) enrolling() []Story {
	host := fleet.Host{Name: "web9", RepoID: 1, Attr: "nixosConfigurations.web9", Tags: []string{"canary", "web"}, Mode: "fleet"}
	page := func(name, about, role string, o fleet.Overview, n *fleet.Newcomer) Story {
		s := Story{Name: name, About: about, Path: "/enroll", Role: role, Overview: o, Newcomer: n}
		if n != nil {
			s.Path = "/enroll/web9"
		}
		return s
	}
	wait := &fleet.Newcomer{Host: host, Repo: "aurora/nixcfg", Expires: b.now.Add(41 * time.Minute)}
	over := &fleet.Newcomer{Host: host, Repo: "aurora/nixcfg", Expires: b.ago(3 * time.Minute)}
	over.Host.Attr = "darwinConfigurations.web9"
	host.EnrolledAt = b.ago(20 * time.Second)
	there := &fleet.Newcomer{Host: host, Repo: "aurora/nixcfg"}
	silent := b.fleet(append(b.nine(), host))
	host.LastSeen, host.Facts = b.ago(2*time.Second), b.nine()[0].Facts
	gone := *wait
	gone.Host.EnrolledAt, gone.Host.RevokedAt = b.ago(72*time.Hour), b.ago(time.Minute)
	idle := b.fleet(b.nine())
	return []Story{
		page("enroll", "The form for a new host. Its answer shows a token.", "admin", idle, nil),
		page("enroll-viewer", "A viewer is told why there is no form.", "viewer", idle, nil),
		page("enroll-no-repo", "There is nothing that a host could be built from.", "admin", fleet.Overview{At: b.now}, nil),
		page("enroll-waiting", "A machine is waited for.", "admin", idle, wait),
		page("enroll-expired", "The token has expired before a machine came.", "admin", idle, over),
		page("enroll-again", "A host whose machine was set up anew is waited for; an operator looks.", "operator", idle, &gone),
		page("enroll-enrolled", "The host is enrolled, and not heard yet.", "admin", silent, there),
		page("enroll-connected", "The host is there, and tells what it has.", "admin", b.fleet(append(b.nine(), host)), there),
	}
}
