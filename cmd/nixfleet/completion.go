package main

import (
	"context"
	"fmt"
	"os"
	"time"

	kongcompletion "github.com/jotaen/kong-completion"
	"github.com/nixfleet/nixfleet/api"
	"github.com/nixfleet/nixfleet/fleet"
	"github.com/posener/complete"
)

// completeWithin is how long a person who pressed Tab waits for names from the server.
const completeWithin = 1500 * time.Millisecond

// predictors complete what only the server knows. Without one, or when it is slow, they
// complete nothing.
func predictors(ctx context.Context) []kongcompletion.Option {
	ask := func(read func(ctx context.Context, c *api.Client) []string) complete.Predictor {
		return complete.PredictFunc(func(complete.Args) []string {
			ctx, cancel := context.WithTimeout(ctx, completeWithin)
			defer cancel()
			server := os.Getenv("NIXFLEET_SERVER")
			if server == "" {
				server = defaultServer
			}
			return read(ctx, &api.Client{Server: server, Token: os.Getenv("NIXFLEET_TOKEN")})
		})
	}
	hosts := func(ctx context.Context, c *api.Client) (names, tags []string) {
		list, _ := c.Hosts(ctx, fleet.HostFilter{}) // nothing is completed, and that says enough
		seen := map[string]bool{}
		for _, h := range list {
			names = append(names, h.Name)
			for _, t := range h.Tags {
				if !seen[t] {
					seen[t], tags = true, append(tags, "tag:"+t)
				}
			}
		}
		return names, tags
	}
	return []kongcompletion.Option{kongcompletion.WithPredictors(map[string]complete.Predictor{
		"host": ask(func(ctx context.Context, c *api.Client) []string {
			names, _ := hosts(ctx, c)
			return names
		}),
		"selector": ask(func(ctx context.Context, c *api.Client) []string {
			names, tags := hosts(ctx, c)
			return append(append([]string{"all", "platform:nixos", "platform:darwin", "platform:home"}, tags...), names...)
		}),
		"rollout": ask(func(ctx context.Context, c *api.Client) []string {
			list, _ := c.Rollouts(ctx, api.RolloutQuery{Limit: 20})
			ids := []string{"latest"}
			for _, r := range list {
				ids = append(ids, r.ID)
			}
			return ids
		}),
		"update": ask(func(ctx context.Context, c *api.Client) []string {
			list, _ := c.Updates(ctx, "open", "", 50)
			var names []string
			for _, u := range list {
				names = append(names, fmt.Sprint(u.Number), fmt.Sprintf("%s#%d", u.Repo, u.Number))
			}
			return names
		}),
	}), kongcompletion.WithExitFunc(func(int) {})}
}
