// Package bench measures a whole server with a simulated fleet: Postgres, the bus, and
// every loop between a person's deploy and the last answer of the last host.
//
// In go a number of hosts, out comes a [Report] in which each figure stands beside the
// physical limit that it is measured against, taken in the same run: the speed of the
// machine cancels out. The hosts are [crowd.Crowd]; github.com is the imitation, of
// which only a repository is needed. What may go wrong is that a host gets something
// it can't verify, or that the time is up; then there is no report.
package bench
