package agentbus

import (
	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats.go"
)

// CrowdLogin is a login that may act as every host of the fleet, so that a measurement
// can put thousands of them on a few connections. Only who holds the keyring can make
// one, and who holds it commands the fleet anyway.
func (k *Keyring) CrowdLogin() (nats.Option, error) {
	return role{"simulated hosts", k.agents, func(*jwt.UserClaims) {}}.login()
}

// OpenOrder reads an order as the host that it is for does: key, signature, version,
// fleet, host and content are checked, its age is not.
func (k *Keyring) OpenOrder(host string, data []byte) (Order, error) {
	keys, err := parseOrderKeys(k.OrderKeys())
	if err != nil {
		return Order{}, err
	}
	o, refusal := recipient{fleet: k.fleet, host: host, keys: keys}.open(data)
	if refusal != nil {
		return o, refusal
	}
	return o, nil
}
