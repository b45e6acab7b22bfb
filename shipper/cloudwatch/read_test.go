package cloudwatch

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"strings"
	"testing"
)

// pages answers each request with the next page, and records the requests.
func pages(t *testing.T, target string, asked *[]map[string]any, answers ...string) string {
	return serve(t, func(w http.ResponseWriter, r request) {
		if r.target != target {
			t.Errorf("operation %s, want %s", r.target, target)
		}
		io.WriteString(w, answers[len(*asked)])
		*asked = append(*asked, r.json(t))
	}).URL
}

// TestEventsPage checks that an empty page is not the end, and that a repeated token is.
func TestEventsPage(t *testing.T) {
	var asked []map[string]any
	c := newClient(t, pages(t, "GetLogEvents", &asked,
		`{"events":[{"timestamp":1,"message":"a\u2028\n","ingestionTime":10},{"timestamp":2,"message":"{\"b\":1}","ingestionTime":11}],"nextForwardToken":"f/1","nextBackwardToken":"b/1"}`,
		`{"events":[],"nextForwardToken":"f/2","nextBackwardToken":"b/2"}`,
		`{"events":[{"timestamp":3,"message":"c","ingestionTime":12}],"nextForwardToken":"f/3"}`,
		`{"events":[],"nextForwardToken":"f/3"}`))
	var got []Event
	token := ""
	for {
		events, next, end, err := c.EventsPage(context.Background(), "job", Selection{}, token)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, events...)
		if token = next; end {
			break
		}
	}
	if want := []Event{{"job", 1, 10, "a\u2028\n"}, {"job", 2, 11, `{"b":1}`}, {"job", 3, 12, "c"}}; !reflect.DeepEqual(got, want) {
		t.Errorf("%+v", got)
	}
	first := map[string]any{"logGroupName": "/perstack/test", "logStreamName": "job", "startFromHead": true}
	if !reflect.DeepEqual(asked[0], first) || asked[3]["nextToken"] != "f/3" || asked[3]["startFromHead"] != true || len(asked) != 4 {
		t.Errorf("asked %v", asked)
	}
}

func TestStreamsPage(t *testing.T) {
	var asked []map[string]any
	c := newClient(t, pages(t, "DescribeLogStreams", &asked,
		`{"logStreams":[{"logStreamName":"job"},{"logStreamName":"job-2"}],"nextToken":"n"}`, `{"logStreams":[{"logStreamName":"job-3"}]}`, `{}`))
	names, next, err := c.StreamsPage(context.Background(), "job", "")
	if err != nil || next != "n" || !reflect.DeepEqual(names, []string{"job", "job-2"}) {
		t.Fatalf("%v %q %v", names, next, err)
	}
	names, next, err = c.StreamsPage(context.Background(), "job", next)
	if err != nil || next != "" || !reflect.DeepEqual(names, []string{"job-3"}) {
		t.Fatalf("%v %q %v", names, next, err)
	}
	if names, _, err = c.StreamsPage(context.Background(), "", ""); err != nil || len(names) > 0 {
		t.Fatalf("%v %v", names, err)
	}
	if asked[1]["nextToken"] != "n" || asked[0]["logStreamNamePrefix"] != "job" || asked[2]["logStreamNamePrefix"] != nil {
		t.Errorf("asked %v", asked)
	}
}

func TestFilterPage(t *testing.T) {
	var asked []map[string]any
	c := newClient(t, pages(t, "FilterLogEvents", &asked,
		`{"events":[],"nextToken":"n"}`, `{"events":[{"logStreamName":"s","timestamp":1,"message":"m","ingestionTime":2}]}`))
	events, next, err := c.FilterPage(context.Background(), `"uo5p"`, "s", Selection{}, "")
	if err != nil || next != "n" || len(events) != 0 {
		t.Fatalf("%v %q %v", events, next, err)
	}
	events, next, err = c.FilterPage(context.Background(), `"uo5p"`, "s", Selection{}, next)
	if err != nil || next != "" || !reflect.DeepEqual(events, []Event{{"s", 1, 2, "m"}}) {
		t.Fatalf("%v %q %v", events, next, err)
	}
	if asked[0]["filterPattern"] != `"uo5p"` || asked[0]["logStreamNamePrefix"] != "s" || asked[1]["nextToken"] != "n" {
		t.Errorf("asked %v", asked)
	}
}

// TestLargePage reads a page of the largest possible message, escaped, and checks the classes of
// read errors.
func TestLargePage(t *testing.T) {
	message := strings.Repeat(`\u0001`, 1<<20)
	s := serve(t, func(w http.ResponseWriter, r request) {
		fmt.Fprintf(w, `{"events":[{"timestamp":1,"message":"%s","ingestionTime":1}],"nextForwardToken":"f"}`, message)
	})
	events, _, _, err := newClient(t, s.URL).EventsPage(context.Background(), "job", Selection{}, "")
	if err != nil || len(events) != 1 || len(events[0].Message) != 1<<20 {
		t.Fatalf("%d events, %v", len(events), err)
	}
	missing := serve(t, func(w http.ResponseWriter, r request) {
		fail(w, 400, "ResourceNotFoundException", "The specified log stream does not exist.")
	})
	c := newClient(t, missing.URL)
	if _, _, _, err := c.EventsPage(context.Background(), "job", Selection{}, ""); Classify(err) != Missing {
		t.Errorf("%v", err)
	}
	if _, _, err := c.StreamsPage(context.Background(), "", ""); Classify(err) != Missing {
		t.Errorf("%v", err)
	}
	if _, _, err := c.FilterPage(context.Background(), "", "", Selection{}, ""); Classify(err) != Missing {
		t.Errorf("%v", err)
	}
}
