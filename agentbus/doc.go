// Package agentbus is the protocol between the server and its hosts, and both of its ends.
//
// On the way from webhook to acknowledgement it is the stretch of road between
// the outbox, which holds an order that Postgres has already numbered, and the
// host that carries it out and answers. In goes an [Order]; out come [Answer]s,
// [Heartbeat]s and [LogChunk]s. Orders travel through a last-value bucket whose
// every write is republished to the one subject that the host listens on, so an
// offline host finds the newest order, and only that one, when it returns. There
// is no consumer, watcher or goroutine per host.
//
//	Control.Send ──▶ bucket desired ──▶ cmd.<host> ──▶ HostLink.Next
//	                        └── direct get of the own key, after each (re)connect
//	Control.Answers    ◀── stream EVENTS ◀── ev.<host>  ◀── HostLink.Answer
//	Control.Confirm    ──▶ cmd.<host> ──▶ HostLink.Confirms
//	Control.Heartbeats ◀── hb.<host>  ◀── HostLink.Heartbeat
//	Control.Logs       ◀── stream LOGS ◀── log.<host>.<order> ◀── HostLink.Log
//	                   what is recorded of it: Confirm, as for answers
//
// Hosts live in an account of their own, without JetStream. In one account with
// the bucket, allow-lists would not be enough: JetStream sends its replies to
// whatever subject the asker names, with the rights of the server, and so a host
// could have had another host's order overwritten or the bucket purged.
//
// What may go wrong: the broker may lose, repeat, delay or reorder anything. So
// the generation of an order comes from Postgres and a host refuses what is not
// newer; an answer is repeated until the server confirms that it is recorded;
// and nothing that arrives is believed unless its signature (orders) or its
// subject, which the broker guards (answers), names the right host.
package agentbus
