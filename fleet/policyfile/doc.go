// Package policyfile reads `.github/nixfleet.yml` (SPEC 8) into a fleet.Policy.
//
// On the way from webhook to acknowledgement it stands beside package fleet: the
// bytes of the file on the base branch come in, the policy that every decision
// rests on goes out. It is strict, because a setting that is misspelt and passed
// over merges what nobody wanted: unknown and repeated keys, wrong kinds, values
// out of range, anchors and aliases are all refused. What is left out has the
// value of fleet.DefaultPolicy.
//
// What may go wrong comes back as an [*Error] that lists every problem with line,
// column, the path of the setting, what was found and what is allowed there. While
// the file is broken nothing merges.
package policyfile
