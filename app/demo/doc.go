// Package demo shows the whole product on one machine, with no account needed: an
// imitated github.com with real git repositories, the same server that `nixfleet
// serve` runs, and nine hosts whose agents really pull, build with Nix and switch
// private profiles.
//
// It is the way from webhook to acknowledgement, end to end. The demo plays the
// two parts that are not ours: the people and robots on GitHub, who open pull
// requests and turn checks green, and the machines. It holds no shortcut into the
// server; what it shows is what a real fleet would do.
package demo
