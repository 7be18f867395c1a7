package agentbus

import (
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"
)

// accountJWTs is what a broker must be told about the operator and its accounts.
type accountJWTs struct {
	Operator string `json:"operator"`
	System   string `json:"system"`
	Control  string `json:"control"`
	Agents   string `json:"agents"`
}

func (k *Keyring) issueAccounts() (accountJWTs, error) {
	operator := jwt.NewOperatorClaims(publicKey(k.operator))
	operator.Name = "nixfleet"
	operator.SystemAccount = publicKey(k.system)
	system := jwt.NewAccountClaims(publicKey(k.system))
	system.Name = "SYSTEM"

	var out accountJWTs
	var errs [4]error
	out.Operator, errs[0] = operator.Encode(k.operator)
	out.System, errs[1] = system.Encode(k.operator)
	out.Control, errs[2] = k.controlClaims().Encode(k.operator)
	out.Agents, errs[3] = k.agentsClaims().Encode(k.operator)
	return out, errors.Join(errs[:]...)
}

// controlClaims describes the account FLEET: JetStream, the server, and the few
// subjects that hosts may reach. The exports need no token because the operator
// is ours and has no other accounts.
func (k *Keyring) controlClaims() *jwt.AccountClaims {
	c := jwt.NewAccountClaims(publicKey(k.control))
	c.Name = "FLEET"
	c.Limits.JetStreamLimits = jwt.JetStreamLimits{
		MemoryStorage: jwt.NoLimit, DiskStorage: jwt.NoLimit, Streams: jwt.NoLimit, Consumer: jwt.NoLimit,
	}
	c.Limits.LeafNodeConn = 0
	for _, x := range crossings() {
		c.Exports.Add(&jwt.Export{Name: x.name, Subject: jwt.Subject(x.subject), Type: x.kind})
	}
	return c
}

// agentsClaims describes the account AGENTS: no JetStream, only what it imports.
func (k *Keyring) agentsClaims() *jwt.AccountClaims {
	c := jwt.NewAccountClaims(publicKey(k.agents))
	c.Name = "AGENTS"
	c.Limits.LeafNodeConn = 0
	for _, x := range crossings() {
		c.Imports.Add(&jwt.Import{Name: x.name, Subject: jwt.Subject(x.subject), Account: publicKey(k.control), Type: x.kind})
	}
	scope := jwt.NewUserScope()
	scope.Key = publicKey(k.hosts)
	scope.Role = "host"
	scope.Template = hostTemplate()
	c.SigningKeys.AddScopedSigner(scope)
	return c
}

// ServerConfig returns what a nats-server of one's own needs in its
// configuration file to serve this fleet. The broker keeps its data below dir.
// In a cluster every server gets the same text.
func (k *Keyring) ServerConfig(dir string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "operator: %s\n", k.jwts.Operator)
	fmt.Fprintf(&b, "system_account: %s\n", publicKey(k.system))
	fmt.Fprintf(&b, "resolver: {\n  type: full\n  dir: %q\n  allow_delete: false\n  interval: \"2m\"\n}\n",
		filepath.Join(dir, "accounts"))
	b.WriteString("resolver_preload: {\n")
	accounts := k.Trust().Accounts
	for _, account := range slices.Sorted(maps.Keys(accounts)) {
		fmt.Fprintf(&b, "  %s: %s\n", account, accounts[account])
	}
	b.WriteString("}\n")
	// Without sync_interval "always" a power cut loses what was acknowledged in
	// the last two minutes.
	fmt.Fprintf(&b, "jetstream: {\n  store_dir: %q\n  sync_interval: always\n}\n", dir)
	fmt.Fprintf(&b, "max_payload: %d\n", BrokerPayload)
	return b.String()
}

// Trust is what a broker has to know of a fleet. None of it is secret.
type Trust struct {
	Operator      string            // the operator's JWT
	SystemAccount string            // public key of the account that administers the broker
	Accounts      map[string]string // JWTs by public key
}

// Trust returns what the embedded broker is started with.
func (k *Keyring) Trust() Trust {
	return Trust{
		Operator: k.jwts.Operator, SystemAccount: publicKey(k.system),
		Accounts: map[string]string{
			publicKey(k.system): k.jwts.System, publicKey(k.control): k.jwts.Control, publicKey(k.agents): k.jwts.Agents,
		},
	}
}

// issueHost makes a host's certificate. Its rights are those of the template:
// the claims themselves must name none.
func (k *Keyring) issueHost(host, user string, expires time.Time) (string, error) {
	if err := checkHost(host); err != nil {
		return "", err
	}
	if !nkeys.IsValidPublicUserKey(user) {
		return "", fmt.Errorf("host %s: the public key is not a user nkey", host)
	}
	c := jwt.NewUserClaims(user)
	c.Name = host
	c.IssuerAccount = publicKey(k.agents)
	c.Expires = expires.Unix()
	c.SetScoped(true)
	return c.Encode(k.hosts)
}

// role is one of the server's own identities on the bus.
type role struct {
	name    string
	account nkeys.KeyPair
	limit   func(*jwt.UserClaims)
}

func (k *Keyring) controlRole() role { return role{"nixfleet", k.control, func(*jwt.UserClaims) {}} }
func (k *Keyring) systemRole() role {
	return role{"nixfleet-admin", k.system, func(*jwt.UserClaims) {}}
}

// ingestRole reads heartbeats from inside the hosts' account: across an import
// they would cost three times as much.
func (k *Keyring) ingestRole() role {
	return role{"nixfleet-heartbeats", k.agents, func(c *jwt.UserClaims) {
		c.Sub.Allow.Add(heartbeatPrefix + "*")
		c.Pub.Deny.Add(">")
	}}
}

// login makes an identity for r that lives no longer than this process.
func (r role) login() (nats.Option, error) {
	user, err := nkeys.CreateUser()
	if err != nil {
		return nil, err
	}
	claims := jwt.NewUserClaims(publicKey(user))
	claims.Name = r.name
	r.limit(claims)
	token, err := claims.Encode(r.account)
	if err != nil {
		return nil, err
	}
	return nats.UserJWT(func() (string, error) { return token, nil }, user.Sign), nil
}
