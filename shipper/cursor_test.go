package shipper

import (
	"bytes"
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"

	"perstack-shipper/shipper/journal"
	"perstack-shipper/shipper/testkit/await"
)

// A cursor without a version is read as version 1. A cursor with a later version is left as it is,
// and so are the lines after it.
func TestCursorVersions(t *testing.T) {
	t.Parallel()
	const first, second = `{"jobId":"j","n":1}` + "\n", `{"jobId":"j","n":2}` + "\n"
	for state, want := range map[string]string{
		`{"state":{"seq":1},"streams":["j"]}`:          second,
		`{"v":1,"state":{"seq":1},"streams":["j"]}`:    second,
		`{"v":2,"state":{"lines":1},"streams":["j"]}`:  "the cursor has version 2, and this program reads versions up to 1",
		`{"v":"a","state":{"lines":1},"streams":null}`: "cannot read its cursor",
	} {
		t.Run(state, func(t *testing.T) {
			w := newWorld(t, nil)
			in, j := w.written("aaaaaaaa")
			write(t, j, []byte(first+second))
			if err := j.Ack(journal.Cursor{Offset: int64(len(first)), State: []byte(state)}); err != nil {
				t.Fatal(err)
			}
			if err := j.End(); err != nil {
				t.Fatal(err)
			}
			dir := j.Path()
			in.Journal = w.reopen(j.Journal)
			_, err := New(w.options()).Run(within(t, await.Deadline), []Input{in}, nil)
			if want == second {
				var got []int64
				if in := w.Gathered()["aaaaaaaa"]; in != nil {
					for place := range in.Lines {
						got = append(got, place.Seq)
					}
				}
				if err != nil || !slices.Equal(got, []int64{2}) {
					t.Errorf("shipped lines %d, want 2: %v", got, err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("got error %v, want %q", err, want)
			}
			if _, err := os.Stat(dir); err != nil {
				t.Error(err)
			}
		})
	}
}

// recovered returns the journal of an input in the folder, recovered as by the next process.
func (w *world) recovered(id string) *journal.Journal {
	w.t.Helper()
	found, err := w.folder.Recover(id)
	if err != nil {
		w.t.Fatal(err)
	}
	return found.Base()
}

// reopen closes a journal and recovers it.
func (w *world) reopen(j *journal.Journal) *journal.Journal {
	w.t.Helper()
	if err := j.Close(); err != nil {
		w.t.Fatal(err)
	}
	return w.recovered(j.ID())
}

func TestCursorSaysItsVersion(t *testing.T) {
	w := newWorld(t, nil)
	in, j := w.written("aaaaaaaa")
	write(t, j, []byte(`{"jobId":"j"}`+"\n"))
	from, err := startingPointOf(in)
	if err != nil {
		t.Fatal(err)
	}
	i, err := newInput(in, from, 0, new(spareWindow))
	if err != nil {
		t.Fatal(err)
	}
	if err := i.persist(0, from.cursor.State); err != nil {
		t.Fatal(err)
	}
	again := w.reopen(j.Journal)
	var got map[string]any
	if err := json.Unmarshal(again.Cursor().State, &got); err != nil || got["v"] != 1.0 {
		t.Errorf("the cursor is %v: %v", got, err)
	}
	if err := again.Close(); err != nil {
		t.Fatal(err)
	}
}

// A Run that cannot ship a primary input closes all journals that it was given, after it has
// stopped their writers.
func TestRunThatCannotBeginClosesItsJournals(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	var inputs []Input
	var journals []*journal.Pipe
	quit, closed := "", ""
	for _, id := range []string{"aaaaaaaa", "bbbbbbbb", "cccccccc"} {
		in, j := w.written(id)
		in.Quit = func() { quit += id[:1]; write(t, j, lineOf) }
		in.Closed = func() { closed += id[:1] }
		inputs, journals = append(inputs, in), append(journals, j)
	}
	inputs[1].Shape.Template = "{"
	if _, err := New(w.options()).Run(within(t, await.Deadline), inputs, nil); err == nil || !strings.Contains(err.Error(), "bbbbbbbb") {
		t.Error(err)
	}
	if quit != "abc" || closed != "abc" {
		t.Errorf("the writers of %q were stopped and the journals of %q closed, want abc for both", quit, closed)
	}
	for _, j := range journals {
		if _, err := j.Write(lineOf); err == nil {
			t.Errorf("the journal of %s still takes bytes", j.ID())
		}
	}
}

// An input that comes later and cannot be shipped is closed, after its writer was stopped.
// Otherwise its lock would keep the next start from it, or its mover would fill the disk. The
// others are shipped.
func TestLaterInputThatCannotBeShippedIsClosed(t *testing.T) {
	w := newWorld(t, nil)
	good := w.pipe("aaaaaaaa", bytes.NewReader(lineOf), nil)
	bad, badJournal := w.written("bbbbbbbb")
	bad.Shape.Template = "{"
	order := ""
	bad.Quit = func() { order += "quit " }
	bad.Closed = func() { order += "closed" }
	more := make(chan Input, 1)
	more <- bad
	close(more)
	report, err := New(w.options()).Run(within(t, await.Deadline), []Input{good}, more)
	if err != nil || len(report.Failed) != 1 || !strings.Contains(report.Failed[0].Error(), "bbbbbbbb") {
		t.Errorf("got error %v and failures %v", err, report.Failed)
	}
	if order != "quit closed" {
		t.Errorf("called %q, want quit, then closed", order)
	}
	if _, err := badJournal.Write(lineOf); err == nil {
		t.Error("the journal still takes bytes")
	}
	if got := w.lines("aaaaaaaa"); !bytes.Equal(got, lineOf) {
		t.Errorf("got %q from the other input", got)
	}
}

// The report does not include what earlier processes rejected, although it is in the same set as
// what this process rejects.
func TestReportOfRejectsIsOfThisProcess(t *testing.T) {
	a := newAcking(startingPoint{cursor: cursorState{Account: account{Rejected: ranges{{5, 5}}}}})
	a.account.Rejected.add(6)
	if n := a.account.Rejected.count() - a.began.Account.Rejected.count(); n != 1 {
		t.Errorf("this process rejected %d lines, want 1", n)
	}
}
