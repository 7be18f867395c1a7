package api_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/nixfleet/nixfleet/api"
	"github.com/nixfleet/nixfleet/fleet"
)

type onceRow struct {
	sum    []byte
	answer *api.Answer
}

func (s *service) BeginOnce(_ context.Context, by fleet.Actor, key string, sum []byte) (api.Turn, *api.Answer, error) {
	s.onceMu.Lock()
	defer s.onceMu.Unlock()
	turn := api.Turn{By: by, Key: key}
	row := s.once[by.Login+" "+key]
	switch {
	case row == nil:
		if s.once == nil {
			s.once = map[string]*onceRow{}
		}
		s.once[by.Login+" "+key] = &onceRow{sum: sum}
		return turn, nil, nil
	case !bytes.Equal(row.sum, sum):
		return turn, nil, api.ErrOtherRequest
	case row.answer == nil:
		return turn, nil, api.ErrUnderWay
	}
	return turn, row.answer, nil
}

func (s *service) EndOnce(_ context.Context, t api.Turn, a api.Answer) error {
	s.onceMu.Lock()
	defer s.onceMu.Unlock()
	s.once[t.By.Login+" "+t.Key].answer = &a
	return nil
}

func (s *service) DropOnce(_ context.Context, t api.Turn) error {
	s.onceMu.Lock()
	defer s.onceMu.Unlock()
	delete(s.once, t.By.Login+" "+t.Key)
	return nil
}

func (s *service) Failed(operation, why string) { s.faults = append(s.faults, operation+": "+why) }

// send is a request as curl would make it.
func send(t *testing.T, method, url, token, key, body string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	req.Header.Set("Content-Type", "application/json")
	if key != "" {
		req.Header.Set("Idempotency-Key", key)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(text)
}

func TestARepeatedRequestIsCarriedOutOnceAndAnsweredAlike(t *testing.T) {
	t.Parallel()
	s, url := serve(t)
	pause := func(token, key, body string) (*http.Response, string) {
		return send(t, "POST", url+"/api/v1/rollouts/01R/pause", token, key, body)
	}
	first, text := pause("do", "k", `{"reason":"lunch"}`)
	again, same := pause("do", "k", `{"reason":"lunch"}`)
	if first.StatusCode != 200 || again.StatusCode != 200 || text != same || again.Header.Get("Content-Type") != first.Header.Get("Content-Type") {
		t.Errorf("answered %d %s\nthen %d %s", first.StatusCode, text, again.StatusCode, same)
	}
	if first.Header.Get("Idempotency-Replayed") != "" || again.Header.Get("Idempotency-Replayed") != "true" {
		t.Error("a repetition does not say that it is one")
	}
	if len(s.did) != 1 {
		t.Errorf("carried out %q", s.did)
	}
	other, text := pause("do", "k", `{"reason":"dinner"}`)
	if other.StatusCode != 422 || !strings.Contains(text, `"location":"header.Idempotency-Key"`) || len(s.did) != 1 {
		t.Errorf("the key of another request: %d %s, carried out %q", other.StatusCode, text, s.did)
	}
	// The key of one person says nothing about the request of another.
	if resp, text := pause("all", "k", `{"reason":"dinner"}`); resp.StatusCode != 200 || len(s.did) != 2 {
		t.Errorf("another person: %d %s", resp.StatusCode, text)
	}
}

func TestARefusalIsJudgedAnew(t *testing.T) {
	t.Parallel()
	s, url := serve(t)
	for range 2 {
		if resp, text := send(t, "POST", url+"/api/v1/rollouts/01R/resume", "do", "k", ""); resp.StatusCode != 409 || resp.Header.Get("Idempotency-Replayed") != "" {
			t.Errorf("%d %s", resp.StatusCode, text)
		}
	}
	if len(s.once) != 0 {
		t.Errorf("a refusal is kept: %v", s.once)
	}
}

// What is shown once must be nowhere to be read again.
func TestASecretIsNotKeptForARepetition(t *testing.T) {
	t.Parallel()
	s, url := serve(t)
	body := `{"name":"db1","attr":"nixosConfigurations.db1"}`
	if resp, text := send(t, "POST", url+"/api/v1/hosts", "all", "k", body); resp.StatusCode != 201 || !strings.Contains(text, "secret") {
		t.Fatalf("%d %s", resp.StatusCode, text)
	}
	if kept := s.once["all k"]; kept == nil || kept.answer == nil || kept.answer.Body != nil {
		t.Errorf("kept %+v", kept)
	}
	resp, text := send(t, "POST", url+"/api/v1/hosts", "all", "k", body)
	if resp.StatusCode != 409 || !strings.Contains(text, "secrets are not kept") || len(s.made) != 1 {
		t.Errorf("%d %s, made %v", resp.StatusCode, text, s.made)
	}
}

func TestARequestUnderWayIsNotBegunAgain(t *testing.T) {
	t.Parallel()
	s, url := serve(t)
	at := url + "/api/v1/rollouts/01R/pause"
	send(t, "POST", at, "do", "k", "")
	s.once["do k"].answer = nil
	resp, text := send(t, "POST", at, "do", "k", "")
	if resp.StatusCode != 409 || resp.Header.Get("Retry-After") == "" || len(s.did) != 1 {
		t.Errorf("%d %s, carried out %q", resp.StatusCode, text, s.did)
	}
}

func TestAKeyIsBoundedAndWhatIsTooLargeIsRefusedWithOne(t *testing.T) {
	t.Parallel()
	s, url := serve(t)
	at := url + "/api/v1/rollouts/01R/pause"
	if resp, text := send(t, "POST", at, "do", strings.Repeat("k", 201), ""); resp.StatusCode != 422 {
		t.Errorf("a long key: %d %s", resp.StatusCode, text)
	}
	body := fmt.Sprintf(`{"reason":%q}`, strings.Repeat("x", 1<<20))
	if resp, text := send(t, "POST", at, "do", "k", body); resp.StatusCode != 413 || !strings.Contains(text, "#problem-too-large") {
		t.Errorf("a large body: %d %.300s", resp.StatusCode, text)
	}
	if len(s.did) != 0 || len(s.once) != 0 {
		t.Errorf("did %q, kept %v", s.did, s.once)
	}
}
