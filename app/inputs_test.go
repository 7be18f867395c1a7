package app

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/nixfleet/nixfleet/agentbus"
	"github.com/nixfleet/nixfleet/api"
	"github.com/nixfleet/nixfleet/db"
	"github.com/nixfleet/nixfleet/fleet"
)

// host enrols a host of the repository, online now.
func (p *pressing) host(name string, tags ...string) {
	p.t.Helper()
	h := fleet.Host{RepoID: p.repoID, Name: name, Attr: "nixosConfigurations." + name, Tags: tags}
	must(p.t, p.db.CreateHost(p.t.Context(), db.NewHost{Host: h, TokenHash: hash(name), Expires: p.clock.now().Add(time.Hour)}, p.clock.now()))
	_, err := p.db.EnrollHost(p.t.Context(), hash(name), name, "U"+name, p.clock.now())
	must(p.t, err)
	p.online(name)
}

func (p *pressing) online(name string) {
	p.t.Helper()
	must(p.t, p.db.SaveBeats(p.t.Context(), []db.Beat{{Host: name, At: p.clock.now()}}))
}

// answers records the only answer of a host to an order, as the bus brings it.
func (p *pressing) answers(order string, a agentbus.Answer) {
	p.t.Helper()
	o, err := p.db.Order(p.t.Context(), order)
	must(p.t, err)
	a.V, a.Order, a.Gen, a.Seq, a.At = agentbus.ProtocolVersion, o.ID, o.Gen, 1, p.clock.now().UnixMilli()
	row, err := answerRow(agentbus.Received{Seq: 1, Host: o.Host, Answer: a}, p.clock.now())
	must(p.t, err)
	for range 2 { // hosts repeat
		_, err = p.db.RecordAnswers(p.t.Context(), []db.AnswerRow{row}, p.clock.now())
		must(p.t, err)
	}
}

func packed(t testing.TB, text string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, err := z.Write([]byte(text))
	must(t, err)
	must(t, z.Close())
	return b.Bytes()
}

func (p *pressing) client() *api.Client { return &api.Client{Server: p.url, Token: adminSecret} }

// became drives the loops and says what became of an update of inputs.
func (p *pressing) became(id string) api.InputsUpdate {
	p.t.Helper()
	p.turn()
	u, err := p.client().InputsUpdate(p.t.Context(), pressedRepo, id)
	must(p.t, err)
	return u
}

func TestAHostsNewLockIsCommitted(t *testing.T) {
	t.Parallel()
	p := newProposing(t)
	p.host("web1")
	p.host("build1", fleet.EvaluatorTag)
	base := p.main()
	asked, err := p.client().UpdateInputs(t.Context(), pressedRepo, api.UpdateInputs{Inputs: []string{"input"}, Reason: "weekly"})
	must(t, err)
	if asked.Host != "build1" || asked.Base != base || asked.Path != "flake.lock" || asked.Actor != "admin (local)" || asked.State != "ordered" || asked.Ended {
		t.Fatalf("%+v", asked)
	}
	o, err := p.db.Order(t.Context(), asked.ID)
	must(t, err)
	if o.Kind != "update_inputs" || o.Commit != base || len(o.Detail.Inputs) != 1 || o.Detail.LockFile != "flake.lock" {
		t.Errorf("order %+v", o)
	}
	// The server stops right after it stored the answer: nothing but the row is left.
	p.answers(asked.ID, agentbus.Answer{Step: agentbus.StepHealthy, Note: "updated input", Lock: packed(t, p.lock())})
	if u, err := p.client().InputsUpdate(t.Context(), pressedRepo, asked.ID); err != nil || u.Ended || u.State != "healthy" || u.Lock != nil {
		t.Errorf("stored, and not proposed yet: %+v, %v", u, err)
	}
	u := p.became(asked.ID)
	if u.Lock == nil || u.Lock.State != "committed" || !u.Ended || u.Lock.Commit != p.main() || p.main() == base || u.Lock.Host != "build1" {
		t.Fatalf("%+v, %+v; main at %.7s", u, u.Lock, p.main())
	}
	r, err := p.db.RolloutOf(t.Context(), p.repoID, p.main())
	must(t, err)
	if r == nil {
		t.Error("no rollout is planned")
	}
	if n, err := p.db.Proposals(t.Context(), p.repoID, 10); err != nil || len(n) != 1 {
		t.Errorf("%d proposals, %v; want one", len(n), err)
	}
}

