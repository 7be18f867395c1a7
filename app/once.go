package app

import (
	"context"
	"crypto/rand"
	"errors"
	"time"

	"github.com/nixfleet/nixfleet/api"
	"github.com/nixfleet/nixfleet/db"
	"github.com/nixfleet/nixfleet/fleet"
)

// keepOnce is how long a request may be repeated for the answer that it had.
const keepOnce = 24 * time.Hour

// BeginOnce takes the turn to carry out a request with a key, or finds what it was
// answered. What is created by orders and rollouts keeps the key in the transaction that
// creates it, too: a server that dies between the two must not make them twice.
func (s service) BeginOnce(ctx context.Context, by fleet.Actor, key string, sum []byte) (api.Turn, *api.Answer, error) {
	turn, now := api.Turn{By: by, Key: key, Token: rand.Text()}, s.a.cfg.Now()
	kept, err := s.a.db.BeginOnce(ctx, turnRow(turn), sum, now.Add(-keepOnce), now)
	switch {
	case errors.Is(err, db.ErrOtherRequest):
		return turn, nil, api.ErrOtherRequest
	case errors.Is(err, db.ErrUnderWay):
		return turn, nil, api.ErrUnderWay
	case err != nil || kept == nil:
		return turn, nil, err
	}
	answer := api.Answer(*kept)
	return turn, &answer, nil
}

// EndOnce keeps what the request of a turn was answered.
func (s service) EndOnce(ctx context.Context, t api.Turn, a api.Answer) error {
	return s.a.db.EndOnce(ctx, turnRow(t), db.OnceAnswer(a), s.a.cfg.Now())
}

// DropOnce gives a turn back of which nothing came.
func (s service) DropOnce(ctx context.Context, t api.Turn) error {
	return s.a.db.DropOnce(ctx, turnRow(t))
}

func turnRow(t api.Turn) db.OnceTurn {
	return db.OnceTurn{Actor: t.By.Login, Key: t.Key, Token: t.Token}
}

// Failed logs what went wrong within the server while it answered.
func (s service) Failed(operation, why string) {
	s.a.log.Error().Str("operation", operation).Str("why", why).Msg("the API failed")
}
