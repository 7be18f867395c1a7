// Package notify is the door out to receivers: chat rooms, mailboxes, phones and
// programs, named by the addresses of shoutrrr (https://shoutrrr.nickfedor.com).
//
// In comes a [fleet.Message] with an address; out goes one message. What may go wrong
// is that the address can't be understood, that the receiver doesn't answer in time,
// or that it refuses. Errors are for people and never hold anything secret of the
// address, which is a credential as a whole: who has it can write to the receiver.
//
// The server connects to whatever an address names, also inside its own network. That
// is what receivers are for, so only admins set them.
package notify
