package cwlocal

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
)

func TestGroupNames(t *testing.T) {
	e := start(t, Options{})
	for name, ok := range map[string]bool{
		"a":                       true,
		"/perstack/prod":          true,
		"A-z_0.9#/":               true,
		"aws":                     true,
		"aws/":                    false, // reserved
		"aws/x":                   false,
		"/aws/x":                  true,
		"":                        false,
		"a b":                     false,
		"a:b":                     false,
		"a*":                      false,
		"é":                       false,
		"a\n":                     false,
		strings.Repeat("n", 511):  true,
		strings.Repeat("n", 512):  true,
		strings.Repeat("n", 513):  false,
		"../../" + t.Name():       true,
		"..":                      true,
		"a/../" + t.Name() + "/.": true,
	} {
		_, err := e.CreateLogGroup(e.ctx, &cloudwatchlogs.CreateLogGroupInput{LogGroupName: &name})
		if ok {
			wantCode(t, err, "", "")
			_, err = e.CreateLogGroup(e.ctx, &cloudwatchlogs.CreateLogGroupInput{LogGroupName: &name})
			wantCode(t, err, "ResourceAlreadyExistsException", "log group")
		} else {
			wantCode(t, err, "InvalidParameterException", "")
		}
		if got := slices.Contains(e.Groups(), name); got != ok {
			t.Errorf("%q: created %v, want %v", name, got, ok)
		}
	}
}

