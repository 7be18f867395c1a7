package agentbus

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/nats-io/jwt/v2"
)

// Where things live on the bus. Hosts are spelled out last so that a permission
// can name one host and an export can name all of them.
const (
	bucketStream  = "KV_desired"
	bucketPrefix  = "$KV.desired."
	answersStream = "EVENTS"
	logsStream    = "LOGS"

	commandPrefix   = "cmd."
	answerPrefix    = "ev."
	heartbeatPrefix = "hb."
	logPrefix       = "log."

	directGetPrefix = "$JS.API.DIRECT.GET." + bucketStream + "." + bucketPrefix
)

// Limits on what one message may be. An order is about 1 KiB, or twenty where it
// names attributes to evaluate; an answer at most a log tail of 8 KiB plus facts, or
// a lock before base64; a log chunk 32 KiB before base64.
const (
	maxEnvelope  = 64 << 10
	maxAnswer    = 240 << 10
	maxHeartbeat = 64 << 10
	maxLogText   = 32 << 10

	// MaxPayload is what a broker lets one message of a host have.
	MaxPayload = 256 << 10

	// BrokerPayload is what it lets any message have. The list of the keys that it has
	// to refuse is one message, of some 100 bytes for each.
	BrokerPayload = 8 << 20

	// maxLogChunks of one order wait for the server. A whole output of 8 MiB comes in
	// fewer than 400 when it is sent at once. While somebody watches, it comes in
	// many small ones: what is pushed out before it was recorded is asked for again.
	maxLogChunks = 1000
)

// Limits on what an answer may carry.
const (
	MaxLock      = 120 << 10 // bytes of [Answer].Lock: a lock of 300 KB, packed, is about 70
	MaxEvaluated = 100       // attributes of [Order].Evaluate, and of [Answer].Evaluated
)

// keptAnswers is how many answers of one host the stream holds. All that one host may
// fill with them is less than the stream, so that it pushes nobody else's out.
const keptAnswers = 4000

var (
	hostName  = regexp.MustCompile(`^[a-z0-9-]{1,63}$`)
	orderName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)
)

// ValidHost reports whether name may be the id of a host: 1 to 63 lower-case
// letters, digits and hyphens. It becomes one token of a subject, so it must
// never hold a dot, a wildcard or white space.
func ValidHost(name string) bool { return hostName.MatchString(name) }

// inboxPrefix keeps the replies to one host out of sight of the others.
func inboxPrefix(host string) string { return "_INBOX_" + host }

// hostOf returns the host that subject, which begins with prefix, belongs to.
func hostOf(subject, prefix string) string {
	host, _, _ := strings.Cut(strings.TrimPrefix(subject, prefix), ".")
	return host
}

// hostTemplate is everything that a host may do; the broker puts the name in
// the host's certificate (its user JWT) in place of {{name()}}. All else is denied.
func hostTemplate() jwt.UserPermissionLimits {
	const name = "{{name()}}"
	return jwt.UserPermissionLimits{
		Permissions: jwt.Permissions{
			Sub: jwt.Permission{Allow: jwt.StringList{
				commandPrefix + name,
				inboxPrefix(name) + ".>",
			}},
			Pub: jwt.Permission{Allow: jwt.StringList{
				// One subject for all answers of a host: a host that floods the
				// stream meets its own limit and pushes nobody else's answers out.
				answerPrefix + name,
				heartbeatPrefix + name,
				logPrefix + name + ".*",
				directGetPrefix + name,
			}},
		},
		Limits: jwt.Limits{NatsLimits: jwt.NatsLimits{
			Subs: 16, Data: jwt.NoLimit, Payload: MaxPayload,
		}},
		AllowedConnectionTypes: jwt.StringList{jwt.ConnectionTypeStandard, jwt.ConnectionTypeWebsocket},
	}
}

// crossing is one subject that crosses from the hosts' account to the fleet's.
type crossing struct {
	name    string
	subject string
	kind    jwt.ExportType
}

func crossings() []crossing {
	return []crossing{
		{"own order", directGetPrefix + "*", jwt.Service},
		{"answers", answerPrefix + "*", jwt.Service},
		{"logs", logPrefix + "*.*", jwt.Service},
		{"commands", commandPrefix + "*", jwt.Stream},
	}
}

func checkHost(host string) error {
	if !ValidHost(host) {
		return fmt.Errorf("host %q: a host id is 1 to 63 of a-z, 0-9 and '-'", host)
	}
	return nil
}
