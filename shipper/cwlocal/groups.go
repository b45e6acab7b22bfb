package cwlocal

// This file creates and deletes groups and streams, and sets retention.

import (
	"fmt"
	"hash/fnv"
	"maps"
	"slices"
	"strconv"
)

// operations maps each operation to a function that returns an empty request.
var operations = map[string]func() operation{
	"CreateLogGroup":        func() operation { return new(createLogGroup) },
	"CreateLogStream":       func() operation { return new(createLogStream) },
	"DeleteLogGroup":        func() operation { return new(deleteLogGroup) },
	"DeleteLogStream":       func() operation { return new(deleteLogStream) },
	"PutRetentionPolicy":    func() operation { return new(putRetentionPolicy) },
	"DeleteRetentionPolicy": func() operation { return new(deleteRetentionPolicy) },
	"PutLogEvents":          func() operation { return new(putLogEvents) },
	"GetLogEvents":          func() operation { return new(getLogEvents) },
	"FilterLogEvents":       func() operation { return new(filterLogEvents) },
	"TestMetricFilter":      func() operation { return new(testMetricFilter) },
	"DescribeLogGroups":     func() operation { return new(describeLogGroups) },
	"DescribeLogStreams":    func() operation { return new(describeLogStreams) },
	"TagResource":           func() operation { return new(tagResource) },
	"ListTagsForResource":   func() operation { return new(listTagsForResource) },
}

type createLogGroup struct {
	LogGroupName              string
	KMSKeyID                  *string
	Tags                      map[string]string
	LogGroupClass             *string
	DeletionProtectionEnabled *bool
}

func (o *createLogGroup) target() (string, string, int) { return o.LogGroupName, "", 0 }

