package dashboard

import (
	"math"
	"regexp"
	"strconv"
	"testing"
)

var token = regexp.MustCompile(`--([a-z0-9-]+): light-dark\(#([0-9a-f]{6}), #([0-9a-f]{6})\);`)

// TestTextCanBeRead checks every pair of colours that text is set in against
// WCAG 2.2 AA: a contrast of 4.5 to 1.
func TestTextCanBeRead(t *testing.T) {
	t.Parallel()
	colours := map[string][2]string{"white": {"ffffff", "ffffff"}}
	for _, m := range token.FindAllStringSubmatch(string(assets["dashboard.css"].data), -1) {
		colours[m[1]] = [2]string{m[2], m[3]}
	}
	pairs := [][2]string{{"ink", "bg"}, {"ink", "card"}, {"ink", "sunken"}, {"ink-2", "bg"}, {"ink-2", "card"}, {"ink-2", "sunken"}, {"ink-2", "unknown-bg"},
		{"accent", "card"}, {"white", "accent-fill"}, {"white", "accent-fill-2"}, {"ink", "error-bg"}, {"ink", "working-bg"}, {"ink-2", "working-bg"}, {"ink-2", "error-bg"}}
	for _, tone := range []string{"ok", "stale", "error", "unknown", "working"} {
		pairs = append(pairs, [2]string{tone, "card"}, [2]string{tone, "bg"}, [2]string{tone, tone + "-bg"}, [2]string{tone, "sunken"})
	}
	for _, p := range pairs {
		for i, theme := range []string{"light", "dark"} {
			fore, back := colours[p[0]][i], colours[p[1]][i]
			if fore == "" || back == "" {
				t.Fatalf("the stylesheet does not define --%s or --%s", p[0], p[1])
			}
			if c := contrast(fore, back); c < 4.5 {
				t.Errorf("%s: --%s on --%s has a contrast of %.2f", theme, p[0], p[1], c)
			}
		}
	}
}

func contrast(a, b string) float64 {
	x, y := luminance(a), luminance(b)
	return (math.Max(x, y) + 0.05) / (math.Min(x, y) + 0.05)
}

func luminance(hex string) float64 {
	var l float64
	for i, weight := range []float64{0.2126, 0.7152, 0.0722} {
		n, _ := strconv.ParseUint(hex[2*i:2*i+2], 16, 8)
		c := float64(n) / 255
		if c <= 0.04045 {
			c /= 12.92
		} else {
			c = math.Pow((c+0.055)/1.055, 2.4)
		}
		l += weight * c
	}
	return l
}
