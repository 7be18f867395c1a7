package db

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/nixfleet/nixfleet/fleet"
)

// news is a line of history that may be told to receivers.
type news struct {
	ID      int64
	At      time.Time
	Actor   string
	Kind    string
	Subject string
	Reason  string
	Detail  []byte
	First   bool
}

// detail is what notices want of the details of history.
type detail struct {
	From     string   `json:"from"`
	RepoID   int64    `json:"repo_id"`
	Rollout  string   `json:"rollout"`
	Subjects []string `json:"subjects"`
	Name     string   `json:"name"`
}

// SpreadNotices looks at up to n lines of history that may be news, and makes of each
// a delivery for every receiver that wants it, in one transaction: after a crash it is
// as if it had not begun, and a line is spread once, whoever does it. It reports how
// many it looked at.
func (d *DB) SpreadNotices(ctx context.Context, now time.Time, n int) (int, error) {
	looked := 0
	err := d.tx(ctx, func(tx pgx.Tx) error {
		fresh, err := all[news](ctx, tx, `
			select n.id, h.at, h.actor, h.kind, h.subject, h.reason, h.detail,
				h.kind like 'update.%' and not exists (
					select from history p where p.subject = h.subject and p.id < h.id and p.kind like 'update.%') as first
			from notices n join history h on h.id = n.id
			where n.facts is null order by n.id limit @n for update of n skip locked`, args{"n": n})
		if err != nil || len(fresh) == 0 {
			return err
		}
		looked = len(fresh)
		list, err := receivers(ctx, tx)
		if err != nil {
			return err
		}
		policies, err := repoPolicies(ctx, tx)
		if err != nil {
			return err
		}
		for _, line := range fresh {
			if err := spread(ctx, tx, line, list, policies, now); err != nil {
				return err
			}
		}
		return d.notify(ctx, tx)
	})
	if err != nil {
		return 0, fmt.Errorf("spread notices: %w", err)
	}
	return looked, nil
}

func spread(ctx context.Context, tx pgx.Tx, line news, list []fleet.Receiver, policies map[int64]fleet.Policy, now time.Time) error {
	var known detail
	if err := json.Unmarshal(line.Detail, &known); err != nil {
		known = detail{} // written by a program that has other details
	}
	n := fleet.Notice{ID: line.ID, At: line.At, Actor: line.Actor, Reason: line.Reason}
	n.Kinds = fleet.NoticesOf(fleet.Happened{
		ID: line.ID, At: line.At, Actor: line.Actor, Kind: line.Kind, From: known.From, First: line.First, Reason: line.Reason,
	})
	if len(n.Kinds) > 0 && len(list) > 0 {
		if err := tell(ctx, tx, &n, line.Subject, known); err != nil {
			return err
		}
	}
	var to []int64
	var kinds []string
	var collected []bool
	var due []time.Time
	for _, r := range list {
		kind, wanted := r.Wants(n, policies[n.RepoID].Notify)
		if !wanted {
			continue
		}
		at, together := r.Rule.When(kind.Severity(), now)
		if kind == fleet.NoticeTest {
			at, together = now, false
		}
		to, kinds, collected, due = append(to, r.ID), append(kinds, string(kind)), append(collected, together), append(due, at)
	}
	if len(to) == 0 {
		_, err := tx.Exec(ctx, `delete from notices where id = @id`, args{"id": n.ID})
		return err
	}
	if _, err := tx.Exec(ctx, `update notices set facts = @facts where id = @id`, args{"id": n.ID, "facts": n}); err != nil {
		return err
	}
	// A receiver that was removed meanwhile is told nothing.
	_, err := tx.Exec(ctx, `
		insert into notice_deliveries (receiver_id, notice_id, kind, collected, due_at)
		select r.id, @id, kind, collected, due from unnest(@to::bigint[], @kinds::text[], @collected::boolean[], @due::timestamptz[]) e (receiver, kind, collected, due)
		join receivers r on r.id = e.receiver for key share of r
		on conflict (receiver_id, notice_id) do nothing`,
		args{"id": n.ID, "to": to, "kinds": kinds, "collected": collected, "due": due})
	return err
}