func TestStreamNames(t *testing.T) {
	e := start(t, Options{})
	e.create(testGroup)
	for name, ok := range map[string]bool{
		"a":                                     true,
		"job/run [1] é 日本 \n":                   true,
		"":                                      false,
		"a:b":                                   false,
		"a*":                                    false,
		strings.Repeat("n", 511):                true,
		strings.Repeat("n", 512):                true,
		strings.Repeat("n", 513):                false,
		strings.Repeat("é", 512):                true, // the limit counts characters, not bytes
		strings.Repeat("é", 513):                false,
		strings.Repeat("\U0001F600", 256):       true, // two code units each
		strings.Repeat("\U0001F600", 256) + "x": false,
	} {
		in := &cloudwatchlogs.CreateLogStreamInput{LogGroupName: aws.String(testGroup), LogStreamName: &name}
		_, err := e.CreateLogStream(e.ctx, in)
		if !ok {
			wantCode(t, err, "InvalidParameterException", "logStreamName")
			_, err = e.putTo(name, event(0, "x"))
			wantCode(t, err, "InvalidParameterException", "logStreamName")
			continue
		}
		wantCode(t, err, "", "")
		_, err = e.CreateLogStream(e.ctx, in)
		wantCode(t, err, "ResourceAlreadyExistsException", "log stream")
		if _, err := e.putTo(name, event(0, "x")); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
	_, err := e.CreateLogStream(e.ctx, &cloudwatchlogs.CreateLogStreamInput{LogGroupName: aws.String("other"), LogStreamName: aws.String("s")})
	wantCode(t, err, "ResourceNotFoundException", "log group")
}

func TestRetentionDays(t *testing.T) {
	e := start(t, Options{})
	e.create(testGroup)
	for days := int32(-1); days <= 3654; days++ {
		want := slices.Contains(retentionDays, int(days))
		if !want && days > 20 && days%97 != 0 && !slices.Contains(retentionDays, int(days-1)) && !slices.Contains(retentionDays, int(days+1)) {
			continue // try only a sample of the others, and the neighbours
		}
		_, err := e.PutRetentionPolicy(e.ctx, &cloudwatchlogs.PutRetentionPolicyInput{LogGroupName: aws.String(testGroup), RetentionInDays: &days})
		if want {
			wantCode(t, err, "", "")
		} else {
			wantCode(t, err, "InvalidParameterException", "retentionInDays")
		}
	}
	if len(retentionDays) != 22 {
		t.Errorf("%d values, want 22", len(retentionDays))
	}
	_, err := e.PutRetentionPolicy(e.ctx, &cloudwatchlogs.PutRetentionPolicyInput{LogGroupName: aws.String("other"), RetentionInDays: aws.Int32(7)})
	wantCode(t, err, "ResourceNotFoundException", "log group")

	describe := func() *int32 {
		out, err := e.DescribeLogGroups(e.ctx, &cloudwatchlogs.DescribeLogGroupsInput{})
		if err != nil {
			t.Fatal(err)
		}
		return out.LogGroups[0].RetentionInDays
	}
	if d := describe(); d == nil || *d != 3653 {
		t.Errorf("retention %v, want the last one set", d)
	}
	if _, err := e.DeleteRetentionPolicy(e.ctx, &cloudwatchlogs.DeleteRetentionPolicyInput{LogGroupName: aws.String(testGroup)}); err != nil {
		t.Fatal(err)
	}
	if d := describe(); d != nil {
		t.Errorf("retention %d after it was deleted", *d)
	}
}

func TestKMSKeyAndClass(t *testing.T) {
	e := start(t, Options{})
	const key = "arn:aws:kms:eu-west-1:000000000000:key/1234abcd-12ab-34cd-56ef-1234567890ab"
	for i, c := range []struct {
		key, class string
		ok         bool
	}{
		{key, "", true},
		{key, "INFREQUENT_ACCESS", true},
		{"alias/mine", "", false},
		{"1234abcd-12ab-34cd-56ef-1234567890ab", "", false},
		{key + strings.Repeat("0", 256-len(key)), "", true},
		{key + strings.Repeat("0", 257-len(key)), "", false},
		{key, "CHEAP", false},
	} {
		in := &cloudwatchlogs.CreateLogGroupInput{LogGroupName: aws.String(fmt.Sprint("g", i)), KmsKeyId: &c.key, LogGroupClass: types.LogGroupClass(c.class)}
		_, err := e.CreateLogGroup(e.ctx, in)
		if !c.ok {
			wantCode(t, err, "InvalidParameterException", "")
			continue
		}
		wantCode(t, err, "", "")
		out, err := e.DescribeLogGroups(e.ctx, &cloudwatchlogs.DescribeLogGroupsInput{LogGroupNamePrefix: in.LogGroupName})
		if err != nil {
			t.Fatal(err)
		}
		if c.class == "" {
			c.class = "STANDARD"
		}
		if g := out.LogGroups[0]; *g.KmsKeyId != c.key || string(g.LogGroupClass) != c.class {
			t.Errorf("described with key %q, class %q", *g.KmsKeyId, g.LogGroupClass)
		}
	}
}

func TestTags(t *testing.T) {
	e := start(t, Options{})
	tags := func(from, n int) map[string]string {
		m := map[string]string{}
		for i := range n {
			m[fmt.Sprint("k", from+i)] = "v"
		}
		return m
	}
	for _, c := range []struct {
		name string
		tags map[string]string
		ok   bool
	}{
		{"1", tags(0, 1), true},
		{"49", tags(0, 49), true},
		{"50", tags(0, 50), true},
		{"51", tags(0, 51), false},
		{"0", map[string]string{}, false},
		{"key 128", map[string]string{strings.Repeat("k", 128): ""}, true},
		{"key 129", map[string]string{strings.Repeat("k", 129): ""}, false},
		{"key empty", map[string]string{"": "v"}, false},
		{"value 256", map[string]string{"k": strings.Repeat("v", 256)}, true},
		{"value 257", map[string]string{"k": strings.Repeat("v", 257)}, false},
		{"all signs", map[string]string{"a é1_.:/=+-@": "b 日_.:/=+-@"}, true},
		{"another sign", map[string]string{"a!": ""}, false},
		{"another sign in the value", map[string]string{"a": "<"}, false},
		{"reserved", map[string]string{"aws:x": ""}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			code := "InvalidParameterException"
			if c.ok {
				code = ""
			}
			_, err := e.CreateLogGroup(e.ctx, &cloudwatchlogs.CreateLogGroupInput{LogGroupName: aws.String(testGroup), Tags: c.tags})
			wantCode(t, err, code, "")
			e.DeleteGroup(testGroup)
			e.create(testGroup)
			_, err = e.TagResource(e.ctx, &cloudwatchlogs.TagResourceInput{ResourceArn: aws.String(arnOf("eu-west-1", testGroup)), Tags: c.tags})
			wantCode(t, err, code, "")
			e.DeleteGroup(testGroup)
		})
	}

	e.create(testGroup)
	arn := aws.String(arnOf("eu-west-1", testGroup))
	tag := func(m map[string]string) error {
		_, err := e.TagResource(e.ctx, &cloudwatchlogs.TagResourceInput{ResourceArn: arn, Tags: m})
		return err
	}
	wantCode(t, tag(tags(0, 30)), "", "")
	wantCode(t, tag(tags(30, 21)), "TooManyTagsException", "50")
	wantCode(t, tag(tags(30, 20)), "", "")
	wantCode(t, tag(map[string]string{"k0": "other"}), "", "")
	out, err := e.ListTagsForResource(e.ctx, &cloudwatchlogs.ListTagsForResourceInput{ResourceArn: arn})
	if err != nil || len(out.Tags) != 50 || out.Tags["k0"] != "other" || out.Tags["k49"] != "v" {
		t.Errorf("listed %v, %v", out, err)
	}
	for bad, code := range map[string]string{
		testGroup:                  "InvalidParameterException",
		*arn + ":*":                "InvalidParameterException",
		arnOf("eu-west-1", "gone"): "ResourceNotFoundException",
	} {
		_, err := e.TagResource(e.ctx, &cloudwatchlogs.TagResourceInput{ResourceArn: &bad, Tags: tags(0, 1)})
		wantCode(t, err, code, "")
		_, err = e.ListTagsForResource(e.ctx, &cloudwatchlogs.ListTagsForResourceInput{ResourceArn: &bad})
		wantCode(t, err, code, "")
	}
}

