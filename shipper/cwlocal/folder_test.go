package cwlocal

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
	"pgregory.net/rapid"
)

// reopen closes the endpoint and starts another one on its folder.
func (e *endpoint) reopen(o Options) *endpoint {
	e.t.Helper()
	if err := e.Close(); err != nil {
		e.t.Fatal(err)
	}
	return start(e.t, o)
}

func TestFolderIsReopened(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "folder")
	now := testNow
	o := Options{Dir: dir, Now: func() time.Time { return now }}
	e := start(t, o)
	long := strings.Repeat("n", 512)
	streams := []string{"job", "../../escape", "a/b.c", ".hidden", "é 日本 \n\"", long, long[:511] + "m", strings.Repeat("é", 512)}
	const key = "arn:aws:kms:eu-west-1:000000000000:key/1234"
	if _, err := e.CreateLogGroup(e.ctx, &cloudwatchlogs.CreateLogGroupInput{LogGroupName: aws.String("../" + testGroup), Tags: map[string]string{"k": "v"}, KmsKeyId: aws.String(key)}); err != nil {
		t.Fatal(err)
	}
	if _, err := e.PutRetentionPolicy(e.ctx, &cloudwatchlogs.PutRetentionPolicyInput{LogGroupName: aws.String("../" + testGroup), RetentionInDays: aws.Int32(7)}); err != nil {
		t.Fatal(err)
	}
	e.create(testGroup, streams...)
	e.create("deleted", "s")
	messages := []string{"plain", "\x00\x1f\"\\/\b\f\n\r\t\u007f", "é 日本 \U0001F600 \u2028", strings.Repeat("long ", 60000)}
	for i, s := range streams {
		if i == 2 { // one stream has the message that is longer than the reader's buffer
			messages = messages[:3]
		}
		for j, m := range messages {
			if _, err := e.putTo(s, event(time.Duration(i)*time.Second, m), event(time.Duration(i+j)*time.Minute, m+"!")); err != nil {
				t.Fatal(err)
			}
			now = now.Add(time.Millisecond)
		}
	}
	e.DeleteGroup("deleted")
	e.DeleteStream(testGroup, "job")
	content := func(e *endpoint) map[string][]Event {
		all := map[string][]Event{}
		for _, g := range e.Groups() {
			for _, s := range e.Streams(g) {
				all[g+"|"+s] = e.Events(g, s)
			}
		}
		return all
	}
	ids := func(e *endpoint) (all []string) {
		out, err := e.FilterLogEvents(e.ctx, &cloudwatchlogs.FilterLogEventsInput{LogGroupName: aws.String(testGroup), Limit: aws.Int32(20)})
		if err != nil {
			t.Fatal(err)
		}
		for _, ev := range out.Events {
			all = append(all, *ev.EventId)
		}
		return all
	}
	before, idsBefore := content(e), ids(e)
	if len(before) != len(streams)-1 || len(before[testGroup+"|../../escape"]) != 2*4 {
		t.Fatalf("%d streams", len(before))
	}

	e = e.reopen(o)
	if after := content(e); !reflect.DeepEqual(before, after) {
		t.Error("the content differs after reopening")
	}
	if after := ids(e); !reflect.DeepEqual(idsBefore, after) {
		t.Error("the eventIds differ after reopening")
	}
	out, err := e.DescribeLogGroups(e.ctx, &cloudwatchlogs.DescribeLogGroupsInput{LogGroupNamePrefix: aws.String("../")})
	if err != nil || len(out.LogGroups) != 1 || *out.LogGroups[0].RetentionInDays != 7 || *out.LogGroups[0].KmsKeyId != key || *out.LogGroups[0].CreationTime != testNow.UnixMilli() {
		t.Errorf("the group is described as %+v, %v", out, err)
	}
	tags, err := e.ListTagsForResource(e.ctx, &cloudwatchlogs.ListTagsForResourceInput{ResourceArn: aws.String(arnOf("eu-west-1", "../"+testGroup))})
	if err != nil || tags.Tags["k"] != "v" {
		t.Errorf("tags %+v, %v", tags, err)
	}
	// It continues where it was.
	if _, err := e.putTo("a/b.c", event(0, "more")); err != nil {
		t.Fatal(err)
	}
	n := len(e.Events(testGroup, "a/b.c"))
	if e = e.reopen(o); n != 2*len(messages)+1 || len(e.Events(testGroup, "a/b.c")) != n {
		t.Errorf("%d events, %d after reopening", n, len(e.Events(testGroup, "a/b.c")))
	}

	// Nothing is outside the folder, and only its owner can read it.
	for parent := filepath.Dir(dir); parent != filepath.Dir(t.TempDir()); parent = filepath.Dir(parent) {
		if entries, err := os.ReadDir(parent); err != nil || len(entries) != 1 {
			t.Errorf("%s holds %v, %v", parent, entries, err)
		}
		if parent == filepath.Dir(filepath.Dir(dir)) {
			break
		}
	}
	err = filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err == nil && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %s", path, info.Mode())
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// TestFolderIsPlainJSONLines checks that the files are plain JSON lines.
func TestFolderIsPlainJSONLines(t *testing.T) {
	dir := t.TempDir()
	e := startWithStream(t, Options{Dir: dir})
	e.mustPut(event(0, `{"a":"é\n"}`), event(time.Second, "second"))
	text, err := os.ReadFile(filepath.Join(dir, "%2Fperstack%2Ftest", "job-1.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	ms := testNow.UnixMilli()
	want := fmt.Sprintf(`{"logStreamName":"job-1","creationTime":%d}
{"timestamp":%d,"ingestionTime":%d,"message":"{\"a\":\"é\\n\"}"}
{"timestamp":%d,"ingestionTime":%d,"message":"second"}
`, ms, ms, ms, ms+1000, ms)
	if string(text) != want {
		t.Errorf("%s\nwant\n%s", text, want)
	}
	for line := range bytes.Lines(text) {
		if !json.Valid(line) {
			t.Errorf("not JSON: %s", line)
		}
	}
}

// TestTornLastLine cuts a stream's file at every byte: complete lines stay, an incomplete one is
// dropped with a warning, and later puts follow.
func TestTornLastLine(t *testing.T) {
	dir := t.TempDir()
	e := startWithStream(t, Options{Dir: dir})
	e.mustPut(event(0, "first"), event(time.Second, `second "é"`))
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "%2Fperstack%2Ftest", "job-1.jsonl")
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for n := range len(whole) + 1 {
		if err := os.WriteFile(path, whole[:n], 0o600); err != nil {
			t.Fatal(err)
		}
		core, said := observer.New(zapcore.WarnLevel)
		s, err := New(Options{Dir: dir, Logger: zap.New(core)})
		if err != nil {
			t.Fatalf("cut to %d bytes: %v", n, err)
		}
		lines := bytes.Count(whole[:n], []byte("\n"))
		torn := n > 0 && whole[n-1] != '\n'
		if (said.Len() > 0) != torn {
			t.Errorf("cut to %d bytes: logged %v", n, said.All())
		}
		got := len(s.Events(testGroup, testStream))
		if lines == 0 {
			if len(s.Streams(testGroup)) != 0 {
				t.Errorf("cut to %d bytes: a stream without a name remains", n)
			}
		} else if got != lines-1 {
			t.Errorf("cut to %d bytes: %d events, want %d", n, got, lines-1)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(path, whole[:len(whole)-3], 0o600); err != nil {
		t.Fatal(err)
	}
	e = start(t, Options{Dir: dir})
	e.mustPut(event(2*time.Second, "third"))
	e = e.reopen(Options{Dir: dir})
	if got := e.messages(); got != "first|third" {
		t.Errorf("%q, want first|third", got)
	}
}

func TestFolderRefusals(t *testing.T) {
	dir := t.TempDir()
	e := startWithStream(t, Options{Dir: dir})
	e.mustPut(event(0, "x"))
	if _, err := New(Options{Dir: dir}); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Errorf("a second endpoint in the folder: %v", err)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	group := filepath.Join(dir, "%2Fperstack%2Ftest")
	for _, c := range []struct{ file, text, part string }{
		{"job-1.jsonl", `{"logStreamName":"other","creationTime":1}` + "\n", "line 1"},
		{"job-1.jsonl", "nonsense\n", "line 1"},
		{"job-1.jsonl", `{"logStreamName":"job-1","creationTime":1}` + "\nnonsense\n", "line 2"},
		{"job-1.jsonl", `{"logStreamName":"job-1","creationTime":1}` + "\n" + `{"timestamp":1,"message":"x"}` + "\n", "ingestionTime"},
		{"job-1.jsonl", `{"logStreamName":"job-1","creationTime":1}` + "\n" + `{"timestamp":1,"ingestionTime":1,"message":""}` + "\n", "line 2"},
		{"job-1.jsonl", `{"logStreamName":"job-1","creationTime":1}` + "\n" + `{"timestamp":1,"ingestionTime":1,"message":"x"} {}` + "\n", "after top-level value"},
		{"job-1.jsonl", `{"logStreamName":"job-1","creationTime":1}` + "\n" + `{"timestamp":1,"ingestionTime":1,"message":"` + "\xff" + `"}` + "\n", "UTF-8"},
		{"group.json", "{}", "group.json"},
	} {
		path := filepath.Join(group, c.file)
		good, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		if s, err := New(Options{Dir: dir}); err == nil || !strings.Contains(err.Error(), c.part) || !strings.Contains(err.Error(), c.file) {
			t.Errorf("%s with %q: %v", c.file, c.text, err)
			if err == nil {
				_ = s.Close()
			}
		}
		if err := os.WriteFile(path, good, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := New(Options{Dir: dir, Discard: true}); err == nil || !strings.Contains(err.Error(), "Discard") {
		t.Errorf("Discard with a folder: %v", err)
	}
	if _, err := New(Options{Dir: filepath.Join(group, "group.json")}); err == nil || !strings.Contains(err.Error(), "cannot be created") {
		t.Errorf("a file instead of a folder: %v", err)
	}
	// Foreign folders stay as they are. One that was being deleted is removed.
	for _, d := range []string{"mine", deleted + "x"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	e = start(t, Options{Dir: dir})
	if got := e.messages(); got != "x" {
		t.Errorf("%q after all that", got)
	}
	if _, err := os.Stat(filepath.Join(dir, "mine")); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(dir, deleted+"x")); !os.IsNotExist(err) {
		t.Errorf("the deleted folder still exists: %v", err)
	}
}

// TestFolderThatCannotBeWritten moves a file away while the endpoint runs. The put fails as the
// service's own fault, says why and stores nothing. Later puts work once the file is back.
func TestFolderThatCannotBeWritten(t *testing.T) {
	dir := t.TempDir()
	core, said := observer.New(zapcore.ErrorLevel)
	e := startWithStream(t, Options{Dir: dir, Logger: zap.New(core)})
	e.mustPut(event(0, "a"))
	path := filepath.Join(dir, "%2Fperstack%2Ftest", "job-1.jsonl")
	if err := os.Rename(path, path+".away"); err != nil {
		t.Fatal(err)
	}
	_, err := e.put(event(0, "b"))
	wantCode(t, err, "InternalFailure", path)
	if said.Len() != 1 {
		t.Errorf("%d messages logged, want 1", said.Len())
	}
	if err := os.Rename(path+".away", path); err != nil {
		t.Fatal(err)
	}
	e.mustPut(event(0, "c"))
	e = e.reopen(Options{Dir: dir})
	if got := e.messages(); got != "a|c" {
		t.Errorf("%q, want a|c", got)
	}
}

// TestFileNames checks that different names map to different files, and that none is a path.
func TestFileNames(t *testing.T) {
	names := map[string]string{}
	rapid.Check(t, func(rt *rapid.T) {
		name := rapid.OneOf(rapid.StringN(1, 600, 1800), rapid.StringMatching(`[./%~a]{1,600}`)).Draw(rt, "name")
		file := fileName(name)
		if other, ok := names[file]; ok && other != name {
			rt.Fatalf("%q and %q are both %q", name, other, file)
		}
		names[file] = name
		if strings.ContainsAny(file, "/\\\x00\n") || strings.HasPrefix(file, ".") || file == "" || len(file) > maxFileName {
			rt.Fatalf("%q becomes %q", name, file)
		}
	})
}
