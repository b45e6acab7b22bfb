package run

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"perstack-shipper/batch"
	"perstack-shipper/shipper/cloudwatch"
	"perstack-shipper/shipper/follow"
	"perstack-shipper/shipper/journal"
)

// unversioned is a snapshot as programs wrote it before snapshots had a version. The address of the endpoint, the id of the
// input and what follows the last member are filled in.
const unversioned = `{"shape":{"input":"%[2]s","fields":[{"name":"env","value":"prod"}],"logStream":"{jobId}","hostname":"host"},` +
	`"target":{"Group":"/perstack/run","Region":"eu-west-1","Endpoint":"%[1]s","Account":""},"profile":"ops",` +
	`"creation":{"Create":true,"RetentionDays":30,"KMSKeyID":"arn:key","Tags":[{"Key":"team","Value":"a"}]},` +
	`"command":["sh","-c","true"]%[3]s}`

// leave makes an input in the journal folder, with this snapshot.
func (w *world) leave(id, about, bytes string) {
	w.t.Helper()
	folder, err := journal.Open(w.journal)
	if err != nil {
		w.t.Fatal(err)
	}
	j, err := folder.NewPipe(id, []byte(about), journal.Options{})
	if err != nil {
		w.t.Fatal(err)
	}
	if _, err := j.Write([]byte(bytes)); err != nil {
		w.t.Fatal(err)
	}
	if err := j.Close(); err != nil {
		w.t.Fatal(err)
	}
}

// What programs without versions left is shipped, by a session and by resume, and with the options that they recorded.
func TestUnversionedSnapshot(t *testing.T) {
	for name, ship := range map[string]func(*world){
		"session": func(w *world) { w.stdin("", Delivered) },
		"resume":  func(w *world) { w.resume(Redirect{}, Delivered) },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.leave("aaaaaaaa", fmt.Sprintf(unversioned, w.url, "aaaaaaaa", ""), "{\"jobId\":\"j\"}\n")
			ship(w)
			if got := w.lines(testGroup, "j"); got != "{\"jobId\":\"j\"}\n" {
				t.Errorf("%q came", got)
			}
			if message := w.server.Events(testGroup, "j")[0].Message; !strings.Contains(message, `"env":"prod"`) {
				t.Errorf("without the recorded field: %s", message)
			}
			if left := w.left(); len(left) > 0 {
				t.Errorf("left: %v", left)
			}
		})
	}
}

// Each member is read from where it always was. Their names are those of journal folders out there.
func TestSnapshotMembers(t *testing.T) {
	rest := `,"jobOf":"bbbbbbbb","group":7,"path":"/p","file":{"path":"/p","dev":1,"ino":2,"first":"f","base":"b","lent":true}`
	old := fmt.Sprintf(unversioned, "http://x", "aaaaaaaa", rest)
	got, err := decodeAbout([]byte(old))
	want := about{
		Version:  1,
		Shape:    batch.Shape{Input: "aaaaaaaa", Fields: []batch.Member{{Name: "env", Value: "prod"}}, Template: "{jobId}", Hostname: "host"},
		Target:   cloudwatch.Target{Group: "/perstack/run", Region: "eu-west-1", Endpoint: "http://x"},
		Caller:   cloudwatch.Caller{Profile: "ops"},
		Creation: Creation{Create: true, RetentionDays: 30, KMSKeyID: "arn:key", Tags: []Tag{{"team", "a"}}},
		JobOf:    "bbbbbbbb", Group: 7, Path: "/p", Command: []string{"sh", "-c", "true"},
		File: &follow.Note{Path: "/p", Dev: 1, Ino: 2, First: "f", Base: "b", Lent: true},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Fatalf("%v\n got %+v\nwant %+v", err, got, want)
	}
	// What is written now differs by the version alone, so that an older program can read it.
	var before, after map[string]any
	if err := errors.Join(json.Unmarshal([]byte(old), &before), json.Unmarshal(got.encode(), &after)); err != nil {
		t.Fatal(err)
	}
	before["v"] = 1.0
	if !reflect.DeepEqual(before, after) {
		t.Errorf("written again:\n got %v\nwant %v", after, before)
	}
}

// What a newer program recorded is refused in one sentence, and stays as it is.
func TestNewerSnapshot(t *testing.T) {
	w := newWorld(t)
	newer := `{"v":2,"shape":{"somewhere":"else"}}`
	w.leave("aaaaaaaa", newer, "{\"jobId\":\"j\"}\n")
	path := filepath.Join(w.journal, "aaaaaaaa")
	sentence := "input aaaaaaaa in " + path + " is left alone: a newer version of perstack-shipper recorded it (its snapshot has version 2, this program reads up to 1): ship it with that version"
	w.stdin("{\"jobId\":\"k\"}\n", Delivered)
	w.mustSay("warn: " + sentence)
	w.resume(Redirect{Group: "/perstack/other"}, Left)
	w.mustSay("error: " + sentence)
	if w.lines(testGroup, "k") == "" || len(w.server.Streams(testGroup)) != 1 || len(w.server.Streams("/perstack/other")) > 0 {
		t.Error("not just what was new was shipped")
	}
	if kept, err := os.ReadFile(filepath.Join(path, "about")); err != nil || string(kept) != newer {
		t.Errorf("it is now %s, %v", kept, err)
	}
}

// A file that a newer program follows is not followed anew: all of it would be shipped again.
func TestNewerSnapshotOfAFollowedFile(t *testing.T) {
	w := newWorld(t)
	file := filepath.Join(t.TempDir(), "events.jsonl")
	if err := os.WriteFile(file, []byte("{\"jobId\":\"j\"}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	folder, err := journal.Open(w.journal)
	if err != nil {
		t.Fatal(err)
	}
	j, err := folder.Follow("aaaaaaaa", file, []byte(`{"v":2}`), journal.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	_, err = w.session().Follow(FollowOptions{Paths: []string{file}, UntilIdle: 10e6})
	wrong, ok := errors.AsType[*OptionError](err)
	if !ok || wrong.Option != "--journal-dir" || !strings.Contains(wrong.Problem, "a newer version of perstack-shipper recorded it") {
		t.Errorf("%v", err)
	}
}