func TestDelete(t *testing.T) {
	e := startWithStream(t, Options{})
	e.mustPut(event(0, "x"))
	group, stream := aws.String(testGroup), aws.String(testStream)
	if _, err := e.DeleteLogStream(e.ctx, &cloudwatchlogs.DeleteLogStreamInput{LogGroupName: group, LogStreamName: stream}); err != nil {
		t.Fatal(err)
	}
	_, err := e.DeleteLogStream(e.ctx, &cloudwatchlogs.DeleteLogStreamInput{LogGroupName: group, LogStreamName: stream})
	wantCode(t, err, "ResourceNotFoundException", "log stream")
	if got := e.Streams(testGroup); len(got) != 0 {
		t.Errorf("streams %q", got)
	}
	if _, err := e.DeleteLogGroup(e.ctx, &cloudwatchlogs.DeleteLogGroupInput{LogGroupName: group}); err != nil {
		t.Fatal(err)
	}
	_, err = e.DeleteLogGroup(e.ctx, &cloudwatchlogs.DeleteLogGroupInput{LogGroupName: group})
	wantCode(t, err, "ResourceNotFoundException", "log group")
	e.create(testGroup, testStream)
	if got := e.messages(); got != "" {
		t.Errorf("the new stream holds %q", got)
	}
}

