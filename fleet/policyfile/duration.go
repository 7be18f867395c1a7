package policyfile

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"time"
)

var durationForm = regexp.MustCompile(`^(?:([0-9]{1,5})d)?(?:([0-9]{1,6})h)?(?:([0-9]{1,7})m)?(?:([0-9]{1,8})s)?$`)

// parseDuration reads whole days, hours, minutes and seconds, largest first, such
// as 2d, 1h30m or 0h; a lone 0 has no need of a unit. Time without a unit, months
// and fractions are refused: people disagree about what they mean.
func parseDuration(s string) (time.Duration, error) {
	if s == "0" {
		return 0, nil
	}
	parts := durationForm.FindStringSubmatch(s)
	if parts == nil || s == "" {
		return 0, errors.New("not a duration")
	}
	var d time.Duration
	for i, unit := range []time.Duration{24 * time.Hour, time.Hour, time.Minute, time.Second} {
		if parts[i+1] == "" {
			continue
		}
		n, err := strconv.Atoi(parts[i+1])
		if err != nil {
			return 0, fmt.Errorf("read duration %q: %w", s, err)
		}
		d += time.Duration(n) * unit
	}
	return d, nil
}

// short writes a duration the way the file does.
func short(d time.Duration) string {
	switch {
	case d == 0:
		return "0s"
	case d%(24*time.Hour) == 0:
		return fmt.Sprintf("%dd", d/(24*time.Hour))
	case d%time.Hour == 0:
		return fmt.Sprintf("%dh", d/time.Hour)
	case d%time.Minute == 0:
		return fmt.Sprintf("%dm", d/time.Minute)
	}
	return fmt.Sprintf("%ds", d/time.Second)
}
