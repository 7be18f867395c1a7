package app

import (
	"strings"
	"testing"
	"time"
)

func TestTheDoctorSeesTheCertificateOfTheBus(t *testing.T) {
	t.Parallel()
	now := time.Date(2030, 1, 1, 12, 0, 0, 0, time.UTC)
	for state, left := range map[string]time.Duration{fine: 60 * 24 * time.Hour, remark: 24 * time.Hour, wrong: -time.Hour} {
		x := &examination{a: &App{cfg: Config{Now: func() time.Time { return now }}}}
		x.a.door.expires = func() time.Time { return now.Add(left) }
		x.busCertificate()
		if len(x.findings) != 1 || x.findings[0].State != state || !strings.Contains(x.findings[0].Found, "20") {
			t.Errorf("with %v left: %+v", left, x.findings)
		}
	}
	x := &examination{a: &App{}}
	x.busCertificate()
	if len(x.findings) != 0 {
		t.Errorf("without one: %+v", x.findings)
	}
}
