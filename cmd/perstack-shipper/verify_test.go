package main

// This file ships recordings in every way, has verify prove them, and then deletes and changes
// events of the log group.

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
	"pgregory.net/rapid"

	"perstack-shipper/batch"
	"perstack-shipper/shipper/audit/proof"
	"perstack-shipper/shipper/cloudwatch"
	"perstack-shipper/shipper/readback/readbacktest"
	"perstack-shipper/shipper/terminal"
	"perstack-shipper/shipper/testkit"
)

// verify runs verify, which must exit with the code, and returns its result.
func (w *world) verify(code int, args ...string) (result proof.Result) {
	w.T.Helper()
	out, said, got := w.output(w.command(append([]string{"verify", "--settle=0s", "--json"}, args...)...))
	if got != code {
		w.T.Errorf("verify %q: exit code %d, want %d\n%s%s", args, got, code, out, said)
	}
	if len(out) > 0 {
		if err := json.Unmarshal(out, &result); err != nil {
			w.T.Fatalf("verify %q: %v\n%s", args, err, out)
		}
	}
	return result
}

// shipFile pipes a file into the program, which ships it to the group.
func (w *world) shipFile(group, path string) {
	w.T.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		w.T.Fatal(err)
	}
	w.mustRun(w.piped(data, "--log-group", group))
}

// wayIn is a way to ship files.
type wayIn struct {
	ship     func(w *world, group string, paths []string)
	followed bool // a followed file may grow, so it only ends with its job
}

var waysIn = map[string]wayIn{
	"pipe": {ship: func(w *world, group string, paths []string) {
		for _, path := range paths {
			w.shipFile(group, path)
		}
	}},
	"exec": {ship: func(w *world, group string, paths []string) {
		for _, path := range paths {
			w.mustRun(w.command("exec", "--log-group", group, "--", "sh", "-c", `echo starting >&2; cat "$1"`, "sh", path))
		}
	}},
	"followed files": {followed: true, ship: func(w *world, group string, paths []string) {
		w.mustRun(w.command("--log-group", group, "--input", w.copies(paths), "--until-idle=100ms"))
	}},
	"followed files, killed again and again": {followed: true, ship: func(w *world, group string, paths []string) {
		args := []string{"--log-group", group, "--input", w.copies(paths), "--until-idle=100ms"}
		for range 20 {
			w.kill(60*time.Millisecond, func(p *testkit.Process) bool { return len(w.open(p)) > 0 }, args...)
		}
		w.mustRun(w.command(args...))
	}},
	"exec, killed and resumed": {ship: func(w *world, group string, paths []string) {
		for i, path := range paths {
			runs := filepath.Join(w.T.TempDir(), strconv.Itoa(i))
			begun := func(*testkit.Process) bool { _, err := os.Stat(runs); return err == nil }
			w.kill(30*time.Millisecond, begun, "exec", "--log-group", group, "--", "sh", "-c", `touch "$1"; cat "$2"`, "sh", runs, path)
		}
		w.mustRun(w.command("resume"))
	}},
}

// copies returns the path of a folder with copies of files. They are an hour old, so that the
// program does not wait for the end of the jobs in them.
func (w *world) copies(paths []string) (dir string) {
	w.T.Helper()
	dir = w.T.TempDir()
	before := time.Now().Add(-time.Hour)
	for _, path := range paths {
		data, err := os.ReadFile(path)
		to := filepath.Join(dir, filepath.Base(path))
		if err == nil {
			err = os.WriteFile(to, data, 0o600)
		}
		if err == nil {
			err = os.Chtimes(to, before, before)
		}
		if err != nil {
			w.T.Fatal(err)
		}
	}
	return dir
}

// kill runs the program, and kills it at some moment up to that long after it has begun, unless it
// has ended by then.
func (w *world) kill(within time.Duration, begun func(*testkit.Process) bool, args ...string) {
	w.T.Helper()
	p := w.Start(w.command(args...))
	w.Until("the program has begun, or has ended", func() bool { return begun(p) || p.Ended() })
	time.Sleep(rand.N(within))
	_ = p.Cmd.Process.Kill() // it fails if the program has ended
	p.End()
}

// endless is the recordings without a job, or of a job that does not end.
var endless = map[string]bool{
	"error-500.stderr": true, "error.stderr": true, "openai-warning.stderr": true, "sigterm.jsonl": true, "throw-truncated.jsonl": true,
}

