// Package forge is the outward door to GitHub: everything that NixFleet asks of
// it, as the App.
//
// On the way from webhook to acknowledgement it comes twice. First an update has
// become due, and out of its repository and number comes a [fleet.Snapshot]: the
// pull request, its files, both locks by SHA, checks, policy. Later the verdict
// goes the other way: a merge pinned to the head SHA, one comment and one check
// run, edited in place.
//
// What may go wrong is part of the answers. A read that failed is a
// [fleet.Reading] that says why, never a guess and never an older value: the
// cache asks GitHub each time, and a 304 costs nothing of the rate limit. A merge
// whose answer was lost is [MergeAmbiguous], and the pull request must be read
// again before anything else. [RateLimited] says until when to wait, and
// [ErrInstallationGone] that the App was removed or suspended.
package forge
