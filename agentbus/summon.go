package agentbus

import "fmt"

// Summon asks hosts to renew their certificates now. One that is away does not
// hear it; who needs it to, asks again.
func (c *Control) Summon(hosts ...string) error {
	for _, host := range hosts {
		if err := checkHost(host); err != nil {
			return fmt.Errorf("summon: %w", err)
		}
		data, err := c.o.Keys.seal(TypeSummons, Summons{V: ProtocolVersion, Fleet: c.o.Keys.fleet, Host: host})
		if err == nil {
			err = c.nc.Publish(commandPrefix+host, data)
		}
		if err != nil {
			return fmt.Errorf("summon %s: %w", host, err)
		}
	}
	return nil
}