// TestVerifyEveryWayIn ships every recording in every way. verify must prove by the seals alone
// that each is complete, and by the originals that it is the same byte for byte.
func TestVerifyEveryWayIn(t *testing.T) {
	t.Parallel()
	files := recordings(t)
	digests := map[string]string{} // of the recordings' lines, as in a seal
	for name, path := range files {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		digests[name] = digestOf(data)
	}
	for name, way := range waysIn {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newLocalWorld(t)
			const group = "/perstack/verify"
			way.ship(w, group, slices.Collect(maps.Values(files)))

			code := exitOK
			if way.followed {
				code = exitUnknown
			}
			found := map[string]*proof.Input{} // by digest
			jobs := map[string][]string{}      // by digest of an input
			for _, job := range w.verify(code, "--log-group", group, "--since=1h").Jobs {
				for _, in := range job.Inputs {
					found[in.SHA256] = in
					if job.JobID != "" {
						jobs[in.SHA256] = append(jobs[in.SHA256], job.JobID)
					}
				}
			}
			held, compared := w.hold(group), 0
			for name, digest := range digests {
				in := found[digest]
				if in == nil {
					t.Errorf("%s is not there", name)
					continue
				}
				want := proof.Complete
				if way.followed && endless[name] {
					want = proof.CannotTell
				}
				if in.Verdict != want {
					t.Errorf("%s: the verdict is %q, want %q: %+v", name, in.Verdict, want, in)
				}
				for _, job := range jobs[digest] {
					compared++
					result, err := proof.Verify(t.Context(), held, proof.Verification{
						Jobs: []string{job}, Originals: []string{files[name]}, Memory: verifyMemory,
					}, nil)
					if err != nil {
						t.Fatal(err)
					}
					i := slices.IndexFunc(result.Jobs[0].Inputs, func(again *proof.Input) bool { return again.ID == in.ID })
					if again := result.Jobs[0].Inputs[i]; again.Verdict != want {
						t.Errorf("%s, compared with the original: the verdict is %q, want %q: %+v", name, again.Verdict, want, again)
					}
				}
			}
			if compared < 15 {
				t.Errorf("only %d recordings were compared with the original", compared)
			}
		})
	}
}

// hold reads all events of a group.
func (w *world) hold(group string) readbacktest.Held {
	w.T.Helper()
	all := readbacktest.Held{}
	for _, stream := range w.StreamsOf(group) {
		for _, e := range w.EventsOf(group, stream) {
			all[stream] = append(all[stream], cloudwatch.Event{Stream: stream, Time: e.Timestamp, Ingested: e.IngestionTime, Message: e.Message})
		}
	}
	return all
}

// without deletes the events of lines for which drop is true, given their seq and part.
func without(drop func(seq int64, part int) bool) func([]cloudwatch.Event) []cloudwatch.Event {
	return func(events []cloudwatch.Event) []cloudwatch.Event {
		return slices.DeleteFunc(events, func(e cloudwatch.Event) bool {
			seq, part, record := readbacktest.Place(e)
			return record == "" && drop(seq, part)
		})
	}
}