func (o *createLogGroup) do(s *Server, _ string) ([]byte, error) {
	if err := checkGroup(o.LogGroupName); err != nil {
		return nil, err
	}
	if len(o.LogGroupName) >= 4 && o.LogGroupName[:4] == "aws/" {
		return nil, invalid("Log groups starting with aws/ are reserved for AWS.")
	}
	g := &group{name: o.LogGroupName, created: millis(s.opt.Now()), class: "STANDARD", streams: map[string]*stream{}}
	if o.KMSKeyID != nil {
		if len(*o.KMSKeyID) > maxKMSKey || !kmsPattern.MatchString(*o.KMSKeyID) {
			return nil, invalid("%q is not the ARN of a KMS key (arn:aws:kms:<Region>:<account>:key/<id>)", *o.KMSKeyID)
		}
		g.kmsKey = *o.KMSKeyID
	}
	if o.Tags != nil {
		if err := checkTags(o.Tags); err != nil {
			return nil, err
		}
		g.tags = maps.Clone(o.Tags)
	}
	if c := o.LogGroupClass; c != nil {
		if !slices.Contains([]string{"STANDARD", "INFREQUENT_ACCESS", "DELIVERY", "ESSENTIALS"}, *c) {
			return nil, constraint(*c, "logGroupClass", "satisfy enum value set: [STANDARD, INFREQUENT_ACCESS, DELIVERY, ESSENTIALS]")
		}
		g.class = *c
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.groups[g.name] != nil {
		return nil, exists("log group")
	}
	if s.folder != nil {
		if err := s.folder.createGroup(g); err != nil {
			return nil, err
		}
	}
	s.groups[g.name] = g
	return nil, nil
}

// readBack returns an error if the group's class does not support the action.
// https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/CloudWatch_Logs_Log_Classes.html
func (g *group) readBack(action string) error {
	if g.class == "INFREQUENT_ACCESS" || g.class == "DELIVERY" {
		return invalid("%s is not supported for log groups in the %s log class.", action, g.class)
	}
	return nil
}

type createLogStream struct{ LogGroupName, LogStreamName string }

func (o *createLogStream) target() (string, string, int) { return o.LogGroupName, o.LogStreamName, 0 }

func (o *createLogStream) do(s *Server, _ string) ([]byte, error) {
	if err := checkGroup(o.LogGroupName); err != nil {
		return nil, err
	}
	if err := checkStream(o.LogStreamName); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	g := s.groups[o.LogGroupName]
	switch {
	case g == nil:
		return nil, noGroup()
	case g.streams[o.LogStreamName] != nil:
		return nil, exists("log stream")
	}
	st := newStream(g.name, o.LogStreamName, millis(s.opt.Now()))
	st.discard = s.opt.Discard
	if s.folder != nil {
		if err := s.folder.createStream(g, st); err != nil {
			return nil, err
		}
	}
	g.streams[st.name] = st
	return nil, nil
}

// newStream returns an empty stream. Its id distinguishes its eventIds from those of other streams.
func newStream(groupName, name string, created int64) *stream {
	h := fnv.New64a()
	// A hash.Hash never fails to write.
	_, _ = h.Write([]byte(groupName + ":" + name + ":" + strconv.FormatInt(created, 10)))
	return &stream{name: name, created: created, id: h.Sum64()}
}

type deleteLogGroup struct{ LogGroupName string }

func (o *deleteLogGroup) target() (string, string, int) { return o.LogGroupName, "", 0 }

func (o *deleteLogGroup) do(s *Server, _ string) ([]byte, error) {
	if err := checkGroup(o.LogGroupName); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	g := s.groups[o.LogGroupName]
	if g == nil {
		return nil, noGroup()
	}
	delete(s.groups, g.name)
	for _, st := range g.streams {
		st.close(noGroup())
	}
	if s.folder != nil {
		return nil, s.folder.deleteGroup(g)
	}
	return nil, nil
}

type deleteLogStream struct{ LogGroupName, LogStreamName string }

func (o *deleteLogStream) target() (string, string, int) { return o.LogGroupName, o.LogStreamName, 0 }

func (o *deleteLogStream) do(s *Server, _ string) ([]byte, error) {
	if err := checkGroup(o.LogGroupName); err != nil {
		return nil, err
	}
	if err := checkStream(o.LogStreamName); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	g := s.groups[o.LogGroupName]
	if g == nil {
		return nil, noGroup()
	}
	st := g.streams[o.LogStreamName]
	if st == nil {
		return nil, noStream()
	}
	delete(g.streams, st.name)
	st.close(noStream())
	if s.folder != nil {
		return nil, s.folder.deleteStream(st)
	}
	return nil, nil
}

// close makes puts that have already found the stream fail with err.
func (st *stream) close(err error) {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.gone = err
}

type putRetentionPolicy struct {
	LogGroupName    string
	RetentionInDays *int
}

func (o *putRetentionPolicy) target() (string, string, int) { return o.LogGroupName, "", 0 }

func (o *putRetentionPolicy) do(s *Server, _ string) ([]byte, error) {
	switch {
	case o.RetentionInDays == nil:
		return nil, constraint("null", "retentionInDays", "not be null")
	case !slices.Contains(retentionDays, *o.RetentionInDays):
		return nil, constraint(*o.RetentionInDays, "retentionInDays", "satisfy enum value set: "+fmt.Sprint(retentionDays))
	}
	return nil, s.changeGroup(o.LogGroupName, func(g *group) error {
		g.retention = *o.RetentionInDays
		return nil
	})
}

type deleteRetentionPolicy struct{ LogGroupName string }

func (o *deleteRetentionPolicy) target() (string, string, int) { return o.LogGroupName, "", 0 }

func (o *deleteRetentionPolicy) do(s *Server, _ string) ([]byte, error) {
	return nil, s.changeGroup(o.LogGroupName, func(g *group) error {
		g.retention = 0
		return nil
	})
}

// changeGroup changes a group's properties, in memory and on disk.
func (s *Server) changeGroup(name string, change func(*group) error) error {
	if err := checkGroup(name); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	g := s.groups[name]
	if g == nil {
		return noGroup()
	}
	changed := *g
	changed.tags = maps.Clone(g.tags)
	if err := change(&changed); err != nil {
		return err
	}
	if s.folder != nil {
		if err := s.folder.writeGroup(&changed); err != nil {
			return err
		}
	}
	*g = changed
	return nil
}