func TestDescribeStreams(t *testing.T) {
	now := testNow
	e := start(t, Options{Now: func() time.Time { return now }})
	e.create(testGroup, "b", "a", "c", "ab")
	e.mustPutTo("a", 30*time.Second, "x")
	e.mustPutTo("b", 10*time.Second, "x", "y")
	now = now.Add(time.Minute)
	if _, err := e.putTo("b", event(5*time.Second, "z")); err != nil {
		t.Fatal(err)
	}
	names := func(change func(*cloudwatchlogs.DescribeLogStreamsInput)) (all []string) {
		in := &cloudwatchlogs.DescribeLogStreamsInput{LogGroupName: aws.String(testGroup), Limit: aws.Int32(3)}
		change(in)
		for p := cloudwatchlogs.NewDescribeLogStreamsPaginator(e, in); p.HasMorePages(); {
			out, err := p.NextPage(e.ctx)
			if err != nil {
				t.Fatal(err)
			}
			if len(out.LogStreams) > 3 {
				t.Errorf("%d streams on a page of 3", len(out.LogStreams))
			}
			for _, s := range out.LogStreams {
				all = append(all, *s.LogStreamName)
			}
		}
		return all
	}
	for _, c := range []struct {
		want   string
		change func(*cloudwatchlogs.DescribeLogStreamsInput)
	}{
		{"a ab b c", func(in *cloudwatchlogs.DescribeLogStreamsInput) {}},
		{"c b ab a", func(in *cloudwatchlogs.DescribeLogStreamsInput) { in.Descending = aws.Bool(true) }},
		{"a ab", func(in *cloudwatchlogs.DescribeLogStreamsInput) { in.LogStreamNamePrefix = aws.String("a") }},
		{"ab c b a", func(in *cloudwatchlogs.DescribeLogStreamsInput) { in.OrderBy = types.OrderByLastEventTime }},
		{"a b c ab", func(in *cloudwatchlogs.DescribeLogStreamsInput) {
			in.OrderBy, in.Descending = types.OrderByLastEventTime, aws.Bool(true)
		}},
	} {
		if got := strings.Join(names(c.change), " "); got != c.want {
			t.Errorf("%s, want %s", got, c.want)
		}
	}
	out, err := e.DescribeLogStreams(e.ctx, &cloudwatchlogs.DescribeLogStreamsInput{LogGroupName: aws.String(testGroup), LogStreamNamePrefix: aws.String("b")})
	if err != nil {
		t.Fatal(err)
	}
	s := out.LogStreams[0]
	if *s.FirstEventTimestamp != testNow.Add(5*time.Second).UnixMilli() || *s.LastEventTimestamp != testNow.Add(20*time.Second).UnixMilli() ||
		*s.LastIngestionTime != now.UnixMilli() || *s.CreationTime != testNow.UnixMilli() || *s.Arn != "arn:aws:logs:eu-west-1:000000000000:log-group:/perstack/test:log-stream:b" {
		t.Errorf("b is described as first %d, last %d, ingested %d, created %d, %s", *s.FirstEventTimestamp, *s.LastEventTimestamp, *s.LastIngestionTime, *s.CreationTime, *s.Arn)
	}
	out, err = e.DescribeLogStreams(e.ctx, &cloudwatchlogs.DescribeLogStreamsInput{LogGroupName: aws.String(testGroup), LogStreamNamePrefix: aws.String("c")})
	if err != nil || out.LogStreams[0].FirstEventTimestamp != nil || out.LogStreams[0].LastIngestionTime != nil {
		t.Errorf("an empty stream is described as %+v, %v", out.LogStreams, err)
	}

	for _, c := range []struct {
		change     func(*cloudwatchlogs.DescribeLogStreamsInput)
		code, part string
	}{
		{func(in *cloudwatchlogs.DescribeLogStreamsInput) { in.LogGroupName = aws.String("other") }, "ResourceNotFoundException", "log group"},
		{func(in *cloudwatchlogs.DescribeLogStreamsInput) {
			in.OrderBy, in.LogStreamNamePrefix = types.OrderByLastEventTime, aws.String("a")
		}, "InvalidParameterException", "LastEventTime"},
		{func(in *cloudwatchlogs.DescribeLogStreamsInput) { in.OrderBy = "Size" }, "InvalidParameterException", "orderBy"},
		{func(in *cloudwatchlogs.DescribeLogStreamsInput) { in.Limit = aws.Int32(0) }, "InvalidParameterException", "limit"},
		{func(in *cloudwatchlogs.DescribeLogStreamsInput) { in.Limit = aws.Int32(50) }, "", ""},
		{func(in *cloudwatchlogs.DescribeLogStreamsInput) { in.Limit = aws.Int32(51) }, "InvalidParameterException", "limit"},
		{func(in *cloudwatchlogs.DescribeLogStreamsInput) { in.NextToken = aws.String("?") }, "InvalidParameterException", "nextToken"},
	} {
		in := &cloudwatchlogs.DescribeLogStreamsInput{LogGroupName: aws.String(testGroup)}
		c.change(in)
		_, err := e.DescribeLogStreams(e.ctx, in)
		wantCode(t, err, c.code, c.part)
	}
}

