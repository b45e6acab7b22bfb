package shipper

import (
	"fmt"
	"strconv"
	"strings"

	"go.uber.org/zap"

	"perstack-shipper/batch"
	"perstack-shipper/shipper/quantity"
)

// mostNames is how many streams a summary names.
const mostNames = 3

// Did returns what Run did, in a few words.
func (r *Report) Did() string {
	if r.primaryLeft() {
		return "read, but did not fully ship, " + quantity.Count(r.Lines, "line", "lines")
	}
	return "shipped " + quantity.Count(r.Lines, "line", "lines")
}

// Sentence returns the summary in one line: where the lines are, how the jobs ended, and every
// other count that is not zero.
func (r *Report) Sentence() string {
	var b strings.Builder
	b.WriteString(r.Did())
	if len(r.Groups) > 0 {
		b.WriteString(" to " + strings.Join(r.Groups, " and "))
	}
	if r.Streams > 0 {
		for i, name := range r.StreamNames {
			if i > 0 {
				b.WriteString(",")
			}
			b.WriteString(" " + printable(name))
		}
		if more := r.Streams - len(r.StreamNames); more > 0 {
			b.WriteString(" and " + quantity.Count(int64(more), "more stream", "more streams"))
		}
	}
	b.WriteString(" (" + strings.Join(r.details(), ", ") + ")")
	return b.String()
}

func (r *Report) details() (all []string) {
	switch jobs := &r.Jobs; {
	case jobs.Count == 1 && jobs.Latest.Runs == 0: // lines may name a job without being an agent's
	case jobs.Count == 1 && (jobs.Latest.JobID == "" || r.Streams == 1 && jobs.Latest.JobID == r.StreamNames[0]):
		all = append(all, outcomeText(jobs.Latest.Outcome))
	case jobs.Count == 1:
		all = append(all, "job "+printable(jobs.Latest.JobID)+" "+outcomeText(jobs.Latest.Outcome))
	case jobs.Count > 1:
		var how []string
		for _, o := range batch.Outcomes {
			if n := jobs.Outcomes.Of(o); n > 0 {
				how = append(how, quantity.Number(n)+" "+outcomeText(o))
			}
		}
		all = append(all, quantity.Number(int64(jobs.Count))+" jobs: "+strings.Join(how, ", "))
	}
	for _, c := range []struct {
		n         int64
		one, many string
	}{
		{r.Jobs.Tokens, "token", "tokens"},
		{r.EmptyLines, "empty line", "empty lines"},
		{r.Excluded, "line left out", "lines left out"},
		{r.Redacted, "match redacted", "matches redacted"},
		{r.Lossy, "line that was not UTF-8", "lines that were not UTF-8"},
		{r.Retimed, "event with the time of sending", "events with the time of sending"},
		{int64(r.Retries), "retry", "retries"},
		{r.Repeated, "event possibly repeated", "events possibly repeated"},
		{r.Rejected, "line rejected", "lines rejected"},
	} {
		if c.n > 0 {
			all = append(all, quantity.Count(c.n, c.one, c.many))
		}
	}
	return append(all, fmt.Sprintf("%.2f s", r.Took.Seconds()))
}

func outcomeText(o batch.Outcome) string {
	switch o {
	case batch.Failed:
		return "stopped by an error"
	case batch.MaxSteps:
		return "out of steps"
	case batch.Interactive:
		return "waiting for a person"
	}
	return string(o)
}

// printable returns a name that an agent chose. It quotes the name if it contains a space or
// anything that a terminal could interpret.
func printable(name string) string {
	if quoted := strconv.Quote(name); quoted != `"`+name+`"` || strings.Contains(name, " ") {
		return quoted
	}
	return name
}

// Fields returns the summary as fields of a log entry.
func (r *Report) Fields() []zap.Field {
	fields := []zap.Field{
		zap.Int64("lines", r.Lines), zap.Int64("bytes", r.Bytes), zap.String("group", strings.Join(r.Groups, ",")),
		zap.Strings("streams", r.StreamNames), zap.Int("streamCount", r.Streams),
	}
	if r.Jobs.Count == 1 {
		fields = append(fields, zap.String("job", r.Jobs.Latest.JobID), zap.String("outcome", string(r.Jobs.Latest.Outcome)))
	}
	return append(fields, zap.Int("jobs", r.Jobs.Count), zap.Int64("tokens", r.Jobs.Tokens), zap.Int("retries", r.Retries), zap.Int64("repeats", r.Repeated),
		zap.Int64("rejected", r.Rejected), zap.Int64("lossy", r.Lossy), zap.Int64("retimed", r.Retimed),
		zap.Int64("excluded", r.Excluded), zap.Int64("redacted", r.Redacted), zap.Float64("seconds", r.Took.Seconds()))
}
