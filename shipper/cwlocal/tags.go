package cwlocal

// This file handles tags of log groups.

import (
	"encoding/json"
	"fmt"
	"maps"
	"strings"
)

type tagResource struct {
	ResourceARN string
	Tags        map[string]string
}

func (o *tagResource) target() (string, string, int) {
	name, _ := groupOfARN(o.ResourceARN)
	return name, "", 0
}

func (o *tagResource) do(s *Server, _ string) ([]byte, error) {
	name, err := resource(o.ResourceARN)
	if err != nil {
		return nil, err
	}
	if err := checkTags(o.Tags); err != nil {
		return nil, err
	}
	return nil, s.changeGroup(name, func(g *group) error {
		if g.tags == nil {
			g.tags = map[string]string{}
		}
		maps.Copy(g.tags, o.Tags)
		if len(g.tags) > maxTags {
			return tooManyTags()
		}
		return nil
	})
}

type listTagsForResource struct{ ResourceARN string }

func (o *listTagsForResource) target() (string, string, int) {
	name, _ := groupOfARN(o.ResourceARN)
	return name, "", 0
}

func (o *listTagsForResource) do(s *Server, _ string) ([]byte, error) {
	name, err := resource(o.ResourceARN)
	if err != nil {
		return nil, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	g := s.groups[name]
	if g == nil {
		return nil, noGroup()
	}
	tags := g.tags
	if tags == nil {
		tags = map[string]string{}
	}
	return json.Marshal(struct {
		Tags map[string]string `json:"tags"`
	}{tags})
}

// resource returns the group that a resourceArn names. An ARN ending in ":*", as DescribeLogGroups
// returns it, is not accepted.
func resource(arn string) (string, error) {
	if err := checkText(arn, "resourceArn", arnPattern, maxARN); err != nil {
		return "", err
	}
	name, ok := groupOfARN(arn)
	if !ok {
		return "", invalid("%q is not the ARN of a log group (arn:aws:logs:<Region>:<account>:log-group:<name>)", arn)
	}
	return name, nil
}

// checkTags checks the tags of CreateLogGroup and TagResource.
func checkTags(tags map[string]string) error {
	if len(tags) == 0 || len(tags) > maxTags {
		return constraint(fmt.Sprint(len(tags), " tags"), "tags", fmt.Sprintf("have 1 to %d entries", maxTags))
	}
	for k, v := range tags {
		if err := checkText(k, "tags", tagKeyPattern, maxTagKey); err != nil {
			return err
		}
		if strings.HasPrefix(strings.ToLower(k), "aws:") {
			return invalid("the tag key %q starts with aws:, which is reserved", k)
		}
		if units(v) > maxTagVal || !tagValPattern.MatchString(v) {
			return constraint(v, "tags."+k, fmt.Sprintf("have length at most %d and satisfy regular expression pattern: %s", maxTagVal, tagValPattern))
		}
	}
	return nil
}