func TestDescribeGroups(t *testing.T) {
	e := start(t, Options{})
	for i := range 60 {
		e.create(fmt.Sprintf("/p/%02d", i))
	}
	e.create("/q", "s")
	if _, err := e.PutLogEvents(e.ctx, &cloudwatchlogs.PutLogEventsInput{LogGroupName: aws.String("/q"), LogStreamName: aws.String("s"), LogEvents: batchOf("12345", "678")}); err != nil {
		t.Fatal(err)
	}
	list := func(change func(*cloudwatchlogs.DescribeLogGroupsInput)) (all []types.LogGroup, pages int) {
		in := &cloudwatchlogs.DescribeLogGroupsInput{}
		change(in)
		for p := cloudwatchlogs.NewDescribeLogGroupsPaginator(e, in); p.HasMorePages(); pages++ {
			out, err := p.NextPage(e.ctx)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, out.LogGroups...)
		}
		return all, pages
	}
	all, pages := list(func(*cloudwatchlogs.DescribeLogGroupsInput) {})
	if len(all) != 61 || pages != 2 || *all[0].LogGroupName != "/p/00" || *all[60].LogGroupName != "/q" {
		t.Fatalf("%d groups on %d pages", len(all), pages)
	}
	if g := all[60]; *g.StoredBytes != 8 || *g.Arn != "arn:aws:logs:eu-west-1:000000000000:log-group:/q:*" || *g.LogGroupArn+":*" != *g.Arn {
		t.Errorf("/q is described as %d bytes, %s, %s", *g.StoredBytes, *g.Arn, *g.LogGroupArn)
	}
	for _, c := range []struct {
		want   int
		change func(*cloudwatchlogs.DescribeLogGroupsInput)
	}{
		{60, func(in *cloudwatchlogs.DescribeLogGroupsInput) { in.LogGroupNamePrefix = aws.String("/p") }},
		{10, func(in *cloudwatchlogs.DescribeLogGroupsInput) { in.LogGroupNamePattern = aws.String("/3") }},
		{0, func(in *cloudwatchlogs.DescribeLogGroupsInput) { in.LogGroupNamePrefix = aws.String("none") }},
		{2, func(in *cloudwatchlogs.DescribeLogGroupsInput) {
			in.LogGroupIdentifiers = []string{"/q", arnOf("eu-west-1", "/p/07"), "/p"}
		}},
		{0, func(in *cloudwatchlogs.DescribeLogGroupsInput) { in.LogGroupClass = types.LogGroupClassDelivery }},
	} {
		if got, _ := list(c.change); len(got) != c.want {
			t.Errorf("%d groups, want %d", len(got), c.want)
		}
	}
	_, err := e.DescribeLogGroups(e.ctx, &cloudwatchlogs.DescribeLogGroupsInput{LogGroupNamePrefix: aws.String("a"), LogGroupNamePattern: aws.String("b")})
	wantCode(t, err, "InvalidParameterException", "mutually exclusive")
	_, err = e.DescribeLogGroups(e.ctx, &cloudwatchlogs.DescribeLogGroupsInput{Limit: aws.Int32(51)})
	wantCode(t, err, "InvalidParameterException", "limit")
}
