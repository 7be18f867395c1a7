package agentbus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"
)

// The broker's own administration subjects.
const (
	claimsLookup = "$SYS.REQ.ACCOUNT.%s.CLAIMS.LOOKUP"
	claimsUpdate = "$SYS.REQ.CLAIMS.UPDATE"
)

// IssueHost makes the certificate with which the host that holds user's seed may
// connect for ttl. The broker need not be told.
func (c *Control) IssueHost(host, user string, ttl time.Duration) (string, error) {
	if ttl <= 0 {
		return "", fmt.Errorf("issue certificate for %s: lifetime %v is not positive", host, ttl)
	}
	token, err := c.o.Keys.issueHost(host, user, c.o.Now().Add(ttl))
	if err != nil {
		return "", fmt.Errorf("issue certificate: %w", err)
	}
	return token, nil
}

// Revoke cuts the connections of the holders of keys and refuses every certificate
// that was issued to each until the time that stands beside it. The list lives in
// the broker; repeating it, say after the broker was replaced, is harmless and
// changes only what is missing. What was revoked before since leaves the list: all
// certificates from then have ended, and the list is one message.
func (c *Control) Revoke(ctx context.Context, keys map[string]time.Time, since time.Time) error {
	for key := range keys {
		if !nkeys.IsValidPublicUserKey(key) {
			return errors.New("revoke host key: it is not a public user nkey")
		}
	}
	if len(keys) == 0 {
		return nil
	}
	err := c.editAccounts(ctx, func(a *jwt.AccountClaims) (changed bool) {
		if a.Subject != publicKey(c.o.Keys.agents) {
			return false
		}
		for key, at := range a.Revocations {
			if _, named := keys[key]; !named && at < since.Unix() {
				delete(a.Revocations, key)
				changed = true
			}
		}
		for key, at := range keys {
			if a.Revocations[key] < at.Unix() {
				a.RevokeAt(key, at)
				changed = true
			}
		}
		return changed
	})
	if err != nil {
		return fmt.Errorf("revoke host key: %w", err)
	}
	return nil
}

// updateAccounts brings accounts that an earlier version of this program made to
// the present rights and crossings, and keeps their revocations.
func (c *Control) updateAccounts(ctx context.Context) error {
	k := c.o.Keys
	wanted := map[string]*jwt.AccountClaims{
		publicKey(k.control): k.controlClaims(), publicKey(k.agents): k.agentsClaims(),
	}
	for key, claims := range wanted {
		// Encoding completes and sorts claims; only then can they be compared.
		token, err := claims.Encode(k.operator)
		if err != nil {
			return err
		}
		if wanted[key], err = jwt.DecodeAccountClaims(token); err != nil {
			return err
		}
	}
	return c.editAccounts(ctx, func(have *jwt.AccountClaims) bool {
		want := wanted[have.Subject]
		want.Revocations = have.Revocations
		if reflect.DeepEqual(have.Account, want.Account) {
			return false
		}
		have.Account = want.Account
		return true
	})
}

// editAccounts lets edit change both accounts as the broker knows them and reads
// the result back: of two servers that write at once, the broker keeps the last.
func (c *Control) editAccounts(ctx context.Context, edit func(*jwt.AccountClaims) bool) error {
	c.revokes.Lock()
	defer c.revokes.Unlock()
	nc, err := c.dial(ctx, c.o.Keys.systemRole())
	if err != nil {
		return err
	}
	defer nc.Close()
	for _, account := range []string{publicKey(c.o.Keys.control), publicKey(c.o.Keys.agents)} {
		if err := c.editAccount(ctx, nc, account, edit); err != nil {
			return err
		}
	}
	return nil
}

func (c *Control) editAccount(ctx context.Context, nc *nats.Conn, account string, edit func(*jwt.AccountClaims) bool) error {
	const tries = 5
	for range tries {
		reply, err := request(ctx, nc, fmt.Sprintf(claimsLookup, account), nil)
		if err != nil {
			return fmt.Errorf("look up account %s: %w", account, err)
		}
		claims, err := jwt.DecodeAccountClaims(string(reply.Data))
		if err != nil {
			return fmt.Errorf("look up account %s: the broker does not know it: is its resolver configured?", account)
		}
		if !edit(claims) {
			return nil
		}
		token, err := claims.Encode(c.o.Keys.operator)
		if err != nil {
			return err
		}
		if err := pushAccount(ctx, nc, token); err != nil {
			return fmt.Errorf("update account %s: %w", account, err)
		}
	}
	return fmt.Errorf("update account %s: another server kept changing it", account)
}

// request asks the administration of the broker, twice if need be: one that has
// just started, on a slow disk, may drop the first.
func request(ctx context.Context, nc *nats.Conn, subject string, data []byte) (reply *nats.Msg, err error) {
	for range 2 {
		try, cancel := context.WithTimeout(ctx, callTimeout)
		reply, err = nc.RequestWithContext(try, subject, data)
		cancel()
		if err == nil || ctx.Err() != nil {
			break
		}
	}
	return reply, err
}

func pushAccount(ctx context.Context, nc *nats.Conn, token string) error {
	reply, err := request(ctx, nc, claimsUpdate, []byte(token))
	if err != nil {
		return err
	}
	var answer struct {
		Error *struct {
			Description string `json:"description"`
		} `json:"error"`
	}
	if err := json.Unmarshal(reply.Data, &answer); err != nil {
		return err
	}
	if answer.Error != nil {
		return errors.New(answer.Error.Description)
	}
	return nil
}
