package cwlocal

// This file holds the rules for names, ARNs, tags and times that all operations share. Lengths are
// in UTF-16 code units, as the service counts them. The numbers come from the API model
// logs/2014-03-28.

import (
	"fmt"
	"regexp"
	"time"
	"unicode/utf16"
)

const (
	maxName   = 512
	maxTags   = 50
	maxTagKey = 128
	maxTagVal = 256
	maxKMSKey = 256
	maxARN    = 1011
	maxIdent  = 2048
)

var (
	groupPattern  = regexp.MustCompile(`^[.\-_/#A-Za-z0-9]+$`)
	streamPattern = regexp.MustCompile(`^[^:*]+$`)
	arnPattern    = regexp.MustCompile(`^[\w+=/:,.@-]*$`)
	identPattern  = regexp.MustCompile(`^[\w#+=/:,.@-]*$`)
	tagKeyPattern = regexp.MustCompile(`^[\p{L}\p{Z}\p{N}_.:/=+\-@]+$`)
	tagValPattern = regexp.MustCompile(`^[\p{L}\p{Z}\p{N}_.:/=+\-@]*$`)
	kmsPattern    = regexp.MustCompile(`^arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:key/.+$`)
	groupARN      = regexp.MustCompile(`^arn:aws[a-z-]*:logs:[a-z0-9-]*:[0-9]{12}:log-group:(.+)$`)
)

// retentionDays lists the values that PutRetentionPolicy accepts.
var retentionDays = []int{1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653}

// constraint returns the service's error for a value that violates the API model.
func constraint(value any, where, rule string) *apiError {
	return invalid("1 validation error detected: Value '%v' at '%s' failed to satisfy constraint: Member must %s", value, where, rule)
}

// units returns the length of s as the service counts it.
func units(s string) int {
	n := 0
	for _, r := range s {
		n += utf16.RuneLen(r) // s is valid UTF-8, so never -1
	}
	return n
}

// checkText checks that a required string matches a pattern and is at most most units long.
func checkText(s, where string, pattern *regexp.Regexp, most int) error {
	switch {
	case s == "":
		return constraint(s, where, "have length greater than or equal to 1")
	case units(s) > most:
		return constraint(s, where, fmt.Sprintf("have length less than or equal to %d", most))
	case !pattern.MatchString(s):
		return constraint(s, where, "satisfy regular expression pattern: "+pattern.String())
	}
	return nil
}

func checkGroup(name string) error { return checkText(name, "logGroupName", groupPattern, maxName) }

func checkStream(name string) error { return checkText(name, "logStreamName", streamPattern, maxName) }

// groupOfARN returns the name of the log group in an ARN, which must not end in ":*".
func groupOfARN(arn string) (string, bool) {
	m := groupARN.FindStringSubmatch(arn)
	if m == nil || !groupPattern.MatchString(m[1]) {
		return "", false
	}
	return m[1], true
}

// groupOf returns the log group that a read operation names, by its name or by an identifier, which
// is a name or an ARN.
func groupOf(name, identifier *string) (string, error) {
	switch {
	case (name == nil) == (identifier == nil):
		return "", invalid("specify either logGroupName or logGroupIdentifier, not both")
	case name != nil:
		return *name, checkGroup(*name)
	}
	if err := checkText(*identifier, "logGroupIdentifier", identPattern, maxIdent); err != nil {
		return "", err
	}
	if g, ok := groupOfARN(*identifier); ok {
		return g, nil
	}
	return *identifier, checkText(*identifier, "logGroupIdentifier", groupPattern, maxName)
}

// arnOf returns the ARN of a log group in a Region.
func arnOf(region, group string) string {
	return "arn:aws:logs:" + region + ":" + account + ":log-group:" + group
}

// checkTime checks an optional time in milliseconds since 1970.
func checkTime(t *int64, where string) error {
	if t != nil && *t < 0 {
		return constraint(*t, where, "have value greater than or equal to 0")
	}
	return nil
}

// limitOf returns the limit, or most if none is given.
func limitOf(limit *int, most int) (int, error) {
	switch {
	case limit == nil:
		return most, nil
	case *limit < 1:
		return 0, constraint(*limit, "limit", "have value greater than or equal to 1")
	case *limit > most:
		return 0, constraint(*limit, "limit", fmt.Sprintf("have value less than or equal to %d", most))
	}
	return *limit, nil
}

// millis returns t in milliseconds since 1970, as the API expresses times.
func millis(t time.Time) int64 { return t.UnixMilli() }
