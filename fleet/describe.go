package fleet

// Describe fills in what an overview's rows imply: whether each host is online,
// its compartments, its place in the rollout that runs, and the rollouts'
// headlines. expectedAgent is the server's own version. o.At is the time it is
// true for.
func Describe(o *Overview, expectedAgent string) {
	o.Agent = expectedAgent
	repos := map[int64]RepoView{}
	for _, r := range o.Repos {
		repos[r.Repo.ID] = r
	}
	pending := map[int64]*PendingUpdate{}
	for _, u := range o.Updates { // newest first
		if u.State.Open() && pending[u.Repo.ID] == nil {
			pending[u.Repo.ID] = &PendingUpdate{Number: u.Number, Title: u.Title, Changes: u.Verdict.Inputs}
		}
	}
	for i := range o.Rollouts {
		o.Rollouts[i].Headline = Headline(o.Rollouts[i], restoring(o.Rollouts, o.Rollouts[i].ID), o.At)
	}
	places := progressByHost(o.Rollouts)
	evaluators := evaluatorsOf(o.Hosts, o.At)
	for i := range o.Hosts {
		v := &o.Hosts[i]
		repo := repos[v.Host.RepoID]
		v.Online = v.Host.Online(o.At)
		v.Progress = places[place{v.Host.RepoID, v.Host.Name}]
		v.Compartments = Compartments(CompartmentFacts{
			Host:          v.Host,
			Branch:        repo.Repo.DefaultBranch,
			RepoHead:      repo.HeadSHA,
			ExpectedAgent: expectedAgent,
			Pending:       pending[v.Host.RepoID],
			Shared:        v.Evaluation,
			Evaluator:     evaluators[v.Host.RepoID],
			Doing:         v.Doing,
		}, o.At)
	}
}

// restoring is the newest of the rollouts that restores the one named; nil: none.
func restoring(rollouts []Rollout, id string) *Rollout {
	var newest *Rollout
	for i, r := range rollouts {
		if r.Kind == RolloutRestore && r.Restores == id && (newest == nil || r.ID > newest.ID) {
			newest = &rollouts[i]
		}
	}
	return newest
}

type place struct {
	repo int64
	host string
}

// progressByHost finds each host's place in a rollout that is not over for it: the
// rollout runs, or was stopped while the host still works.
func progressByHost(rollouts []Rollout) map[place]*HostProgress {
	places := map[place]*HostProgress{}
	for _, r := range rollouts {
		for _, p := range r.Hosts {
			at := place{r.RepoID, p.Host}
			if (r.State.Blocks() || p.State.UnderWay()) && places[at] == nil {
				places[at] = &p
			}
		}
	}
	return places
}
