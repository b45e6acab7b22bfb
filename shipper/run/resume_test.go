package run

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"perstack-shipper/batch"
	"perstack-shipper/shipper/cloudwatch"
	"perstack-shipper/shipper/cwlocal"
	"perstack-shipper/shipper/cwlocal/localtest"
	"perstack-shipper/shipper/journal"
	"perstack-shipper/shipper/testkit"
	"perstack-shipper/shipper/testkit/await"
)

// leave makes an input in the journal folder, like one that a killed session leaves that shipped
// text from stdin to a group. It returns the input's id.
func (w *world) leave(group, text string, tweaks ...func(*setup)) (id string) {
	w.t.Helper()
	id = journal.NewID()
	w.session(append([]func(*setup){to(group)}, tweaks...), func(_ *setup, session *Session, _ *going) (Outcome, error) {
		j, err := session.folder.NewPipe(id, session.newAbout(session.shapeOf(id), "", "").encode(), session.keep)
		if err != nil {
			return Failed, err
		}
		_, err = j.Write([]byte(text))
		return Left, errors.Join(err, j.Close())
	}).wait(Left)
	return id
}

func field(name, value string) func(*setup) {
	return func(s *setup) { s.Fields = append(s.Fields, batch.Member{Name: name, Value: value}) }
}

// wasShipped fails the test unless the group has this input with this text.
func (w *world) wasShipped(group, id, text string) *testkit.Input {
	w.t.Helper()
	in := w.GatheredFrom(group)[id]
	if in == nil {
		w.t.Fatalf("input %s is not in %s", id, group)
	}
	if got := w.text(in); got != text {
		w.t.Errorf("input %s in %s is %.200q, want %.200q", id, group, got, text)
	}
	return in
}

func TestResumeShipsToEveryTarget(t *testing.T) {
	w := newWorld(t)
	groups := []string{"/perstack/one", "/perstack/two", "/perstack/three"}
	var ids []string
	for n, group := range groups {
		ids = append(ids, w.leave(group, lines(fmt.Sprint("job", n), 0, 10), func(s *setup) { s.creation.RetentionDays = []int{1, 3, 5}[n] }, field("n", fmt.Sprint(n))))
	}
	p := w.resume()
	p.wait(Delivered)
	if strings.Count(p.said(), "shipped 30 lines") != 1 {
		t.Error("there is not one summary of everything")
	}
	for n, group := range groups {
		in := w.wasShipped(group, ids[n], lines(fmt.Sprint("job", n), 0, 10))
		if !w.ended(in) {
			t.Errorf("the seal in %s does not say that it ended", group)
		}
		if r := in.Lines[testkit.Place{Seq: 1}]; !bytes.Contains(r.ShipperMember, fmt.Appendf(nil, `"n":"%d"`, n)) {
			t.Errorf("the events lack the recorded field: %s", r.ShipperMember)
		}
	}
	if kept := w.Kept(); len(kept) > 0 {
		t.Errorf("the journal keeps %q", kept)
	}
	p = w.resume()
	p.wait(Delivered)
	p.mustSay("nothing is left in " + w.Journal)
}

// An input that was recorded with a role is shipped as that role, whoever ships it.
func TestResumeAssumesTheRecordedRole(t *testing.T) {
	w := newSerialWorld(t)
	recorded := cloudwatch.Caller{RoleARN: "arn:aws:iam::444455556666:role/logging", ExternalID: "perstack-prod"}
	var assumed atomic.Int64
	sts := httptest.NewServer(http.HandlerFunc(func(answer http.ResponseWriter, call *http.Request) {
		if got := (cloudwatch.Caller{RoleARN: call.FormValue("RoleArn"), ExternalID: call.FormValue("ExternalId")}); got != recorded {
			t.Errorf("STS is called with %+v", got)
		}
		assumed.Add(1)
		fmt.Fprintf(answer, `<AssumeRoleResponse><AssumeRoleResult><Credentials><AccessKeyId>K</AccessKeyId><SecretAccessKey>s</SecretAccessKey>
			<SessionToken>t</SessionToken><Expiration>%s</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>`, time.Now().Add(time.Hour).UTC().Format(time.RFC3339))
	}))
	t.Cleanup(sts.Close)
	t.Setenv("AWS_ENDPOINT_URL_STS", sts.URL)
	id := w.leave(testGroup, lines("a", 0, 10), func(s *setup) { s.caller = recorded })
	// A program that does not know roles would ship it with other credentials.
	if kept, err := os.ReadFile(filepath.Join(w.Journal, id, "about")); err != nil || !bytes.Contains(kept, []byte(`"v":2,`)) {
		t.Errorf("the journal keeps %s, %v", kept, err)
	}
	w.resume().wait(Delivered)
	w.wasShipped(testGroup, id, lines("a", 0, 10))
	if assumed.Load() == 0 {
		t.Error("it is shipped without the role")
	}
}

