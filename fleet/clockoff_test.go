package fleet

import (
	"strings"
	"testing"
	"time"
)

func TestAClockThatIsOffIsTold(t *testing.T) {
	t.Parallel()
	for off, want := range map[time.Duration]string{
		0:                "",
		2 * time.Minute:  "",
		-2 * time.Minute: "",
		time.Hour:        "The host's clock is 1h0m0s behind the server's",
		-time.Hour:       "The host's clock is 1h0m0s ahead of the server's",
	} {
		in := goodFacts()
		in.Host.Facts.ClockOff = off
		tip := strings.Join(Compartments(in, noon)[2].Tooltip, "\n")
		if want == "" && strings.Contains(tip, "clock") || !strings.Contains(tip, want) {
			t.Errorf("off by %v: %q", off, tip)
		}
	}
}