// TestVerifyFindsWhatIsDone shows that verify finds every kind of tampering with a log group's
// events and names it.
func TestVerifyFindsWhatIsDone(t *testing.T) {
	t.Parallel()
	w := newLocalWorld(t)
	large := filepath.Join(t.TempDir(), "large.jsonl")
	if err := os.WriteFile(large, largeRun(), 0o600); err != nil {
		t.Fatal(err)
	}
	tools := "testdata/recordings/tools.jsonl"
	w.shipFile("/tools", tools)
	w.shipFile("/large", large)
	const job = "d9urbpfdpmij1axcii58vgzr"
	groups := map[string]readbacktest.Held{job: w.hold("/tools"), "large": w.hold("/large")}
	changed := func(seq int64, f func(string) string) func([]cloudwatch.Event) []cloudwatch.Event {
		return func(events []cloudwatch.Event) []cloudwatch.Event {
			for i := range events {
				if s, _, _ := readbacktest.Place(events[i]); s == seq {
					events[i].Message = f(events[i].Message)
				}
			}
			return events
		}
	}
	for _, test := range []struct {
		name     string
		job      string
		change   func([]cloudwatch.Event) []cloudwatch.Event
		original string
		want     proof.Verdict
		missing  [][2]int64
		altered  []int64
		repeats  int64
	}{
		{name: "nothing", job: job, want: proof.Complete},
		{name: "nothing, with the original", job: job, original: tools, want: proof.Complete},
		{name: "nothing, in parts", job: "large", original: large, want: proof.Complete},
		{name: "one event deleted", job: job, change: without(func(seq int64, _ int) bool { return seq == 40 }), want: proof.NotComplete, missing: [][2]int64{{40, 40}}},
		{name: "one event deleted, with the original", job: job, original: tools, change: without(func(seq int64, _ int) bool { return seq == 40 }),
			want: proof.NotComplete, missing: [][2]int64{{40, 40}}},
		{name: "the first deleted", job: job, original: tools, change: without(func(seq int64, _ int) bool { return seq <= 2 }), want: proof.NotComplete, missing: [][2]int64{{1, 2}}},
		{name: "one part deleted", job: "large", change: without(func(seq int64, part int) bool { return seq == 4 && part == 2 }), want: proof.NotComplete, missing: [][2]int64{{4, 4}}},
		{name: "the last part deleted", job: "large", original: large, change: without(func(seq int64, part int) bool { return seq == 5 && part == 3 }), want: proof.NotComplete, missing: [][2]int64{{5, 5}}},
		{name: "the last ten deleted", job: job, change: without(func(seq int64, _ int) bool { return seq > 79 }), want: proof.NotComplete, missing: [][2]int64{{80, 89}}},
		{name: "all lines deleted", job: job, change: without(func(int64, int) bool { return true }), want: proof.NotComplete, missing: [][2]int64{{1, 89}}},
		{name: "one changed", job: job, change: changed(40, func(m string) string { return m[:len(m)-1] + ` }` }), want: proof.NotComplete},
		{name: "one changed, with the original", job: job, original: tools, change: changed(40, func(m string) string { return m[:len(m)-1] + ` }` }),
			want: proof.NotComplete, altered: []int64{40}},
		{name: "a part changed, with the original", job: "large", original: large, change: changed(4, func(m string) string { return strings.Replace(m, "日", "月", 1) }),
			want: proof.NotComplete, altered: []int64{4}},
		{name: "one doubled", job: job, change: func(events []cloudwatch.Event) []cloudwatch.Event { return append(events, events[40]) }, want: proof.Complete, repeats: 1},
		{name: "two swapped", job: job, original: tools, change: func(events []cloudwatch.Event) []cloudwatch.Event {
			events[40], events[20] = events[20], events[40]
			return events
		}, want: proof.Complete},
		{name: "the seal deleted", job: job, change: func(events []cloudwatch.Event) []cloudwatch.Event {
			return slices.DeleteFunc(events, func(e cloudwatch.Event) bool { _, _, record := readbacktest.Place(e); return record == "seal" })
		}, want: proof.CannotTell},
		{name: "the seal changed", job: job, change: changed(0, func(m string) string { return strings.Replace(m, `"sha256":"`, `"sha256":"0`, 1) }), want: proof.NotComplete},
		{name: "a seal of a later version", job: job, change: changed(0, func(m string) string { return strings.Replace(m, `"lastSeq"`, `"holes":1,"lastSeq"`, 1) }), want: proof.CannotTell},
		{name: "a seal that was put before the end", job: job, change: changed(0, func(m string) string { return strings.Replace(m, `"ended":true`, `"ended":false`, 1) }), want: proof.CannotTell},
		{name: "somebody else's event", job: job, change: func(events []cloudwatch.Event) []cloudwatch.Event {
			return append(events, cloudwatch.Event{Message: "hello", Time: 1})
		}, want: proof.CannotTell},
		{name: "the wrong file", job: job, original: "testdata/recordings/simple.jsonl", want: proof.NotComplete},
	} {
		t.Run(test.name, func(t *testing.T) {
			source := groups[test.job]
			if test.change != nil {
				source = source.Change(test.job, test.change)
			}
			v := proof.Verification{Jobs: []string{test.job}, Memory: 1 << 20}
			if test.original != "" {
				v.Originals = []string{test.original}
			}
			result, err := proof.Verify(t.Context(), source, v, nil)
			if err != nil {
				t.Fatal(err)
			}
			var printed strings.Builder
			if err := errors.Join(proof.PrintJob(&printed, result.Jobs[0]), proof.PrintVerdict(&printed, result)); err != nil {
				t.Fatal(err)
			}
			t.Log(printed.String())
			in := result.Jobs[0].Inputs[0]
			if result.Verdict != test.want || !slices.Equal(in.Missing, test.missing) || in.Repeats != test.repeats {
				t.Errorf("the input is %+v", in)
			}
			if test.altered != nil && !slices.Equal(in.Altered, test.altered) {
				t.Errorf("altered: %v, want %v", in.Altered, test.altered)
			}
			if !strings.HasSuffix(printed.String(), "\n") || !strings.Contains(printed.String(), "\n"+string(test.want)) {
				t.Errorf("it prints %q", &printed)
			}
		})
	}
	t.Run("the stream deleted", func(t *testing.T) {
		source := maps.Clone(groups[job])
		delete(source, job)
		result, err := proof.Verify(t.Context(), source, proof.Verification{Jobs: []string{job}}, nil)
		if err != nil || result.Verdict != proof.CannotTell {
			t.Errorf("the result is %+v, %v", result, err)
		}
	})
}

