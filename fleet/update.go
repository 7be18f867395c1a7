package fleet

import "time"

// Answer is what became of a person's command on an update.
type Answer struct {
	By      Actor     `json:"by"`
	Command string    `json:"command"` // as it was written
	Text    string    `json:"text"`    // may have several lines
	Done    bool      `json:"done"`
	At      time.Time `json:"at"` // when it was written
}

// Update is one pull request as we keep it: keyed by repository id and number,
// with the verdict of the last look.
type Update struct {
	ID         int64
	Repo       Repo
	Number     int
	Title      string
	URL        string
	HeadSHA    string
	Ignored    bool // a look found that it is no update at all; the verdict says why
	State      UpdateState
	Verdict    Verdict
	FirstSeen  time.Time
	HeadSeen   time.Time
	Request    *MergeRequest
	Hold       *Hold
	Answer     *Answer // what became of the last command, nil where there was none
	MergeSHA   string  // the merge commit, once merged
	MergedBy   string
	MergedAt   time.Time
	CommentID  int64     // ours, 0 until written
	CommentSum string    // digest of what the comment says
	CommentAt  time.Time // when it was last written
	CheckRunID int64     // ours, 0 until written
	CheckSHA   string    // the head SHA that CheckRunID belongs to
	CheckSum   string    // digest of what the check run says
	CheckAt    time.Time // when it was last written
	ChangedAt  time.Time
}

// UpdateDetail is one pull request with everything that is known of it.
type UpdateDetail struct {
	Update
	Rollouts []Rollout // that its merge led to, newest first, described
	History  []Act     // of it and of its rollouts, newest first
}

// Checked is what came of checking one repository for updates at a person's word.
type Checked struct {
	Repo    string   `json:"repo"`              // owner/name
	Started []string `json:"started,omitempty"` // workflows that were started, by the paths of their files
	Found   string   `json:"found"`             // what was started, or why nothing was
}

// UpdateQuery picks updates that have ended, newest first.
type UpdateQuery struct {
	RepoID int64       // 0 means any
	State  UpdateState // empty means any that is an end
	Before int64       // id of the last one of the page before; 0 begins with the newest
	Limit  int
}
