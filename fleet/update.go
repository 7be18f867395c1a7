package fleet

import "time"

// Update is one pull request as we keep it: keyed by repository id and number,
// with the verdict of the last look.
type Update struct {
	ID         int64
	Repo       Repo
	Number     int
	Title      string
	URL        string
	HeadSHA    string
	State      UpdateState
	Verdict    Verdict
	FirstSeen  time.Time
	HeadSeen   time.Time
	Request    *MergeRequest
	Hold       *Hold
	MergeSHA   string // the merge commit, once merged
	MergedBy   string
	MergedAt   time.Time
	CommentID  int64  // ours, 0 until written
	CommentSum string // digest of what the comment says
	CheckRunID int64  // ours, 0 until written
	CheckSHA   string // the head SHA that CheckRunID belongs to
	CheckSum   string // digest of what the check run says
	ChangedAt  time.Time
}
