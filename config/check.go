package config

// This file validates the value of each option, and says what to do about an invalid one.

import (
	"encoding/json"
	"fmt"
	"net"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"perstack-shipper/batch"
)

const (
	// MinMemory is the minimum of MemoryMax: a few bodies of 1 MiB and the blocks they are made
	// from.
	MinMemory Size = 8 << 20
	// MinJournal is the minimum of JournalMax. A line of 8 MiB must be in the journal as a whole
	// before any of it is shipped. The line's first segment may begin with data that is already
	// shipped: an eighth of the limit, plus what one read of a pipe writes beyond that. That data
	// is freed only with the whole segment.
	MinJournal Size = 16 << 20
	// MaxFieldBytes bounds Events.Fields as JSON, which is how they are in each event.
	MaxFieldBytes = 8 << 10
	// maxIDBytes bounds JobID and RunID, because they are added to events.
	maxIDBytes = 1 << 10
)

// RetentionDays are the retentions that PutRetentionPolicy accepts.
// https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutRetentionPolicy.html
var RetentionDays = []int{
	1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653,
}

// failOnKinds are the outcomes of a job that --fail-on can turn into exit code 1.
var failOnKinds = []string{"error", "max-steps", "delegate-error", "unfinished"}

var (
	groupARN   = regexp.MustCompile(`^arn:[a-z-]+:logs:([a-z0-9-]*):\d*:log-group:([^:]+)(:\*)?$`)
	roleARN    = regexp.MustCompile(`^arn:aws[a-z-]*:iam::\d{12}:role/[\w+=,.@/-]+$`)
	externalID = regexp.MustCompile(`^[\w+=,.@:/-]{2,}$`)
	groupName  = regexp.MustCompile(`^[._/#A-Za-z0-9-]{1,512}$`)
	fieldKey   = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.-]*$`)
	tagText    = regexp.MustCompile(`^[\p{L}\p{Z}\p{N}_.:/=+\-@]*$`)
)

// first returns the first error in checks.
func first(checks ...error) error {
	for _, err := range checks {
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *Ship) check() error {
	return first(
		s.checkInput(), s.Verdict.check(),
		s.Target.check(), s.Events.check(), s.Delivery.check(), s.Creation.check(), s.Journal.check(), s.Metrics.check(), s.Log.check(),
	)
}

func (s *Ship) checkInput() error {
	if slices.Contains(s.Inputs, "") {
		return Usage("--input", "is empty: name a file, FIFO or folder")
	}
	if len(s.Inputs) == 0 && s.InputWait {
		return Usage("--input-wait", "has no effect without --input: leave it out or name an input")
	}
	if len(s.Inputs) == 0 && s.UntilIdle != 0 {
		return Usage("--until-idle", "has no effect without --input: stdin ends by itself")
	}
	if len(s.Inputs) > 0 && s.Tee {
		return Usage("--tee", "copies stdin, which --input replaces: leave one of them out")
	}
	if s.UntilIdle != 0 {
		return between("--until-idle", s.UntilIdle, 10*time.Millisecond, 30*24*time.Hour)
	}
	return nil
}

func (e *Exec) check() error {
	if len(e.Command) == 0 || e.Command[0] == "" {
		return Usage("", "exec has no command: put it after --, as in %s exec --log-group /perstack/prod -- perstack run …", Program)
	}
	if e.LeftCode < 0 || e.LeftCode > 255 {
		return Usage("--left-code", "%d is not an exit code: use 1 to 255, such as 75", e.LeftCode)
	}
	return first(
		oneOf("--stdout", e.Stdout, StdoutFile, StdoutPipe),
		e.Verdict.check(),
		e.Target.check(), e.Events.check(), e.Delivery.check(), e.Creation.check(), e.Journal.check(), e.Metrics.check(), e.Log.check(),
	)
}

func (v *Verdict) check() error {
	for i, kind := range v.FailOn {
		if !slices.Contains(failOnKinds, kind) {
			return Usage("--fail-on", "%q is not valid: use %s, separated by commas", kind, strings.Join(failOnKinds, ", "))
		}
		if slices.Contains(v.FailOn[:i], kind) {
			return Usage("--fail-on", "names %s twice: leave one of them out", kind)
		}
	}
	return nil
}

func (r *Resume) check() error {
	return first(r.Redirect.check(), r.Caller.check(), r.Delivery.check(), r.Journal.check(), r.Log.check())
}

func (s *Status) check() error { return nil }

func (h *Healthcheck) check() error {
	return between("--older-than", h.OlderThan, time.Second, 30*24*time.Hour)
}

func (r *Redirect) check() error {
	if r.LogGroup != "" {
		if err := checkGroup(r.LogGroup); err != nil {
			return err
		}
	}
	if r.EndpointURL != nil {
		return checkEndpoint(*r.EndpointURL)
	}
	return nil
}

func (l *Logs) check() error {
	if l.Job == "" && len(l.Streams) == 0 {
		return Usage("--job", "is required: give the jobId of the job to print")
	}
	if slices.Contains(l.Streams, "") {
		return Usage("--stream", "is empty: name a log stream")
	}
	if l.Follow && l.Wait > 0 {
		return Usage("--wait", "has no effect with --follow, which goes on by itself: leave one of them out")
	}
	if l.Follow && !l.Until.IsZero() {
		return Usage("--until", "cannot be combined with --follow: leave one of them out")
	}
	for _, pattern := range l.Types {
		if _, err := path.Match(pattern, ""); err != nil || pattern == "" {
			return Usage("--type", "%q is not a type or a pattern: write it like callTools or stopRun*", pattern)
		}
	}
	if len(l.Streams) > 0 && l.Search {
		return Usage("--search", "cannot be combined with --stream: leave one of them out")
	}
	return first(l.Target.check(), checkStream(l.LogStream), between("--wait", l.Wait, 0, time.Hour), checkPeriod(l.Since, l.Until), l.Log.check())
}

func (j *Jobs) check() error {
	return first(checkPeriod(j.Since, j.Until), j.Target.check(), j.Log.check())
}

func (u *Tokens) check() error {
	switch {
	case len(u.Jobs) == 0 && u.Since.IsZero():
		return Usage("--job", "is required: name the job whose usage to count, or give a time, as in --since 7d")
	case slices.Contains(u.Jobs, ""):
		return Usage("--job", "is empty: name the job whose usage to count")
	case u.JSON && u.CSV:
		return Usage("--csv", "cannot be combined with --json: leave one of them out")
	}
	return first(oneOf("--by", u.By, Usages...), checkPeriod(u.Since, u.Until), checkStream(u.LogStream), u.Target.check(), u.Log.check())
}

// checkPeriod checks that a period ends after it begins. Either end may be zero.
func checkPeriod(since, until Time) error {
	if !since.IsZero() && !until.IsZero() && !since.Before(until.Time) {
		return Usage("--until", "%s is not after --since %s: give a later one", until.UTC().Format(time.RFC3339), since.UTC().Format(time.RFC3339))
	}
	return nil
}

func (h *Held) check() error {
	if h.Job == "" {
		return Usage("--job", "is required: give the jobId")
	}
	return first(h.Target.check(), checkStream(h.LogStream), h.Log.check())
}

func (r *Report) check() error {
	return first(r.Held.check(), between("--settle", r.Settle, 0, time.Hour))
}

func (r *Restore) check() error {
	switch {
	case r.Into == "":
		return Usage("--into", "is empty: name a folder")
	case r.List && r.Checkpoint != "":
		return Usage("--list", "lists all checkpoints, --checkpoint names one: leave one of them out")
	case r.List && r.Force:
		return Usage("--list", "writes nothing, so there is nothing to --force: leave one of them out")
	}
	return r.Held.check()
}

func (c *Check) check() error {
	return first(c.Target.check(), c.Creation.check(), c.Journal.check(), c.Log.check())
}

func (v *Verify) check() error {
	switch {
	case len(v.Jobs) == 0 && v.Since.IsZero():
		return Usage("--job", "is required unless --since is given: give the jobId to verify, or how far to look back, as in --since 7d")
	case slices.Contains(v.Jobs, ""):
		return Usage("--job", "is empty: give a jobId")
	case len(v.Jobs) > 0 && (!v.Since.IsZero() || !v.Until.IsZero()):
		return Usage("--since", "cannot be combined with --job: leave one of them out")
	case !v.Until.IsZero() && !v.Until.After(v.Since.Time):
		return Usage("--until", "is not after --since: leave out one of them, or swap them")
	case len(v.Files) > 0 && len(v.Jobs) != 1:
		return Usage("--job", "must be given exactly once with FILE: give the jobId that the file belongs to")
	}
	return first(v.Target.check(), checkStream(v.LogStream), between("--settle", v.Settle, 0, time.Hour), v.Log.check())
}

func (l *Local) check() error { return checkListen("--listen", l.Listen, "127.0.0.1:4586") }

func (m *Metrics) check() error {
	if m.MetricsAddr == "" {
		return nil
	}
	return checkListen("--metrics-addr", m.MetricsAddr, "127.0.0.1:9464")
}

// checkListen checks an address to listen on.
func checkListen(option, addr, example string) error {
	if _, port, err := net.SplitHostPort(addr); err != nil || port == "" {
		return Usage(option, "%q is not a valid address and port: write it like %s", addr, example)
	} else if n, err := strconv.Atoi(port); err != nil || n < 0 || n > 65535 {
		return Usage(option, "%q is not a valid port: use a number up to 65535, or 0 for a free one", port)
	}
	return nil
}

func (*Version) check() error { return nil }

func (t *Target) check() error {
	if t.LogGroup == "" {
		return Usage("--log-group", "is required: name the log group, as in --log-group /perstack/prod")
	}
	return first(checkGroup(t.LogGroup), checkEndpoint(t.EndpointURL), t.Caller.check())
}

func checkGroup(name string) error {
	if arn := groupARN.FindStringSubmatch(name); arn != nil {
		return Usage("--log-group", "%q is an ARN: give the name in it, %s, and the Region with --region %s", name, arn[2], arn[1])
	}
	switch {
	case !groupName.MatchString(name):
		return Usage("--log-group", "%q is not a valid log group name: use 1 to 512 of A-Z a-z 0-9 . - _ / #", name)
	case strings.HasPrefix(name, "aws/"):
		return Usage("--log-group", "%q begins with aws/, which AWS reserves: use another name", name)
	}
	return nil
}

// check enforces the rules of
// https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html.
func (c *Caller) check() error {
	switch {
	case c.RoleARN == "" && c.ExternalID != "":
		return Usage("--external-id", "has no effect without --role-arn: leave it out or name the role")
	case c.RoleARN != "" && !roleARN.MatchString(c.RoleARN):
		return Usage("--role-arn", "%q is not a valid ARN of a role: write it like arn:aws:iam::111122223333:role/logging", c.RoleARN)
	case c.ExternalID != "" && (!externalID.MatchString(c.ExternalID) || len(c.ExternalID) > 1224):
		return Usage("--external-id", "%q is not a valid external ID: use 2 to 1224 of A-Z a-z 0-9 _ + = , . @ : / -", c.ExternalID)
	}
	return nil
}

// checkEndpoint checks the URL of an endpoint. An empty one means that no endpoint was given.
func checkEndpoint(text string) error {
	if text == "" {
		return nil
	}
	endpoint, err := url.Parse(text)
	if err != nil || endpoint.Host == "" || endpoint.Scheme != "http" && endpoint.Scheme != "https" {
		return Usage("--endpoint-url", "%q is not a valid http or https URL: write it like http://127.0.0.1:4586", text)
	}
	return nil
}

func (e *Events) check() error {
	return first(
		checkStream(e.LogStream), checkID("--job-id", e.JobID), checkID("--run-id", e.RunID), checkFields(e.Fields),
		checkEach("--exclude-type", e.ExcludeTypes, func(glob string) error {
			_, err := path.Match(glob, "")
			return err
		}),
		checkEach("--redact", e.Redact, func(pattern string) error {
			_, err := regexp.Compile(pattern)
			return err
		}),
	)
}

// checkEach checks each pattern of an option.
func checkEach(option string, patterns []string, check func(string) error) error {
	for _, pattern := range patterns {
		if pattern == "" {
			return Usage(option, "is empty: leave it out or give a pattern")
		}
		if err := check(pattern); err != nil {
			return Usage(option, "%q is not a valid pattern: %v", pattern, err)
		}
	}
	return nil
}

// checkStream checks the template of a log stream's name.
func checkStream(template string) error {
	if _, err := batch.ParseTemplate(template); err != nil {
		return Usage("--log-stream", "%v", err)
	}
	return nil
}

func checkID(option, id string) error {
	if !utf8.ValidString(id) || len(id) > maxIDBytes {
		return Usage(option, "must be UTF-8 text of at most %d bytes", maxIDBytes)
	}
	return nil
}

func checkFields(fields Pairs) error {
	size := 0
	for _, field := range fields {
		if !fieldKey.MatchString(field.Key) {
			return Usage("--field", "%q is not a valid key: use letters, digits, _ . and -, and begin with a letter or _", field.Key)
		}
		if slices.Contains(batch.ShipperMembers, field.Key) {
			return Usage("--field", "%q is reserved for the shipper: use another key", field.Key)
		}
		if !utf8.ValidString(field.Value) {
			return Usage("--field", "%s has a value that is not UTF-8: use UTF-8 text", field.Key)
		}
		value, err := json.Marshal(field.Value)
		if err != nil {
			return Usage("--field", "%s: %v: use UTF-8 text", field.Key, err)
		}
		size += len(`,"":`) + len(field.Key) + len(value)
	}
	if size > MaxFieldBytes {
		return Usage("--field", "adds %d bytes to every event: use fewer or shorter fields, at most %d bytes in all", size, MaxFieldBytes)
	}
	return nil
}

func (d *Delivery) check() error {
	if d.MemoryMax < MinMemory {
		return Usage("--memory-max", "%s is too small: use at least %s", d.MemoryMax, MinMemory)
	}
	giveUp, _ := d.Patience()
	return first(
		oneOf("--compress", d.Compress, compressions...),
		between("--flush-interval", d.FlushInterval, 10*time.Millisecond, time.Hour),
		between("--drain-timeout", d.DrainTimeout, time.Second, time.Hour),
		between("--give-up-after", giveUp, time.Second, 30*24*time.Hour),
	)
}

// between checks that value is in [least, most].
func between(option string, value, least, most time.Duration) error {
	if value < least || value > most {
		return Usage(option, "%s is out of range: use %s to %s", value, short(least), short(most))
	}
	return nil
}

// short formats a duration as a person would: 1h instead of 1h0m0s.
func short(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

func (c *Creation) check() error {
	if c.RetentionDays != 0 && !slices.Contains(RetentionDays, c.RetentionDays) {
		return Usage("--retention-days", "%d is not a retention that CloudWatch supports: use one of %s",
			c.RetentionDays, strings.Trim(fmt.Sprint(RetentionDays), "[]"))
	}
	if c.KMSKeyID != "" && (!strings.HasPrefix(c.KMSKeyID, "arn:") || len(c.KMSKeyID) > 256) {
		return Usage("--kms-key-id", "%q is not a valid key ARN: write it like arn:aws:kms:REGION:ACCOUNT:key/ID", c.KMSKeyID)
	}
	if err := checkTags(c.Tags); err != nil {
		return err
	}
	if c.Create {
		return nil
	}
	const forbidden = "applies only to a group created here, and --no-create forbids that: leave one of them out"
	switch {
	case c.RetentionDays != 0:
		return Usage("--retention-days", forbidden)
	case c.KMSKeyID != "":
		return Usage("--kms-key-id", forbidden)
	case len(c.Tags) > 0:
		return Usage("--tag", forbidden)
	}
	return nil
}

// checkTags enforces the rules of
// https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_TagResource.html.
func checkTags(tags Pairs) error {
	if len(tags) > 50 {
		return Usage("--tag", "is given %d times: AWS allows at most 50 tags", len(tags))
	}
	for _, tag := range tags {
		switch {
		case strings.HasPrefix(tag.Key, "aws:"):
			return Usage("--tag", "%q begins with aws:, which AWS reserves: use another key", tag.Key)
		case !tagText.MatchString(tag.Key) || !tagText.MatchString(tag.Value):
			return Usage("--tag", "%q has a character that AWS does not allow: use letters, digits, spaces and _ . : / = + - @", tag.Key+"="+tag.Value)
		case utf8.RuneCountInString(tag.Key) > 128 || utf8.RuneCountInString(tag.Value) > 256:
			return Usage("--tag", "%q is too long: use at most 128 characters for the key and 256 for the value", tag.Key)
		}
	}
	return nil
}

func (j *Journal) check() error {
	if j.JournalMax < MinJournal {
		return Usage("--journal-max", "%s is too small: use at least %s", j.JournalMax, MinJournal)
	}
	if j.JournalSync != 0 {
		return between("--journal-sync", j.JournalSync, time.Millisecond, time.Hour)
	}
	return nil
}

var (
	logLevels    = []string{"debug", "info", "warn", "error"}
	logFormats   = []string{"auto", "console", "json"}
	compressions = []string{"auto", "gzip", "off"}
)

func (l *Log) check() error {
	return first(
		oneOf("--log-level", l.LogLevel, logLevels...),
		oneOf("--log-format", l.LogFormat, logFormats...),
	)
}

func oneOf(option, value string, known ...string) error {
	if slices.Contains(known, value) {
		return nil
	}
	last := len(known) - 1
	return Usage(option, "%q is not valid: use %s or %s", value, strings.Join(known[:last], ", "), known[last])
}
