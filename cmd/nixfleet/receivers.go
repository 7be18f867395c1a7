package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nixfleet/nixfleet/api"
	"github.com/nixfleet/nixfleet/fleet"
)

type receiversCmd struct {
	List   receiversListCmd   `cmd:"" default:"withargs" help:"Receivers, what they are told, and whether they can be reached."`
	Add    receiversAddCmd    `cmd:"" help:"Make a receiver, or change the one of that name."`
	Test   receiversTestCmd   `cmd:"" help:"Send a test, and say what came of it."`
	Remove receiversRemoveCmd `cmd:"" help:"Remove a receiver with what waits for it."`
}

type receiversListCmd struct{ serverFlags }

// Run prints a table that fits a terminal.
func (c *receiversListCmd) Run(e *env) error {
	list, err := c.client().Receivers(e.ctx)
	if err != nil {
		return err
	}
	if c.JSON {
		return json.NewEncoder(e.out).Encode(map[string]any{"receivers": list})
	}
	if len(list) == 0 {
		_, err := fmt.Fprintln(e.out, "No receivers yet. Make the first one: nixfleet receivers add NAME --address-file FILE")
		return err
	}
	rows := make([][]string, len(list))
	for i, r := range list {
		state := "ok"
		switch {
		case !r.Enabled:
			state = "off"
		case !r.FailingSince.IsZero():
			state = "failing since " + moment(r.FailingSince) + ": " + r.LastError
		case r.LastSent.IsZero():
			state = "never used"
		}
		rows[i] = []string{r.Name, r.Service, strconv.Itoa(len(r.Rule.On)), strconv.Itoa(r.Waiting), moment(r.LastSent), state}
	}
	return table(e, "RECEIVER SERVICE~2 EVENTS~1 WAITING LAST~3 STATE…", rows)
}

type receiversAddCmd struct {
	serverFlags
	Name        string `arg:"" help:"Name of the receiver, such as ops."`
	AddressFile string `help:"File with its address, in shoutrrr's words; - reads standard input. An address is a secret, so it is no argument." xor:"address"`
	InFile      bool   `help:"Its address is in the file that the server's NIXFLEET_RECEIVERS_FILE names." xor:"address"`

	On     []string `help:"Events that it is told, separated by commas; none for those only that policies name it for. Default: the usual ones."`
	Least  string   `help:"From which severity on: info, warning or error."`
	Repo   []string `help:"owner/name of the repositories that it is told of. Default: all."`
	TZ     string   `help:"Time zone of the times below, such as Europe/Vienna." name:"tz"`
	Quiet  string   `help:"Quiet hours, such as 22:00-07:00; none for none."`
	Digest string   `help:"Collect, and send once a day (08:00) or every so many hours (6h); none to send at once."`
	Urgent string   `help:"From which severity on nothing waits: error, warning, info or none."`
	Title  string   `help:"Template of the title."`
	Body   string   `help:"Template of the text."`
	Off    bool     `help:"Switch it off." xor:"off"`
	Enable bool     `help:"Switch it on." xor:"off"`
}

// Run saves the receiver.
func (c *receiversAddCmd) Run(e *env) error {
	n := api.NewReceiver{InFile: c.InFile}
	var err error
	if n.Address, err = c.address(e); err != nil {
		return err
	}
	if c.Off || c.Enable {
		n.Enabled = &c.Enable
	}
	list, err := c.client().Receivers(e.ctx)
	if err != nil {
		return err
	}
	rule := fleet.ReceiverRule{On: fleet.UsualNotices()}
	if i := slices.IndexFunc(list, func(r api.Receiver) bool { return r.Name == c.Name }); i >= 0 {
		rule = list[i].Rule
	}
	if err := c.change(&rule); err != nil {
		return err
	}
	n.Rule = &rule
	r, err := c.client().PutReceiver(e.ctx, c.Name, n)
	if err != nil {
		return err
	}
	if c.JSON {
		return json.NewEncoder(e.out).Encode(r)
	}
	_, err = fmt.Fprintf(e.out, "The receiver %s (%s) is told %d events. Try it: nixfleet receivers test %s\n", r.Name, r.Service, len(r.Rule.On), r.Name)
	return err
}

func (c *receiversAddCmd) address(e *env) (string, error) {
	var text []byte
	var err error
	switch c.AddressFile {
	case "":
		return "", nil
	case "-":
		text, err = io.ReadAll(io.LimitReader(e.in, 8<<10))
	default:
		text, err = os.ReadFile(c.AddressFile)
	}
	if err != nil {
		return "", fmt.Errorf("read the address: %w", err)
	}
	if len(strings.TrimSpace(string(text))) == 0 {
		return "", usagef("the file with the address is empty")
	}
	return strings.TrimSpace(string(text)), nil
}

