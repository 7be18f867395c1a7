package app

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/nixfleet/nixfleet/db"
	"github.com/nixfleet/nixfleet/fleet"
	"github.com/nixfleet/nixfleet/notify"
)

// deliveriesShown is how many of the newest deliveries people are shown.
const deliveriesShown = 50

var (
	errReceiverTaken   = errors.New("another receiver has this name")
	errReceiverChanged = errors.New("it was changed by somebody else meanwhile")
)

// saveReceiver makes or changes a receiver. What is wrong with it is
// [fleet.ReceiverFaults], all of it at once.
func (a *App) saveReceiver(ctx context.Context, by fleet.Actor, w fleet.ReceiverWish) error {
	w.Name, w.Address = strings.TrimSpace(w.Name), strings.TrimSpace(w.Address)
	faults := fleet.ReceiverFaults(w.Rule.Validate())
	if !fleet.ValidReceiverName(w.Name) {
		faults = append(faults, fleet.ReceiverFault{Field: "name", Text: fleet.ErrReceiverName.Error()})
	}
	s := db.SaveReceiver{
		ID: w.ID, Name: w.Name, InFile: w.InFile, Enabled: w.Enabled, Rule: w.Rule, Seen: w.Seen, Request: w.Request, By: by.Login,
	}
	address, err := w.Address, error(nil)
	switch {
	case w.InFile:
		if address, err = a.addressInFile(w.Name); err != nil {
			faults = append(faults, fleet.ReceiverFault{Field: "address", Text: err.Error()})
		}
	case address == "" && w.ID == 0:
		faults = append(faults, fleet.ReceiverFault{Field: "address", Text: "a receiver needs an address, or a line in the server's file of addresses"})
	}
	if address != "" {
		if err := notify.Check(address); err != nil {
			faults = append(faults, fleet.ReceiverFault{Field: "address", Text: err.Error()})
		}
		s.Service = notify.Service(address)
		if !w.InFile {
			s.Sealed = a.seal.shut([]byte(address), receiverUse)
		}
	}
	if len(faults) > 0 {
		return faults
	}
	_, err = a.db.SaveReceiver(ctx, s, a.cfg.Now())
	switch {
	case errors.Is(err, db.ErrNameTaken):
		return errReceiverTaken
	case errors.Is(err, db.ErrConflict):
		return errReceiverChanged
	}
	return err
}

// receiverUse binds a sealed address to what it is for. Names change.
const receiverUse = "address of a receiver"

// address is where a receiver is reached. Errors of it hold nothing secret.
func (a *App) address(r fleet.Receiver, sealed []byte) (string, error) {
	if r.InFile {
		return a.addressInFile(r.Name)
	}
	text, err := a.seal.open(sealed, receiverUse)
	if err != nil {
		return "", fmt.Errorf("this server can't read the address: %w; all replicas need the key file that NIXFLEET_SEAL_KEY_FILE names, or the address has to be given anew", err)
	}
	return string(text), nil
}

// addressInFile finds a receiver's address in the file of addresses, which is read
// anew each time: it may change.
func (a *App) addressInFile(name string) (string, error) {
	if a.cfg.ReceiversFile == "" {
		return "", errors.New("the server has no file of addresses; NIXFLEET_RECEIVERS_FILE names one")
	}
	text, err := os.ReadFile(a.cfg.ReceiversFile)
	if err != nil {
		return "", fmt.Errorf("the file of addresses can't be read: %w", err)
	}
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		if len(fields) == 2 && fields[0] == name {
			return fields[1], nil
		}
	}
	return "", fmt.Errorf("no line of %s begins with %s; each is NAME ADDRESS", a.cfg.ReceiversFile, name)
}

// noticesShown are the newest deliveries, as people are shown them.
func (a *App) noticesShown(ctx context.Context, receiver string) ([]fleet.NoticeShown, error) {
	list, err := a.db.NoticeDeliveries(ctx, receiver, deliveriesShown)
	if err != nil {
		return nil, err
	}
	out := make([]fleet.NoticeShown, len(list))
	for i, d := range list {
		m := fleet.Receiver{Name: d.Receiver}.Message(d.Notice, d.Kind, "")
		out[i] = fleet.NoticeShown{
			ID: d.ID, Receiver: d.Receiver, Kind: d.Kind, Title: m.Title, Link: m.Link, At: d.Notice.At, DueAt: d.DueAt,
			State: d.State, Attempts: d.Attempts, Error: d.Error, EndedAt: d.EndedAt,
		}
	}
	return out, nil
}
