// Package agent is what runs on a host: the last stretch of the way from webhook
// to acknowledgement.
//
// In comes a signed [agentbus.Order]; out go acknowledged steps, log lines and
// what the host observes of itself. Between them the agent fetches the commit
// into a checkout of its own, builds it with the host's Nix, hands the switch to
// a supervisor process that outlives it, checks that all is well, and tells the
// supervisor so.
//
// What may go wrong, and what then holds:
//   - The agent dies at any point. Every step is in the journal before it begins,
//     so the next process takes up the same order; a switch is found by its order
//     id and never begun twice.
//   - The network is gone after a switch. The supervisor waits for the agent's
//     word and goes back to the recorded path without it. A server that is down is
//     told from that by anchors that answered before.
//   - The supervisor is killed, or the machine restarts in the middle of a switch.
//     The next supervisor stops what is left of the first one's activation and
//     goes back; at boot [Resume] is that supervisor, with or without an agent.
//   - The disk is full. Room for the record of a switch is taken up before it
//     begins.
//   - An answer is lost. It is repeated until the server confirms it.
//   - Output is lost. Its file is the queue that it is sent from, and the server
//     says what it lacks.
//   - The order is not acceptable. The answer says why, with a fixed code.
//   - The disk does not take the journal. The agent stops rather than act
//     without a record.
package agent
