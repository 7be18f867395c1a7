// Package db keeps the truth in Postgres.
//
// It lies on every step of the way from webhook to acknowledgement. In come
// deliveries, facts, verdicts, moves of rollouts, and answers of hosts; out go
// rows that are due, effects to carry out, and the read model that people see.
//
//	StoreDelivery → ClaimDeliveries → FinishDelivery ─ facts make rows due
//	ClaimUpdates  → SaveVerdict  ─ effects: merge, comment, check
//	ClaimRollouts → SaveRollout  ─ orders with generations, effects: send
//	RecordAnswers ─ orders and hosts move, their rollout is due
//	RecordLogs    ─ outputs grow at their ends → OrderLog
//
// Work is a row with a due time. A claim hides it for a lease and hands out a
// fence; whoever stores a result must still hold the fence and find the state
// that it decided from, else it gets [ErrConflict] and has changed nothing. A
// wake-up during the work is counted and makes the row due again at its end.
//
// What may go wrong: Postgres goes away (every call fails, nothing is half done,
// [DB.Listen] and the pool reconnect), a worker dies (its lease runs out), two
// replicas do the same (one of them conflicts). No function reads the clock;
// every time is the caller's.
//
// [StartPrivate] runs a Postgres of our own where no address is given.
package db
