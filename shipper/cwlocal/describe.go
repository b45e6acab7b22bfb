package cwlocal

// This file lists groups and streams.

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"
)

// maxDescribed bounds a page, and the limit that a caller may request.
const maxDescribed = 50

type describeLogGroups struct {
	AccountIdentifiers    []string
	LogGroupNamePrefix    *string
	LogGroupNamePattern   *string
	LogGroupIdentifiers   []string
	LogGroupClass         *string
	IncludeLinkedAccounts bool
	NextToken             *string
	Limit                 *int
}

func (o *describeLogGroups) target() (string, string, int) { return "", "", 0 }

// logGroup is a group in an answer of DescribeLogGroups.
type logGroup struct {
	LogGroupName      string `json:"logGroupName"`
	CreationTime      int64  `json:"creationTime"`
	RetentionInDays   int    `json:"retentionInDays,omitempty"`
	RetentionPolicy   string `json:"retentionPolicyName,omitempty"` // of the account
	MetricFilterCount int    `json:"metricFilterCount"`
	ARN               string `json:"arn"`
	LogGroupARN       string `json:"logGroupArn"`
	StoredBytes       int64  `json:"storedBytes"`
	KMSKeyID          string `json:"kmsKeyId,omitempty"`
	LogGroupClass     string `json:"logGroupClass"`
}

// matches reports whether the request selects g.
func (o *describeLogGroups) matches(g *group) bool {
	switch {
	case o.LogGroupNamePrefix != nil && !strings.HasPrefix(g.name, *o.LogGroupNamePrefix):
		return false
	case o.LogGroupNamePattern != nil && !strings.Contains(g.name, *o.LogGroupNamePattern):
		return false
	case o.LogGroupClass != nil && *o.LogGroupClass != g.class:
		return false
	}
	return o.LogGroupIdentifiers == nil || slices.ContainsFunc(o.LogGroupIdentifiers, func(id string) bool {
		name, ok := groupOfARN(id)
		return id == g.name || ok && name == g.name
	})
}

func (o *describeLogGroups) do(s *Server, region string) ([]byte, error) {
	if o.LogGroupNamePrefix != nil && o.LogGroupNamePattern != nil {
		return nil, invalid("LogGroup name prefix and LogGroup name pattern are mutually exclusive parameters.")
	}
	if p := o.LogGroupNamePrefix; p != nil {
		if err := checkText(*p, "logGroupNamePrefix", groupPattern, maxName); err != nil {
			return nil, err
		}
	}
	limit, err := limitOf(o.Limit, maxDescribed)
	if err != nil {
		return nil, err
	}
	var all []logGroup
	s.mu.RLock()
	for _, g := range s.groups {
		if !o.matches(g) {
			continue
		}
		l := logGroup{LogGroupName: g.name, CreationTime: g.created, RetentionInDays: g.retention, ARN: arnOf(region, g.name) + ":*",
			LogGroupARN: arnOf(region, g.name), KMSKeyID: g.kmsKey, LogGroupClass: g.class}
		if policy := s.opt.Retention; policy.Name != "" {
			l.RetentionInDays, l.RetentionPolicy = policy.Days, policy.Name
		}
		for _, st := range g.streams {
			st.mu.Lock()
			l.StoredBytes += st.bytes
			st.mu.Unlock()
		}
		all = append(all, l)
	}
	s.mu.RUnlock()
	slices.SortFunc(all, func(a, b logGroup) int { return cmp.Compare(a.LogGroupName, b.LogGroupName) })
	page, next, err := pageOf(all, func(g logGroup) position { return position{Name: g.LogGroupName} },
		func(g logGroup, after position) bool { return g.LogGroupName > after.Name }, o.NextToken, limit)
	if err != nil {
		return nil, err
	}
	return json.Marshal(struct {
		LogGroups []logGroup `json:"logGroups"`
		NextToken string     `json:"nextToken,omitempty"`
	}{page, next})
}

type describeLogStreams struct {
	LogGroupName, LogGroupIdentifier *string
	LogStreamNamePrefix              *string
	OrderBy                          *string
	Descending                       bool
	NextToken                        *string
	Limit                            *int
}

func (o *describeLogStreams) target() (string, string, int) {
	name, _ := groupOf(o.LogGroupName, o.LogGroupIdentifier)
	return name, "", 0
}

