// Package stories holds the Fleet page in every state that it can be in: the
// fixtures of its golden tests, of the browser tests and of cmd/storybook. What
// can be seen has a story; a state without one is not tested.
//
// Hosts are described by the same [fleet.Describe] that describes real ones, so
// that stories can't show a fleet that the product never would.
package stories
