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
	"perstack-shipper/shipper/snapshot"
	"perstack-shipper/shipper/testkit"
)

// unversioned is a snapshot as programs wrote it before snapshots had a version. Its parameters are
// the address of the endpoint, the id of the input, and more members.
const unversioned = `{"shape":{"input":"%[2]s","fields":[{"name":"env","value":"prod"}],"logStream":"{jobId}","hostname":"host"},` +
	`"target":{"Group":"/perstack/run","Region":"eu-west-1","Endpoint":"%[1]s","Account":""},"profile":"ops",` +
	`"creation":{"Create":true,"RetentionDays":30,"KMSKeyID":"arn:key","Tags":[{"Key":"team","Value":"a"}]},` +
	`"command":["sh","-c","true"]%[3]s}`

// leaveAs makes an input with this snapshot in the journal folder.
func (w *world) leaveAs(id, about, bytes string) {
	w.t.Helper()
	j, err := w.Folder().NewPipe(id, []byte(about), journal.Options{})
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

// A session and resume ship what programs without versions left, with the options that those
// programs recorded.
func TestUnversionedSnapshot(t *testing.T) {
	for name, ship := range map[string]func(*world){
		"session": func(w *world) { w.ship("").wait(Delivered) },
		"resume":  func(w *world) { w.resume().wait(Delivered) },
	} {
		t.Run(name, func(t *testing.T) {
			w := newSerialWorld(t)
			w.write("config", "[profile ops]\naws_access_key_id = K\naws_secret_access_key = s\n") // the profile is recorded
			t.Setenv("AWS_CONFIG_FILE", w.path("config"))
			w.leaveAs("aaaaaaaa", fmt.Sprintf(unversioned, w.URL, "aaaaaaaa", ""), "{\"jobId\":\"j\"}\n")
			ship(w)
			in := w.wasShipped(testGroup, "aaaaaaaa", "{\"jobId\":\"j\"}\n")
			if member := in.Lines[testkit.Place{Seq: 1}].ShipperMember; !strings.Contains(string(member), `"env":"prod"`) {
				t.Errorf("the events lack the recorded field: %s", member)
			}
			w.nothingKept()
		})
	}
}

// Every member is read under its original name, because existing journal folders use it.
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
		JobOf:    "bbbbbbbb", ProcessGroup: 7, Path: "/p", Command: []string{"sh", "-c", "true"},
		File: &follow.Note{Path: "/p", Dev: 1, Ino: 2, First: "f", Base: "b", Lent: true},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Fatalf("%v\n got %+v\nwant %+v", err, got, want)
	}
	// A snapshot written now differs only by the version, so an older program can read it.
	var before, after map[string]any
	if err := errors.Join(json.Unmarshal([]byte(old), &before), json.Unmarshal(got.encode(), &after)); err != nil {
		t.Fatal(err)
	}
	before["v"] = 1.0
	if !reflect.DeepEqual(before, after) {
		t.Errorf("the snapshot written again:\n got %v\nwant %v", after, before)
	}
}

// An input that a newer program recorded is refused in one sentence, and stays as it is.
func TestNewerSnapshot(t *testing.T) {
	w := newWorld(t)
	newer := fmt.Sprintf(`{"v":%d,"shape":{"somewhere":"else"}}`, snapshot.Newest+1)
	w.leaveAs("aaaaaaaa", newer, "{\"jobId\":\"j\"}\n")
	path := filepath.Join(w.Journal, "aaaaaaaa")
	sentence := fmt.Sprintf("input aaaaaaaa in %s is left alone: a newer version of perstack-shipper recorded it (its snapshot has version %d, this program reads up to %d): ship it with that version",
		path, snapshot.Newest+1, snapshot.Newest)
	p := w.ship("{\"jobId\":\"k\"}\n")
	p.wait(Delivered)
	p.mustSay("warn: " + sentence)
	p = w.resume(func(s *setup) { s.Redirect.Group = "/perstack/other" })
	p.wait(Left)
	p.mustSay("error: " + sentence)
	w.input("{\"jobId\":\"k\"}\n")
	if len(w.shipped()) != 1 || len(w.GatheredFrom("/perstack/other")) > 0 {
		t.Error("something other than the new input was shipped")
	}
	if kept, err := os.ReadFile(filepath.Join(path, "about")); err != nil || string(kept) != newer {
		t.Errorf("the snapshot is now %s, %v", kept, err)
	}
}

// A file that a newer program follows is refused, because following it from its beginning would
// ship all of it again.
func TestNewerSnapshotOfAFollowedFile(t *testing.T) {
	w := newWorld(t)
	w.write("events.jsonl", "{\"jobId\":\"j\"}\n")
	j, err := w.Folder().Follow("aaaaaaaa", w.path("events.jsonl"), fmt.Appendf(nil, `{"v":%d}`, snapshot.Newest+1), journal.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	p := w.follow(paths(w.path("events.jsonl")))
	p.refuses("--journal-dir", "a newer version of perstack-shipper recorded it")
}
