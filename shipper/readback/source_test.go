package readback

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/aws/smithy-go"
	"go.uber.org/goleak"

	"perstack-shipper/shipper/cloudwatch"
	"perstack-shipper/shipper/testkit"
)

func TestMain(m *testing.M) {
	testkit.Isolate()
	goleak.VerifyTestMain(m)
}

// group is a log group in memory. Its pages are small, and every other page is empty without being
// the last.
type group struct {
	streams map[string][]cloudwatch.Event
	page    int                               // events or names per page; 0 means 3
	fail    func(action, stream string) error // called before each call, which returns its error
	before  func(stream string, page int)     // called before each page of events
	filters []string                          // the filter patterns so far
	invalid int                               // calls of InvalidateCredentials
}

func (g *group) put(stream string, time int64, message string) {
	if g.streams == nil {
		g.streams = map[string][]cloudwatch.Event{}
	}
	g.streams[stream] = append(g.streams[stream], cloudwatch.Event{Stream: stream, Time: time, Message: message})
}

func apiError(code string) error { return &smithy.GenericAPIError{Code: code, Message: "of the test"} }

func (g *group) check(action, stream string) error {
	if g.fail == nil {
		return nil
	}
	return g.fail(action, stream)
}

// slice returns a page of all. Every other page is empty, with only a token.
func slice[T any](all []T, size int, token string) (page []T, next string, end bool) {
	var at, calls int
	if token != "" {
		fmt.Sscanf(token, "%d-%d", &at, &calls)
	}
	if size == 0 {
		size = 3
	}
	to := at
	if calls%2 == 1 {
		to = min(at+size, len(all))
	}
	return all[at:to], fmt.Sprintf("%d-%d", to, calls+1), to == len(all)
}

func (g *group) EventsPage(ctx context.Context, stream string, of cloudwatch.Selection, token string) ([]cloudwatch.Event, string, bool, error) {
	if err := g.check("GetLogEvents", stream); err != nil {
		return nil, "", false, err
	}
	if g.before != nil {
		g.before(stream, strings.Count(token, "-"))
	}
	events, ok := g.streams[stream]
	if !ok {
		return nil, "", false, apiError("ResourceNotFoundException")
	}
	page, next, end := slice(events, g.page, token)
	return page, next, end, nil
}

func (g *group) StreamsPage(ctx context.Context, prefix, token string) ([]string, string, error) {
	if err := g.check("DescribeLogStreams", ""); err != nil {
		return nil, "", err
	}
	var names []string
	for name := range g.streams {
		if strings.HasPrefix(name, prefix) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	page, next, end := slice(names, g.page, token)
	if end {
		next = ""
	}
	return page, next, nil
}

func (g *group) FilterPage(ctx context.Context, pattern, prefix string, of cloudwatch.Selection, token string) ([]cloudwatch.Event, string, error) {
	g.filters = append(g.filters, pattern)
	if err := g.check("FilterLogEvents", ""); err != nil {
		return nil, "", err
	}
	var events []cloudwatch.Event
	for name, all := range g.streams {
		for _, ev := range all {
			if strings.HasPrefix(name, prefix) && (pattern == recordPattern && strings.Contains(ev.Message, `"shipper.`) ||
				strings.Contains(ev.Message, strings.Trim(pattern, `"`))) {
				events = append(events, ev)
			}
		}
	}
	slices.SortStableFunc(events, func(a, b cloudwatch.Event) int { return strings.Compare(a.Stream, b.Stream) })
	page, next, end := slice(events, g.page, token)
	if end {
		next = ""
	}
	return page, next, nil
}

func (g *group) InvalidateCredentials() { g.invalid++ }

// event returns the message of a whole line. It inserts the shipper member into an object; a line
// that is not an object becomes text. more are members of shipper besides input and seq.
func event(input string, seq int, line string, more ...string) string {
	member := fmt.Sprintf(`"shipper":{"input":%q,"seq":%d`, input, seq)
	for _, m := range more {
		member += "," + m
	}
	var object map[string]json.RawMessage
	if json.Unmarshal([]byte(line), &object) != nil {
		return fmt.Sprintf(`{%s,"text":true},"type":"text","timestamp":1,"jobId":"j","message":%s}`, member, quoted(line))
	}
	before, after, _ := strings.Cut(line, "{")
	if len(object) > 0 {
		after = "," + after
	}
	return before + "{" + member + "}" + after
}

// parts returns the messages of a line of job j, cut into parts of at most size bytes.
func parts(input string, seq int, line string, size int, more ...string) []string {
	var all []string
	for n := 1; line != ""; n++ {
		cut := min(size, len(line))
		for cut < len(line) && !utf8.RuneStart(line[cut]) {
			cut++
		}
		member := fmt.Sprintf(`"shipper":{"input":%q,"seq":%d,"part":%d`, input, seq, n)
		if cut == len(line) {
			member += `,"last":true`
		}
		for _, m := range more {
			member += "," + m
		}
		all = append(all, fmt.Sprintf(`{%s},"type":"t","jobId":"j","runId":"r","data":%s}`, member, quoted(line[:cut])))
		line = line[cut:]
	}
	return all
}

func quoted(text string) string {
	b, err := json.Marshal(text)
	if err != nil {
		panic(err)
	}
	return string(b)
}

func seal(input string, lastSeq, emptyLines int, ended bool) string {
	return fmt.Sprintf(`{"shipper":{"record":"seal","input":%q},"type":"shipper.seal","timestamp":1,"lastSeq":%d,"emptyLines":%d,"ended":%v}`, input, lastSeq, emptyLines, ended)
}
