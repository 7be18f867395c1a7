package forge

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/google/go-github/v60/github"
)

// deliveryPages bounds one look at the deliveries: 5 000 attempts.
const deliveryPages = 50

// HookDelivery is one attempt of GitHub's to bring us a webhook.
type HookDelivery struct {
	ID    int64
	GUID  string // the same for every attempt
	Event string
	Code  int // that we answered; 0 where there was no answer
	At    time.Time
}

// Arrived reports whether the attempt was answered as received.
func (d HookDelivery) Arrived() bool { return d.Code >= 200 && d.Code < 300 }

// Deliveries lists the attempts since a time, newest first. GitHub keeps those of the
// last three days.
func (f *Forge) Deliveries(ctx context.Context, since time.Time) ([]HookDelivery, error) {
	var all []HookDelivery
	for page, cursor := 0, ""; page < deliveryPages; page++ {
		list, next, err := f.deliveries(ctx, cursor)
		if err != nil {
			return nil, err
		}
		for _, d := range list {
			if d.At.Before(since) {
				return all, nil
			}
			all = append(all, d)
		}
		if cursor = next; cursor == "" {
			return all, nil
		}
	}
	return all, fmt.Errorf("%s: %w", listDeliveries, errPages)
}

// LatestDeliveries lists the newest hundred attempts, newest first.
func (f *Forge) LatestDeliveries(ctx context.Context) ([]HookDelivery, error) {
	list, _, err := f.deliveries(ctx, "")
	return list, err
}

const listDeliveries = "list webhook deliveries"

func (f *Forge) deliveries(ctx context.Context, cursor string) (all []HookDelivery, next string, err error) {
	path := fmt.Sprintf("app/hook/deliveries?per_page=%d", pageSize)
	if cursor != "" {
		path += "&cursor=" + url.QueryEscape(cursor)
	}
	a, err := f.app.do(ctx, call{op: listDeliveries, path: path})
	if err != nil {
		return nil, "", err
	}
	var list []struct {
		ID    int64     `json:"id"`
		GUID  string    `json:"guid"`
		At    time.Time `json:"delivered_at"`
		Code  int       `json:"status_code"`
		Event string    `json:"event"`
	}
	if err := decode(listDeliveries, a, &list); err != nil {
		return nil, "", err
	}
	for _, d := range list {
		all = append(all, HookDelivery{ID: d.ID, GUID: d.GUID, Event: d.Event, Code: d.Code, At: d.At.UTC()})
	}
	return all, a.cursor, nil
}

// Redeliver asks GitHub to bring a webhook once more.
func (f *Forge) Redeliver(ctx context.Context, id int64) error {
	_, err := f.app.do(ctx, call{op: fmt.Sprintf("redeliver webhook %d", id), method: http.MethodPost, path: fmt.Sprintf("app/hook/deliveries/%d/attempts", id)})
	if _, accepted := errors.AsType[*github.AcceptedError](err); accepted {
		return nil // 202 is a success, which the library reports as an error
	}
	return err
}
