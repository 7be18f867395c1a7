package notify

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nicholas-fedor/shoutrrr/pkg/router"
	"github.com/nicholas-fedor/shoutrrr/pkg/types"

	"github.com/nixfleet/nixfleet/fleet"
)

// within bounds one attempt. A receiver that has not answered by then is asked again
// later.
const within = 20 * time.Second

// names of services are the schemes of their addresses.
var services = map[string]string{
	"bark": "Bark", "discord": "Discord", "generic": "Webhook", "googlechat": "Google Chat", "gotify": "Gotify", "ifttt": "IFTTT",
	"join": "Join", "lark": "Lark", "matrix": "Matrix", "mattermost": "Mattermost", "notifiarr": "Notifiarr", "ntfy": "ntfy",
	"opsgenie": "Opsgenie", "pagerduty": "PagerDuty", "pushbullet": "Pushbullet", "pushover": "Pushover", "rocketchat": "Rocket.Chat",
	"signal": "Signal", "slack": "Slack", "smtp": "E-mail", "teams": "Teams", "telegram": "Telegram", "wecom": "WeCom", "zulip": "Zulip",
}

// titled are the services that show a title of their own accord; for the others it is
// the first line.
var titled = []string{
	"bark", "discord", "gotify", "join", "ntfy", "opsgenie", "pushbullet", "pushover", "slack", "smtp", "teams", "telegram",
}

// Sender sends messages. The zero value is ready.
type Sender struct {
	mu       sync.Mutex
	underWay map[string]bool // addresses to which a message is being sent
}

// errUnderWay says that a receiver has not let go of an earlier message. Some services
// wait without end; one connection to each is enough of that.
var errUnderWay = errors.New("the receiver still holds the connection of the last attempt")

// Service is what kind of receiver an address names, for people.
func Service(address string) string {
	scheme, _, _ := strings.Cut(address, ":")
	kind, _, _ := strings.Cut(strings.ToLower(scheme), "+")
	return services[kind]
}

// Check says what is wrong with an address, without asking anybody.
func Check(address string) error {
	if len(address) > 4000 {
		return errors.New("it is longer than any address of a receiver")
	}
	u, err := url.Parse(address)
	if err != nil || u.Scheme == "" || !strings.Contains(address, "://") {
		return errors.New("it is no address; one looks like slack://hook:TOKEN@webhook or ntfy://ntfy.sh/TOPIC")
	}
	if Service(address) == "" {
		return fmt.Errorf("%q is no kind of receiver; there are %s", clip(u.Scheme), strings.Join(slices.Sorted(maps.Keys(services)), ", "))
	}
	if kind, _, _ := strings.Cut(strings.ToLower(u.Scheme), "+"); kind == "matrix" {
		return checkMatrix(u) // the library signs in to find out
	}
	if _, err := router.New(nil, address); err != nil {
		return scrubbed(err, address)
	}
	return nil
}

func checkMatrix(u *url.URL) error {
	password, _ := u.User.Password()
	if u.Host == "" || password == "" {
		return errors.New("it must name server and password or token, like matrix://user:password@matrix.example.org/?rooms=!room:example.org")
	}
	return nil
}

// Send sends one message. It returns once the receiver has taken it, and otherwise says
// why not; a message of which that is not known may have arrived.
func (s *Sender) Send(ctx context.Context, address string, m fleet.Message) error {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	if !s.begin(address) {
		return errUnderWay
	}
	done := make(chan error, 1)
	go func() {
		defer s.end(address)
		done <- deliver(address, m)
	}()
	select {
	case err := <-done:
		return scrubbed(err, address)
	case <-ctx.Done():
		return fmt.Errorf("no answer: %w", ctx.Err())
	}
}

func (s *Sender) begin(address string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.underWay == nil {
		s.underWay = map[string]bool{}
	}
	if s.underWay[address] {
		return false
	}
	s.underWay[address] = true
	return true
}

func (s *Sender) end(address string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.underWay, address)
}

func deliver(address string, m fleet.Message) (err error) {
	defer func() {
		if r := recover(); r != nil { // a library that trips over an answer must not take the server along
			err = errors.New("the receiver's answer could not be understood")
		}
	}()
	if err := Check(address); err != nil {
		return err
	}
	r, err := router.New(nil, address)
	if err != nil {
		return err
	}
	r.Timeout = within
	text, params := worded(address, m)
	return errors.Join(r.Send(text, &params)...)
}

// worded is a message as a service shows it best.
func worded(address string, m fleet.Message) (string, types.Params) {
	scheme, _, _ := strings.Cut(address, ":")
	kind, _, _ := strings.Cut(strings.ToLower(scheme), "+")
	u, err := url.Parse(address)
	if err != nil {
		u = &url.URL{}
	}
	query := u.Query()
	params, text := types.Params{}, m.Body
	put := func(key, value string) {
		if !query.Has(key) { // what the address says goes first
			params[key] = value
		}
	}
	structured := kind == "generic" && query.Has("template")
	if structured || slices.Contains(titled, kind) {
		params[types.TitleKey] = m.Title
	} else {
		text = m.Title + "\n\n" + text
	}
	switch {
	case structured:
		params["severity"], params["link"] = string(m.Severity), m.Link
		return text, params
	case kind == "ntfy":
		put("priority", map[fleet.Severity]string{fleet.SeverityError: "high", fleet.SeverityWarning: "default", fleet.SeverityInfo: "low"}[m.Severity])
		if m.Link != "" {
			put("click", m.Link)
		}
	case kind == "gotify":
		put("priority", map[fleet.Severity]string{fleet.SeverityError: "8", fleet.SeverityWarning: "5", fleet.SeverityInfo: "2"}[m.Severity])
	case kind == "slack":
		put("color", map[fleet.Severity]string{fleet.SeverityError: "danger", fleet.SeverityWarning: "warning", fleet.SeverityInfo: "good"}[m.Severity])
	case kind == "discord":
		put("color", map[fleet.Severity]string{fleet.SeverityError: "0xd60510", fleet.SeverityWarning: "0xffc441", fleet.SeverityInfo: "0x2e9e5b"}[m.Severity])
		put("splitLines", "no")
	}
	if m.Link != "" {
		text = strings.TrimRight(text, "\n") + "\n\n" + m.Link
	}
	return strings.TrimSpace(text), params
}

func clip(s string) string { return s[:min(len(s), 40)] }
