// Package flakelock reads flake.lock files and says what differs between two of
// them.
//
// On the way from webhook to acknowledgement it stands right after the facts were
// read from GitHub: the bytes of two locks come in, the one at the merge base and
// the one at the head SHA. Out go a strictly checked graph ([Parse]), the account
// that Nix itself would print ([Compare], [Text]) and everything that is more than
// a new revision of the same source ([Inspect]). The proof in package fleet rests
// on the last: a lock update is safe only where Inspect finds nothing, or only what
// the policy allows.
//
// What may go wrong is a hostile or broken file. Parse refuses what Nix would read
// differently from a person: duplicate keys, invisible characters, cycles, inputs
// that are not locked, oversized graphs. Nix itself trusts "locked" wholesale and
// never compares it with "original", and an input that is listed once may be
// reached on many ways; Inspect does that comparison for every way. Attributes that
// this package does not know are kept and compared, so they can't hide a change.
package flakelock