// tell fills in what people want to know of a notice. What is not there any more is
// left out.
func tell(ctx context.Context, tx pgx.Tx, n *fleet.Notice, subject string, known detail) error {
	about, id, _ := strings.Cut(subject, "/")
	n.RepoID = known.RepoID
	var err error
	switch about {
	case "update":
		err = tellUpdate(ctx, tx, n, id)
	case "rollout":
		err = tellRollout(ctx, tx, n, id)
	case "order":
		err = tellOrder(ctx, tx, n, id)
	case "commit":
		n.Commit = id
		err = tellRollout(ctx, tx, n, known.Rollout)
	case "receiver":
		n.Receiver, _ = strconv.ParseInt(id, 10, 64)
		n.ReceiverName = known.Name
	default:
		for _, s := range known.Subjects {
			if host, ok := strings.CutPrefix(s, "host/"); ok {
				n.Concerned = append(n.Concerned, host)
			} else if repo, ok := strings.CutPrefix(s, "repo/"); ok {
				n.Repo = repo
			}
		}
	}
	if err != nil && !errors.Is(err, ErrNotFound) {
		return err
	}
	return tellRepo(ctx, tx, n)
}

func tellUpdate(ctx context.Context, tx pgx.Tx, n *fleet.Notice, id string) error {
	r, err := one[updateRow](ctx, tx, `select `+updateColumns+` from updates u `+updateJoins+` where u.id::text = @id`, args{"id": id})
	if err != nil {
		return err
	}
	n.RepoID, n.Number, n.Title, n.URL, n.Inputs, n.Commit = r.RepoID, r.Number, r.Title, r.URL, r.Verdict.Inputs, r.HeadSHA
	return nil
}

func tellRollout(ctx context.Context, tx pgx.Tx, n *fleet.Notice, id string) error {
	list, err := rolloutsWhere(ctx, tx, progressColumns, `r.id = @id`, args{"id": id})
	if err != nil || len(list) == 0 {
		return err
	}
	r := list[0]
	if r.UpdateID != 0 {
		if err := tellUpdate(ctx, tx, n, strconv.FormatInt(r.UpdateID, 10)); err != nil {
			return err
		}
	}
	n.RepoID, n.Rollout, n.RolloutKind, n.Commit, n.Hosts, n.Waves = r.RepoID, r.ID, r.Kind, r.Commit, r.Hosts, len(r.Plan.Waves)
	for i := range n.Hosts {
		if f := n.Hosts[i].Failure; f != nil {
			n.Hosts[i].Failure = &fleet.HostError{Step: f.Step, Code: f.Code, Message: f.Message} // logs are not for messages
		}
	}
	return nil
}

func tellOrder(ctx context.Context, tx pgx.Tx, n *fleet.Notice, id string) error {
	type row struct {
		Host, Kind, CommitSHA string
		RepoID                int64
		Failure               *fleet.HostError
	}
	r, err := one[row](ctx, tx, `select host, kind, commit_sha, repo_id, failure from orders where id = @id`, args{"id": id})
	if err != nil {
		return err
	}
	n.RepoID, n.Concerned, n.Order, n.Commit = r.RepoID, []string{r.Host}, r.Kind, r.CommitSHA
	if r.Failure != nil {
		n.Step = r.Failure.Step
		if r.Failure.Message != "" {
			n.Reason = r.Failure.Message
		}
	}
	return nil
}

func tellRepo(ctx context.Context, tx pgx.Tx, n *fleet.Notice) error {
	type row struct {
		ID                         int64
		Owner, Name, DefaultBranch string
	}
	rows, err := all[row](ctx, tx, `
		select id, owner, name, default_branch from repos where id = @id or (@id = 0 and owner || '/' || name = @name) limit 1`,
		args{"id": n.RepoID, "name": n.Repo})
	for _, r := range rows {
		n.RepoID, n.Repo, n.Branch = r.ID, r.Owner+"/"+r.Name, r.DefaultBranch
	}
	return err
}