// A target that refuses puts does not delay the others, and its input is left.
func TestResumeWithOneTargetAway(t *testing.T) {
	w := newWorld(t)
	good, bad := w.leave("/perstack/good", lines("a", 0, 10)), w.leave("/perstack/bad", lines("b", 0, 10))
	w.Fail(func(call *cwlocal.Call) cwlocal.Fault {
		if call.Group == "/perstack/bad" {
			return localtest.Unavailable()
		}
		return cwlocal.Fault{}
	})
	p := w.resume(drain(200 * time.Millisecond))
	await.Until(t, "the other target's input is shipped", func() bool {
		in := w.GatheredFrom("/perstack/good")[good]
		return in != nil && in.Ended()
	})
	p.stop(Left)
	p.mustSay(filepath.Join(w.Journal, bad))
	w.wasShipped("/perstack/good", good, lines("a", 0, 10))
	if kept := w.Kept(); !slices.Equal(kept, []string{bad}) {
		t.Errorf("the journal keeps %q", kept)
	}
	w.back()
	w.resume().wait(Delivered)
	w.wasShipped("/perstack/bad", bad, lines("b", 0, 10))
}

func TestResumeSaysWhatWasRejected(t *testing.T) {
	w := newWorld(t)
	id := w.leave(testGroup, lines("a", 0, 3)+`{"jobId":"a","poison":1}`+"\n"+lines("a", 3, 6))
	w.Fail(func(call *cwlocal.Call) cwlocal.Fault {
		if call.Action == "PutLogEvents" && bytes.Contains(call.Body, []byte("poison")) {
			return cwlocal.Fault{Code: "InvalidParameterException", Message: "Log event is invalid"}
		}
		return cwlocal.Fault{}
	})
	p := w.resume()
	p.wait(Rejected)
	rejects := filepath.Join(w.Journal, id, "rejects.jsonl")
	p.mustSay(rejects)
	if data, err := os.ReadFile(rejects); err != nil || bytes.Count(data, []byte("\n")) != 1 || !bytes.Contains(data, []byte("poison")) {
		t.Errorf("%s, %v", data, err)
	}
	p = w.resume()
	p.wait(Delivered)
	p.mustSay("nothing is left")
}

// A damaged journal is shipped as far as it is there, and the log says what is missing. The outcome
// of a session with an input of its own does not depend on it.
func TestDamagedLeftover(t *testing.T) {
	for _, c := range []struct {
		name   string
		damage func(dir string) error
		text   string // the prefix of what is shipped of it
		said   string
		want   Outcome // of resume
	}{
		{"segment cut", func(dir string) error { return cutSegment(dir, 30) }, lines("a", 0, 9), "missing", Rejected},
		{"cursors spoilt", spoilCursors, lines("a", 0, 10), "cursor", Delivered},
		{"options gone", func(dir string) error { return os.Remove(filepath.Join(dir, "about")) }, "", "does not say what it is for", Left},
	} {
		for _, by := range []string{"resume", "another"} {
			t.Run(c.name+" "+by, func(t *testing.T) {
				w := newWorld(t)
				id := w.leave(testGroup, lines("a", 0, 10))
				if err := c.damage(filepath.Join(w.Journal, id)); err != nil {
					t.Fatal(err)
				}
				var p *going
				if by == "resume" {
					p = w.resume()
					p.wait(c.want)
				} else {
					p = w.ship(lines("own", 0, 3))
					p.wait(Delivered)
					w.input(lines("own", 0, 3))
				}
				p.mustSay(c.said, id)
				if c.text == "" {
					if kept := w.Kept(); !slices.Equal(kept, []string{id}) {
						t.Errorf("the journal keeps %q", kept)
					}
					return
				}
				got := ""
				for _, in := range w.shipped() {
					if in.ID == id {
						got = w.text(in)
					}
				}
				if !strings.HasPrefix(got, c.text) {
					t.Errorf("%q is shipped", got)
				}
				if kept := w.Kept(); len(kept) > 0 {
					t.Errorf("the journal keeps %q", kept)
				}
			})
		}
	}
}

