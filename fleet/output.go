package fleet

import (
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Output is a part of what an order printed on its host.
type Output struct {
	Order   string
	Host    string
	Chunks  []OutputChunk
	Next    int64 // where the next part begins
	Whole   bool  // there is nothing after Next, and nothing will come
	EndedAt time.Time
	Change  *Change // what the order does to the system; nil where that is not known
}

// OutputChunk is a piece of output. From and To count the bytes that the host
// printed; Text is what is left of them for people to read.
type OutputChunk struct {
	From int64     `json:"from"`
	To   int64     `json:"to"`
	Step string    `json:"step,omitempty"`
	At   time.Time `json:"at"` // the server's clock
	Text string    `json:"text"`
}

// PlainText is b without anything that a terminal or a page would act on: no
// escape sequences, no control characters but newline and tab, nothing that turns
// the direction of writing. What is no UTF-8 becomes U+FFFD. Cut anywhere, the
// pieces are as plain as the whole.
func PlainText(b []byte) string {
	var out strings.Builder
	out.Grow(len(b))
	for invalid := false; len(b) > 0; {
		if n := plainLength(b); n > 0 { // nearly all of it
			out.Write(b[:n])
			b, invalid = b[n:], false
			continue
		}
		r, n := utf8.DecodeRune(b)
		bad := r == utf8.RuneError && n == 1
		switch {
		case bad && !invalid:
			out.WriteRune(utf8.RuneError)
		case bad: // one mark for all bytes that cannot be read
		case r == '\r':
			if len(b) == 1 || b[1] != '\n' { // a line that was written over
				out.WriteByte('\n')
			}
		case r == 0x1b:
			n = escapeLength(b)
		case introduces(r) != 0:
			n += sequenceLength(introduces(r), b[n:])
		case unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r):
		default:
			out.WriteRune(r)
		}
		invalid = bad
		b = b[n:]
	}
	return out.String()
}

// plainLength is how much of b is ASCII that stays as it is.
func plainLength(b []byte) int {
	for i, c := range b {
		if (c < ' ' || c > '~') && c != '\n' && c != '\t' {
			return i
		}
	}
	return len(b)
}

// PlainLine is s as one plain line of at most so many bytes.
func PlainLine(s string, most int) string {
	s = strings.Join(strings.Fields(PlainText([]byte(s[:min(len(s), 4*most)]))), " ")
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}

// introduces is the letter that follows an escape in the seven-bit form of the
// control character r, for those that begin a sequence, else 0.
func introduces(r rune) byte {
	switch r {
	case 0x90, 0x98, 0x9b, 0x9d, 0x9e, 0x9f:
		return byte(r - 0x40)
	}
	return 0
}

// escapeLength is how long the sequence is that b begins with.
func escapeLength(b []byte) int {
	if len(b) == 1 {
		return 1
	}
	if strings.IndexByte("PX[]^_", b[1]) >= 0 {
		return 2 + sequenceLength(b[1], b[2:])
	}
	n := 1
	for n < len(b) && b[n] >= 0x20 && b[n] < 0x30 {
		n++
	}
	if n < len(b) && b[n] >= 0x30 && b[n] < 0x7f {
		n++
	}
	return n
}

// sequenceLength is how much of b belongs to the sequence that kind introduced.
// One that does not end is over with its line.
func sequenceLength(kind byte, b []byte) int {
	for i := 0; i < len(b); i++ {
		c := b[i]
		switch {
		case c == '\n' || c == '\r':
			return i
		case kind == '[' && c >= 0x40 && c < 0x7f:
			return i + 1
		case kind == '[' && (c < 0x20 || c >= 0x7f):
			return i
		case kind == '[':
		case c == 0x07:
			return i + 1
		case c == 0x1b && i+1 < len(b) && b[i+1] == '\\', c == 0xc2 && i+1 < len(b) && b[i+1] == 0x9c:
			return i + 2
		case c == 0x1b || c == 0x18 || c == 0x1a:
			return i
		}
	}
	return len(b)
}
