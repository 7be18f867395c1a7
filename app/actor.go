package app

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/nixfleet/nixfleet/db"
	"github.com/nixfleet/nixfleet/fleet"
)

// An actor's login says who acted and by which way, so that the history can tell them
// apart for good: "alice" signed in with GitHub, "alice (token ci)" is her program,
// "alice (local)" used a link or the admin token of the server's own machine, and need
// not be the same person. No login on GitHub has a blank or a bracket.

// stranger is who the history names where nobody is known.
const stranger = "a stranger"

// localName is what may stand for somebody who signs in past GitHub.
var localName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,38}$`)

// actorOf is whom a session of an owner belongs to.
func actorOf(o db.Owner) fleet.Actor {
	if o.Person != 0 {
		return fleet.Actor{ID: o.Person, Login: o.Actor, Type: "User"}
	}
	return fleet.Actor{Login: o.Actor + " (local)", Type: "local"}
}

// tokenActor is an owner's program.
func tokenActor(o db.Owner, name string) fleet.Actor {
	if o.Person != 0 {
		return fleet.Actor{ID: o.Person, Login: fmt.Sprintf("%s (token %s)", o.Actor, name), Type: "token"}
	}
	return fleet.Actor{Login: fmt.Sprintf("%s (local, token %s)", o.Actor, name), Type: "token"}
}

// ownerOf is whose sessions and tokens an actor's are.
func ownerOf(a fleet.Actor) db.Owner {
	name, _, _ := strings.Cut(a.Login, " (")
	return db.Owner{Person: a.ID, Actor: name}
}
