package agentbus_test

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if os.Getenv(brokerChildEnv) != "" {
		runBrokerChild()
		return
	}
	if os.Getenv(natsChildEnv) != "" {
		runNATSChild()
		return
	}
	goleak.VerifyTestMain(m)
}
