// Package app is where everybody meets: configuration, one straight line of
// wiring, the work loops, and the translation between the wire and the domain.
//
// On the way from webhook to acknowledgement it does the walking. Each loop
// claims rows that are due, asks the domain what follows from them, and stores
// the answer; nothing else changes a state and only the effect loop acts on the
// outside world. A loop that dies between any two lines leaves a row that
// becomes due again.
//
// What may go wrong: anything outside. A claim that fails is tried again later,
// with the reason logged once, here.
package app