// Exactly the deleted lines are reported missing.
func TestVerifyFindsEachDeletion(t *testing.T) {
	t.Parallel()
	w := newLocalWorld(t)
	w.mustRun(w.command("exec", "--log-group=/tools", "--", "cat", "testdata/recordings/tools.jsonl"))
	const job = "d9urbpfdpmij1axcii58vgzr"
	all := w.hold("/tools")
	rapid.Check(t, func(t *rapid.T) {
		drop := map[string]map[int64]bool{}
		want := map[string][]int64{}
		odds := rapid.IntRange(1, 40).Draw(t, "one of")
		kept := all.Change(job, func(events []cloudwatch.Event) []cloudwatch.Event {
			return slices.DeleteFunc(events, func(e cloudwatch.Event) bool {
				r, err := batch.Restore([]byte(e.Message))
				if err != nil {
					t.Fatal(err)
				}
				if r.Record != "" {
					return false
				}
				if drop[r.Input] == nil {
					drop[r.Input] = map[int64]bool{}
				}
				is, known := drop[r.Input][r.Seq]
				if !known {
					if is = rapid.IntRange(1, odds).Draw(t, "delete") == 1; is {
						want[r.Input] = append(want[r.Input], r.Seq)
					}
					drop[r.Input][r.Seq] = is
				}
				return is
			})
		})
		result, err := proof.Verify(context.Background(), kept, proof.Verification{Jobs: []string{job}, Memory: rapid.SampledFrom([]int{1, 64 << 10, 0}).Draw(t, "memory")}, nil)
		if err != nil {
			t.Fatal(err)
		}
		got := map[string][]int64{}
		for _, in := range result.Jobs[0].Inputs {
			for _, r := range in.Missing {
				for seq := r[0]; seq <= r[1]; seq++ {
					got[in.ID] = append(got[in.ID], seq)
				}
			}
		}
		for _, seqs := range want {
			slices.Sort(seqs)
		}
		if !reflect.DeepEqual(got, want) || (result.Verdict == proof.Complete) != (len(want) == 0) {
			t.Fatalf("these are reported missing: %v, want %v; the verdict is %q", got, want, result.Verdict)
		}
	})
}

// The readers name the class of a log group that lacks GetLogEvents, whatever the service answers.
func TestVerifyOfAnotherClass(t *testing.T) {
	t.Parallel()
	w := newLocalWorld(t)
	if _, err := w.API.CreateLogGroup(t.Context(), &cloudwatchlogs.CreateLogGroupInput{
		LogGroupName: aws.String("/rare"), LogGroupClass: types.LogGroupClassInfrequentAccess,
	}); err != nil {
		t.Fatal(err)
	}
	w.shipFile("/rare", "testdata/recordings/simple.jsonl")
	for _, args := range [][]string{{"verify", "--since=1h"}, {"verify", "--job=any"}, {"logs", "--job=any"}, {"logs", "--job=any", "--search"}} {
		if _, said, code := w.output(w.command(append(args, "--log-group=/rare")...)); code != exitUnknown || !strings.Contains(said, "is of class INFREQUENT_ACCESS, which GetLogEvents and FilterLogEvents cannot read") {
			t.Errorf("%q: exit code %d, printed %q", args, code, said)
		}
	}
}

// The progress line appears on a terminal and is erased before anything else is printed there.
func TestVerifyShowsProgress(t *testing.T) {
	out, in, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	line := &terminal.Line{File: in}
	p := &progress{line: line, began: time.Now().Add(-2 * time.Second)}
	p.count(make([]cloudwatch.Event, 3)) // due at once
	p.count([]cloudwatch.Event{{Message: "not due"}})
	line.Hide()
	line.Hide()
	in.Close()
	shown, err := io.ReadAll(out)
	if want := "3 events, 0.0 MB read, 0.0 MB/s\r\x1b[K"; err != nil || string(shown) != want {
		t.Errorf("%q, %v; want %q", shown, err, want)
	}
}