func TestAnUpdateOfInputsThatBringsNothing(t *testing.T) {
	t.Parallel()
	p := newProposing(t)
	p.host("web1")
	bomb := packed(t, strings.Repeat(" ", 8<<20))
	for name, c := range map[string]struct {
		answer agentbus.Answer
		state  string
		found  string
	}{
		"all is current": {agentbus.Answer{Step: agentbus.StepHealthy, Note: "all inputs are current"}, "healthy", "all inputs are current"},
		"it fails": {agentbus.Answer{Step: agentbus.StepFailed, Error: &agentbus.StepError{
			Step: agentbus.StepBuilding, Code: "lock_too_large", Message: "the new lock has 1000000 bytes",
		}}, "failed", "lock_too_large: the new lock has 1000000 bytes"},
		"no archive":     {agentbus.Answer{Step: agentbus.StepHealthy, Lock: []byte("{}")}, "healthy", "the lock that web1 sent can't be read"},
		"too much in it": {agentbus.Answer{Step: agentbus.StepHealthy, Lock: bomb}, "healthy", "larger than"},
		"nothing in it":  {agentbus.Answer{Step: agentbus.StepHealthy, Lock: packed(t, "")}, "healthy", "the lock has 0 bytes"},
	} {
		asked, err := p.client().UpdateInputs(t.Context(), pressedRepo, api.UpdateInputs{})
		must(t, err)
		p.answers(asked.ID, c.answer)
		if u := p.became(asked.ID); !u.Ended || u.State != c.state || u.Lock != nil || !strings.Contains(u.Found, c.found) {
			t.Errorf("%s: %+v, want %s: …%s…", name, u, c.state, c.found)
		}
	}
	if _, err := p.client().InputsUpdate(t.Context(), pressedRepo, "01J"); err == nil || !strings.Contains(err.Error(), "no update of inputs has this id") {
		t.Errorf("an unknown one: %v", err)
	}
}

func TestUpdatesOfInputsThatAreNotOrdered(t *testing.T) {
	t.Parallel()
	p := newProposing(t)
	refused := func(what, want string, u api.UpdateInputs) {
		t.Helper()
		if got, err := p.client().UpdateInputs(t.Context(), pressedRepo, u); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %+v, %v; want …%s…", what, got, err, want)
		}
	}
	refused("without hosts", "no host of octo/fleet is online", api.UpdateInputs{})
	p.host("web1")
	must(t, p.db.CreateHost(t.Context(), db.NewHost{Host: fleet.Host{RepoID: p.repoID, Name: "new1", Attr: "nixosConfigurations.new1"}, TokenHash: hash("x"), Expires: p.clock.now().Add(time.Hour)}, p.clock.now()))
	refused("on a stranger", `octo/fleet has no host "web9"`, api.UpdateInputs{Host: "web9"})
	refused("on one that never came", "new1 is not enrolled", api.UpdateInputs{Host: "new1"})
	refused("of what is no input", "no name of an input", api.UpdateInputs{Inputs: []string{"--option"}})
	refused("of what is no lock file", "no path of a file", api.UpdateInputs{Path: "../flake.lock"})
	p.clock.forward(fleet.OnlineWithin + time.Second)
	refused("on one that is away", "web1 is offline", api.UpdateInputs{Host: "web1"})
	p.commit(pressedRepo, "main", map[string]string{".github/nixfleet.yml": "version: 1\n"})
	p.turn()
	p.online("web1")
	refused("where pull requests bring updates", "Set updates.strategy: host", api.UpdateInputs{})
	p.commit(pressedRepo, "main", map[string]string{".github/nixfleet.yml": "version: 1\nupdates: {strategy: host, files: [a/flake.lock, b/flake.lock]}\n"})
	p.turn()
	refused("where there are several", "name one of a/flake.lock, b/flake.lock", api.UpdateInputs{})
	p.commit(pressedRepo, "main", map[string]string{".github/nixfleet.yml": "version: 0\n"})
	p.turn()
	refused("under a broken policy", "can't be read", api.UpdateInputs{})
}

// What an answer brings is read whole: what the answer is stored as is what it was.
func TestAnAnswerIsStoredAsItWasSent(t *testing.T) {
	t.Parallel()
	a := agentbus.Answer{V: 1, Order: "o", Seq: 1, Step: agentbus.StepHealthy, Lock: []byte{0, 1, 0xff}}
	row, err := answerRow(agentbus.Received{Host: "web1", Answer: a}, time.Unix(1, 0))
	must(t, err)
	var back agentbus.Answer
	must(t, json.Unmarshal(row.Raw, &back))
	if !row.Lock || !bytes.Equal(back.Lock, a.Lock) {
		t.Errorf("%+v", row)
	}
}
