// Package fleet is the domain of NixFleet: updates, policy, proof, decisions,
// rollouts, hosts and their three compartments.
//
// On the way from webhook to acknowledgement it is the only place that decides.
// Facts come in, already stored: what GitHub says of a pull request, what hosts
// observe of themselves, what people asked for. Out go verdicts and moves: a
// state, every condition with its value and source, the effects that follow, and
// when to look again. All of it is pure: no I/O, no clock, no logger. The same
// values feed the decision, the pull request's comment, its check run and the
// dashboard, so they cannot disagree.
//
// What may go wrong is part of the types: a [Reading] that failed is unknown, and
// unknown never merges.
package fleet
