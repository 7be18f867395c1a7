package bench_test

import (
	"strings"
	"testing"

	"github.com/rs/zerolog"

	"github.com/nixfleet/nixfleet/app/bench"
)

// A measurement of a small fleet measures everything. How fast is not a test's concern.
func TestAMeasurementMeasuresEverything(t *testing.T) {
	t.Parallel()
	said := 0
	r, err := bench.Run(t.Context(), bench.Options{
		Hosts: 20, Dir: t.TempDir(), Say: func(string) { said++ }, Log: zerolog.New(zerolog.NewTestWriter(t)).Level(zerolog.ErrorLevel),
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, ratio := range map[string]bench.Ratio{
		"orders": r.Orders, "answers": r.Answers, "heartbeats": r.Heartbeats, "one host": r.OneHost, "memory": r.Memory,
	} {
		if ratio.Got <= 0 || ratio.Limit <= 0 {
			t.Errorf("%s: measured %v against %v", name, ratio.Got, ratio.Limit)
		}
	}
	if r.StartSeconds <= 0 || said < 5 {
		t.Errorf("start took %v s, %d lines for people", r.StartSeconds, said)
	}
	var text strings.Builder
	if err := r.Write(&text); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"20 simulated hosts on 64 connections", "orders received by hosts", "at most 1.25", "start of a server"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("%q is missing in the report:\n%s", want, text.String())
		}
	}
}