// change applies the flags that were given.
func (c *receiversAddCmd) change(r *fleet.ReceiverRule) error {
	if len(c.On) > 0 {
		r.On = []fleet.NoticeKind{}
		for _, word := range c.On {
			if word != "none" {
				r.On = append(r.On, fleet.NoticeKind(word))
			}
		}
	}
	for _, given := range []struct {
		from string
		to   *string
	}{{c.TZ, &r.TZ}, {c.Title, &r.Title}, {c.Body, &r.Body}, {c.Least, (*string)(&r.Least)}} {
		if given.from != "" {
			*given.to = given.from
		}
	}
	if len(c.Repo) > 0 {
		r.Repos = c.Repo
	}
	if c.Urgent != "" {
		r.Urgent, r.Patient = fleet.Severity(c.Urgent), c.Urgent == "none"
		if r.Patient {
			r.Urgent = ""
		}
	}
	if c.Quiet != "" {
		from, to, ok := strings.Cut(c.Quiet, "-")
		if c.Quiet == "none" {
			from, to, ok = "", "", true
		}
		if !ok {
			return fmt.Errorf("--quiet: found %q, expected two times of day like 22:00-07:00", c.Quiet)
		}
		r.QuietFrom, r.QuietTo = from, to
	}
	return changeDigest(r, c.Digest)
}

func changeDigest(r *fleet.ReceiverRule, digest string) error {
	switch hours, every := strings.CutSuffix(digest, "h"); {
	case digest == "":
	case digest == "none":
		r.DigestAt, r.Every = "", 0
	case every:
		n, err := strconv.Atoi(hours)
		if err != nil || n < 1 {
			return fmt.Errorf("--digest: found %q, expected a time of day like 08:00 or hours like 6h", digest)
		}
		r.DigestAt, r.Every = "", n
	default:
		r.DigestAt, r.Every = digest, 0
	}
	return nil
}

const (
	// testWithin is how long a test is waited for; the server gives a receiver 20 seconds.
	testWithin = 40 * time.Second
	testEvery  = 300 * time.Millisecond
)

type receiversTestCmd struct {
	serverFlags
	Name string `arg:"" help:"Name of the receiver."`
}

// Run sends the test and waits for what comes of it.
func (c *receiversTestCmd) Run(e *env) error {
	before, err := c.newest(e)
	if err != nil {
		return err
	}
	if err := c.client().TestReceiver(e.ctx, c.Name); err != nil {
		return err
	}
	timeout := time.NewTimer(testWithin)
	defer timeout.Stop()
	tick := time.NewTicker(testEvery)
	defer tick.Stop()
	for {
		d, err := c.newest(e)
		if err != nil {
			return err
		}
		if (d.ID != before.ID || before.State == "waiting") && (d.State == "sent" || d.Attempts > before.Attempts || d.ID != before.ID && d.Attempts > 0) {
			return c.say(e, d)
		}
		select {
		case <-e.ctx.Done():
			return e.ctx.Err()
		case <-timeout.C:
			return fmt.Errorf("%s has not answered yet; nixfleet receivers list shows whether it does", c.Name)
		case <-tick.C:
		}
	}
}

// newest is the receiver's newest test; zero where there was none.
func (c *receiversTestCmd) newest(e *env) (api.Delivery, error) {
	list, err := c.client().Deliveries(e.ctx, c.Name)
	for _, d := range list {
		if d.Event == string(fleet.NoticeTest) {
			return d, err
		}
	}
	return api.Delivery{}, err
}

func (c *receiversTestCmd) say(e *env, d api.Delivery) error {
	if c.JSON {
		if err := json.NewEncoder(e.out).Encode(d); err != nil {
			return err
		}
	}
	if d.State != "sent" {
		return fmt.Errorf("the test did not reach %s: %s", c.Name, clean(d.Error))
	}
	if c.JSON {
		return nil
	}
	_, err := fmt.Fprintf(e.out, "%s took the test.\n", c.Name)
	return err
}

type receiversRemoveCmd struct {
	serverFlags
	Name string `arg:"" help:"Name of the receiver."`
}

// Run removes the receiver.
func (c *receiversRemoveCmd) Run(e *env) error {
	if err := c.client().RemoveReceiver(e.ctx, c.Name); err != nil {
		return err
	}
	if c.JSON {
		return json.NewEncoder(e.out).Encode(map[string]string{"removed": c.Name})
	}
	_, err := fmt.Fprintf(e.out, "The receiver %s is removed; nothing more is sent to it.\n", c.Name)
	return err
}