// logStream is a stream in an answer of DescribeLogStreams.
type logStream struct {
	LogStreamName       string `json:"logStreamName"`
	CreationTime        int64  `json:"creationTime"`
	FirstEventTimestamp *int64 `json:"firstEventTimestamp,omitempty"`
	LastEventTimestamp  *int64 `json:"lastEventTimestamp,omitempty"`
	LastIngestionTime   *int64 `json:"lastIngestionTime,omitempty"`
	UploadSequenceToken string `json:"uploadSequenceToken,omitempty"`
	ARN                 string `json:"arn"`
	StoredBytes         int64  `json:"storedBytes"` // always 0 for streams since 2019
}

// lastEvent returns the time of the stream's latest event, or 0 if there is none.
func (l logStream) lastEvent() int64 {
	if l.LastEventTimestamp == nil {
		return 0
	}
	return *l.LastEventTimestamp
}

func (o *describeLogStreams) do(s *Server, region string) ([]byte, error) {
	groupName, err := groupOf(o.LogGroupName, o.LogGroupIdentifier)
	if err != nil {
		return nil, err
	}
	byTime := false
	if o.OrderBy != nil {
		if byTime = *o.OrderBy == "LastEventTime"; !byTime && *o.OrderBy != "LogStreamName" {
			return nil, constraint(*o.OrderBy, "orderBy", "satisfy enum value set: [LogStreamName, LastEventTime]")
		}
	}
	if p := o.LogStreamNamePrefix; p != nil {
		if err := checkText(*p, "logStreamNamePrefix", streamPattern, maxName); err != nil {
			return nil, err
		}
		if byTime {
			return nil, invalid("Cannot order by LastEventTime with a logStreamNamePrefix.")
		}
	}
	limit, err := limitOf(o.Limit, maxDescribed)
	if err != nil {
		return nil, err
	}
	s.mu.RLock()
	g := s.groups[groupName]
	if g == nil {
		s.mu.RUnlock()
		return nil, noGroup()
	}
	var all []logStream
	for _, st := range g.streams {
		if o.LogStreamNamePrefix == nil || strings.HasPrefix(st.name, *o.LogStreamNamePrefix) {
			all = append(all, st.describe(arnOf(region, g.name)))
		}
	}
	s.mu.RUnlock()
	order := func(aTime int64, aName string, bTime int64, bName string) int {
		c := cmp.Compare(aName, bName)
		if byTime {
			c = cmp.Or(cmp.Compare(aTime, bTime), c)
		}
		if o.Descending {
			c = -c
		}
		return c
	}
	slices.SortFunc(all, func(a, b logStream) int {
		return order(a.lastEvent(), a.LogStreamName, b.lastEvent(), b.LogStreamName)
	})
	page, next, err := pageOf(all, func(l logStream) position { return position{l.lastEvent(), l.LogStreamName} },
		func(l logStream, after position) bool {
			return order(l.lastEvent(), l.LogStreamName, after.Time, after.Name) > 0
		}, o.NextToken, limit)
	if err != nil {
		return nil, err
	}
	return json.Marshal(struct {
		LogStreams []logStream `json:"logStreams"`
		NextToken  string      `json:"nextToken,omitempty"`
	}{page, next})
}

// describe returns st for an answer of DescribeLogStreams.
func (st *stream) describe(groupARN string) logStream {
	l := logStream{LogStreamName: st.name, CreationTime: st.created, ARN: groupARN + ":log-stream:" + st.name}
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.bytes > 0 {
		first, last, ingestion := st.first, st.latest, st.ingestion
		l.FirstEventTimestamp, l.LastEventTimestamp, l.LastIngestionTime = &first, &last, &ingestion
		l.UploadSequenceToken = sequenceToken
	}
	return l
}

// position is a token of a listing: the last entry of the previous page.
type position struct {
	Time int64
	Name string
}

// pageOf returns the page of the sorted list all that follows the position in token, and the token
// of the next page.
func pageOf[T any](all []T, at func(T) position, after func(T, position) bool, token *string, limit int) (page []T, next string, err error) {
	page = all
	if token != nil {
		var p position
		text, err := base64.RawURLEncoding.DecodeString(*token)
		if err != nil || json.Unmarshal(text, &p) != nil {
			return nil, "", invalid("The specified nextToken is invalid.")
		}
		i := slices.IndexFunc(all, func(t T) bool { return after(t, p) })
		if i < 0 {
			i = len(all)
		}
		page = all[i:]
	}
	if len(page) > limit {
		page = page[:limit]
		text, err := json.Marshal(at(page[limit-1]))
		if err != nil {
			return nil, "", err
		}
		next = base64.RawURLEncoding.EncodeToString(text)
	}
	if page == nil {
		page = []T{} // [] in JSON, not null
	}
	return page, next, nil
}