func cutSegment(dir string, bytes int64) error {
	segments, err := filepath.Glob(filepath.Join(dir, "*.segment"))
	if err != nil {
		return err
	}
	last := segments[len(segments)-1]
	info, err := os.Stat(last)
	if err != nil {
		return err
	}
	return os.Truncate(last, info.Size()-bytes)
}

func spoilCursors(dir string) error {
	for _, name := range []string{"cursor.a", "cursor.b"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("no cursor"), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// A session ships what earlier processes left for its target. It leaves what is for another target,
// and logs that once.
func TestLeftoversBesideTheOwnInput(t *testing.T) {
	w := newWorld(t)
	mine, other := w.leave(testGroup, lines("a", 0, 10), field("run", "first")), w.leave("/perstack/other", lines("b", 0, 10))
	p := w.ship(lines("own", 0, 3))
	p.wait(Delivered)
	if n := strings.Count(p.said(), other); n != 2 || !p.says("/perstack/other") { // its id and its folder, in one message
		t.Errorf("the other input is named %d times, want 2", n)
	}
	p.mustSay("shipped 3 lines") // of its own input
	w.input(lines("own", 0, 3))
	in := w.wasShipped(testGroup, mine, lines("a", 0, 10))
	if r := in.Lines[testkit.Place{Seq: 1}]; !bytes.Contains(r.ShipperMember, []byte(`"run":"first"`)) || !w.ended(in) {
		t.Errorf("ended %v, shipped as %s", w.ended(in), r.ShipperMember)
	}
	if kept := w.Kept(); !slices.Equal(kept, []string{other}) || len(w.GatheredFrom("/perstack/other")) > 0 {
		t.Errorf("the journal keeps %q", kept)
	}
}

// Leftovers that cannot be delivered delay the end of a session for no longer than the drain, and
// do not change its outcome.
func TestLeftoverThatCannotBeDelivered(t *testing.T) {
	w := newWorld(t)
	left := w.leave(testGroup, lines("a", 0, 10))
	w.Fail(func(call *cwlocal.Call) cwlocal.Fault {
		if call.Stream == "a" {
			return localtest.Throttle()
		}
		return cwlocal.Fault{}
	})
	began := time.Now()
	p := w.ship(lines("own", 0, 3), drain(200*time.Millisecond))
	p.wait(Delivered)
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("the run took %s", took)
	}
	p.mustSay(filepath.Join(w.Journal, left))
	w.input(lines("own", 0, 3))
}

// resume ships what a followed file holds beyond the cursor, and keeps the cursor for whoever
// follows it again.
func TestResumeOfAFollowedFile(t *testing.T) {
	w := newWorld(t)
	w.write("run.jsonl", lines("a", 0, 5))
	p := w.follow(paths(w.path("run.jsonl")))
	await.Until(t, "the file is shipped", func() bool { return w.has(w.path("run.jsonl"), lines("a", 0, 5)) })
	p.stop(Delivered)
	w.write("run.jsonl", lines("a", 5, 10))
	w.resume().wait(Delivered)
	if w.ended(w.input(lines("a", 0, 10))) {
		t.Error("the seal says that it ended")
	}
	p = w.resume()
	p.wait(Delivered)
	p.mustSay("nothing is left")
	// Another process with the same journal may ship some of it, but does not end it.
	w.write("run.jsonl", lines("a", 10, 15))
	w.ship(lines("own", 0, 3)).wait(Delivered)
	w.write("run.jsonl", lines("a", 15, 20))
	w.follow(once(100*time.Millisecond, w.path("run.jsonl"))).wait(Delivered)
	if in := w.input(lines("a", 0, 20)); in.Repeats > 5 {
		t.Errorf("%d repeats", in.Repeats)
	}
	w.input(lines("own", 0, 3))

	w.needsLinux("to know at once that nobody writes a renamed file")
	// A renamed file is found. A deleted file is reported.
	w.write("run.jsonl", lines("a", 20, 25))
	w.rename("run.jsonl", "run.jsonl.1")
	w.resume().wait(Delivered)
	if !w.ended(w.input(lines("a", 0, 25))) || len(w.Kept()) > 0 {
		t.Errorf("the seal does not say that it ended; the journal keeps %q", w.Kept())
	}
	for _, c := range []struct {
		more, said string
		want       Outcome
	}{
		{"", "is gone; all that was seen of it was shipped", Delivered},
		{lines("b", 5, 9), fmt.Sprintf("is gone; at least %d bytes of it were not shipped", len(lines("b", 5, 9))), Rejected},
	} {
		w.write("run.jsonl", lines("b", 0, 5))
		w.follow(once(100*time.Millisecond, w.path("run.jsonl"))).wait(Delivered)
		if c.more != "" {
			w.away()
			w.write("run.jsonl", c.more)
			p = w.follow(paths(w.path("run.jsonl")), drain(200*time.Millisecond))
			failed := w.Server.Stats().Errors["ServiceUnavailableException"]
			await.Until(t, "a put has failed", func() bool { return w.Server.Stats().Errors["ServiceUnavailableException"] > failed })
			p.stop(Left)
			w.back()
		}
		if err := os.Remove(w.path("run.jsonl")); err != nil {
			t.Fatal(err)
		}
		p = w.resume()
		p.wait(c.want)
		p.mustSay(w.path("run.jsonl") + " " + c.said)
		if kept := w.Kept(); len(kept) > 0 {
			t.Errorf("the journal keeps %q", kept)
		}
	}
}

// A process that follows a file waits for another process that ships the rest that was left of it.
func TestFollowedFileIsLent(t *testing.T) {
	w := newWorld(t)
	w.write("run.jsonl", lines("a", 0, 5))
	w.away()
	p := w.follow(paths(w.path("run.jsonl")), drain(100*time.Millisecond))
	await.Until(t, "a put has failed", func() bool { return w.Server.Stats().Errors["ServiceUnavailableException"] > 0 })
	p.stop(Left)
	stdin, writer := w.pipe()
	defer writer.Close()
	other := w.shipFrom(stdin)
	await.Until(t, "the other process has it", func() bool { return other.says("from where it stopped") })
	p = w.follow(paths(w.path("run.jsonl")))
	await.Until(t, "the second process waits", func() bool {
		return p.says(fmt.Sprintf("waits until process %d", os.Getpid()))
	})
	// If it is stopped while it waits, it has left some of the file.
	p.stop(Left)
	p.mustSay(w.path("run.jsonl")+" is not shipped here", fmt.Sprintf("process %d still ships", os.Getpid()))
	p = w.follow(paths(w.path("run.jsonl")))
	await.Until(t, "the third process waits", func() bool { return p.says("waits until process") })
	w.write("run.jsonl", lines("a", 5, 10))
	w.back()
	await.Until(t, "everything is shipped", func() bool { return w.has(w.path("run.jsonl"), lines("a", 0, 10)) })
	p.stop(Delivered)
	writer.Close()
	other.wait(Delivered)
	if in := w.input(lines("a", 0, 10)); w.ended(in) || in.Repeats > 0 {
		t.Errorf("ended %v, %d repeats", w.ended(in), in.Repeats)
	}
}

// A journal folder of another user is refused and not touched, because its contents cannot be
// trusted.
func TestJournalOfAnotherUser(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("SKIPPED: only root can give a folder to another user")
	}
	w := newWorld(t)
	w.write("run.jsonl", lines("a", 0, 3))
	id := w.leave(testGroup, lines("b", 0, 3))
	if err := os.Chown(w.Journal, 12345, -1); err != nil {
		t.Fatal(err)
	}
	for _, p := range []*going{w.follow(paths(w.path("run.jsonl"))), w.resume(), w.ship("{}\n")} {
		p.refuses("--journal-dir", w.Journal+" belongs to user 12345")
	}
	if kept := w.Kept(); !slices.Equal(kept, []string{id}) || len(w.shipped()) > 0 {
		t.Errorf("the journal keeps %q, %d inputs are shipped", kept, len(w.shipped()))
	}
}
