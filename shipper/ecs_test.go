package shipper

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"perstack-shipper/shipper/testkit/await"
)

const (
	ecsTask = `{"Cluster":"arn:aws:ecs:eu-west-1:111122223333:cluster/prod","TaskARN":"arn:aws:ecs:eu-west-1:111122223333:task/prod/0f3a",
		"Family":"nightly","Revision":"26","DesiredStatus":"RUNNING","LaunchType":"FARGATE","Containers":[{"Name":"agent"},{"Name":"shipper"}]}`
	ecsContainer = `{"DockerId":"0f3a-1","Name":"shipper","Image":"111122223333.dkr.ecr.eu-west-1.amazonaws.com/my-expert:7","ImageID":"sha256:9f86d081884c","Labels":{"com.amazonaws.ecs.container-name":"shipper"}}`
)

func metadata(t *testing.T, answer http.HandlerFunc) string {
	t.Helper()
	server := httptest.NewServer(answer)
	t.Cleanup(server.Close)
	return server.URL + "/v4/0f3a"
}

func TestECSMetadata(t *testing.T) {
	whole := map[string]string{
		"cluster": "arn:aws:ecs:eu-west-1:111122223333:cluster/prod", "taskArn": "arn:aws:ecs:eu-west-1:111122223333:task/prod/0f3a",
		"family": "nightly", "revision": "26", "launchType": "FARGATE", "container": "shipper",
		"image": "111122223333.dkr.ecr.eu-west-1.amazonaws.com/my-expert:7", "imageDigest": "sha256:9f86d081884c",
	}
	container := map[string]string{"container": "shipper", "image": whole["image"], "imageDigest": whole["imageDigest"]}
	for _, c := range []struct {
		name            string
		task, container http.HandlerFunc
		want            map[string]string
		said            string // in the only warning; "": there is none
	}{
		{"whole", say(ecsTask), say(ecsContainer), whole, ""},
		{"no container", say(ecsTask), refuse, without(without(without(whole, "container"), "image"), "imageDigest"), "500"},
		{"no task", say("{"), say(ecsContainer), container, "/task"},
		{"nothing", refuse, refuse, map[string]string{}, "500"},
		{"slow", hang, say(ecsContainer), container, "deadline"},
	} {
		t.Run(c.name, func(t *testing.T) {
			uri := metadata(t, func(w http.ResponseWriter, r *http.Request) {
				switch r.URL.Path {
				case "/v4/0f3a/task":
					c.task(w, r)
				case "/v4/0f3a":
					c.container(w, r)
				default:
					t.Errorf("unexpected request for %s", r.URL.Path)
				}
			})
			t.Setenv("HTTP_PROXY", "http://127.0.0.1:1") // must not be used for an address of the host
			limit := await.Deadline
			if c.name == "slow" {
				limit = 100 * time.Millisecond
			}
			core, logs := observer.New(zap.InfoLevel)
			began := time.Now()
			ecs := patience{ecs: limit}.askECS(uri, zap.New(core))
			got := ecs()
			for !maps.Equal(got, c.want) && limit < 10*time.Second { // the container's answer may also be late
				limit *= 2
				core, logs = observer.New(zap.InfoLevel)
				began = time.Now()
				ecs = patience{ecs: limit}.askECS(uri, zap.New(core))
				got = ecs()
			}
			if !maps.Equal(got, c.want) {
				t.Errorf("got %v, want %v", got, c.want)
			}
			if took := time.Since(began); took > await.Deadline/2 {
				t.Errorf("it took %s", took)
			}
			if got := ecs(); !maps.Equal(got, c.want) {
				t.Errorf("the second call got %v", got)
			}
			said := logs.All()
			if len(said) > 1 || (len(said) == 1) != (c.said != "") || c.said != "" && !strings.Contains(said[0].Message, c.said) {
				t.Errorf("the log is %v, want %q", said, c.said)
			}
		})
	}
	if AskECS("", zap.NewNop()) != nil {
		t.Error("got a function for no address")
	}
}

func say(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(text)) }
}

func hang(_ http.ResponseWriter, r *http.Request) {
	select {
	case <-r.Context().Done():
	case <-time.After(await.Deadline):
	}
}

func refuse(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) }

func without(m map[string]string, name string) map[string]string {
	m = maps.Clone(m)
	delete(m, name)
	return m
}

// The open record of every stream names the task, even if the run is over at once.
func TestOpenRecordNamesTheTask(t *testing.T) {
	t.Parallel()
	uri := metadata(t, func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(100 * time.Millisecond) // slower than the run
		if strings.HasSuffix(r.URL.Path, "/task") {
			say(ecsTask)(w, r)
		} else {
			say(ecsContainer)(w, r)
		}
	})
	w := newWorld(t, nil)
	o := w.options()
	o.Origin.ECS = AskECS(uri, w.log)
	in := w.pipe("aaaaaaaa", strings.NewReader(`{"jobId":"a"}`+"\n"+`{"jobId":"b"}`+"\n"), nil)
	if _, err := New(o).Run(within(t, await.Deadline), []Input{in}, nil); err != nil {
		t.Fatal(err)
	}
	for _, stream := range []string{"a", "b"} {
		events := w.Server.Events(w.Group, stream)
		if len(events) == 0 {
			t.Fatalf("stream %s is empty", stream)
		}
		var open openRecord
		if err := json.Unmarshal([]byte(events[0].Message), &open); err != nil || open.Shipper.Record != "open" {
			t.Fatalf("the first event is no open record: %s (%v)", events[0].Message, err)
		}
		if open.ECS["taskArn"] != "arn:aws:ecs:eu-west-1:111122223333:task/prod/0f3a" || open.ECS["container"] != "shipper" {
			t.Errorf("the open record of stream %s has %v", stream, open.ECS)
		}
	}
}
