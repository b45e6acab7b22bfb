package main

// This file generates the lines to ship. They are the same on every machine and in every run,
// except for their start time, which must be one that CloudWatch accepts.

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
)

const (
	deltaBytes = 350    // of a streamed delta with its newline
	longBytes  = 41_000 // of a line of tool results with its newline

	// lineToken precedes a line's number in its id. The check of any program's puts looks for it,
	// whatever the program made of the line.
	lineToken = "hczkbqe5u4i5h8"
	// linesPerMilli is how many deltas have the same timestamp.
	linesPerMilli = 100
	// backEvery and backMillis put deltas out of order, as Perstack does. In the recorded runs,
	// about every backEvery-th has an earlier time than the one before it.
	backEvery, backMillis = 40, 15
	// foreignEvery is after how many deltas about one has a non-ASCII character.
	foreignEvery = 8
)

// workload describes lines, which are deltas unless Long is set.
type workload struct {
	Long  bool  `json:"long"`  // lines of longBytes, mostly three long strings, instead of deltas
	Lines int   `json:"lines"` // how many
	First int   `json:"first"` // the number of the first line
	Jobs  int   `json:"jobs"`  // the lines belong to this many jobs in turn
	Base  int64 `json:"base"`  // the time of line 0, milliseconds since 1970
}

// written describes a generated workload.
type written struct {
	Lines int    `json:"lines"`
	Bytes int64  `json:"bytes"` // with newlines
	Sum   uint64 `json:"sum"`   // of lineSum over all lines
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// lineSum returns what a line, without its newline, adds to a checksum. The same lines in another
// order give the same sum.
func lineSum(line []byte) uint64 {
	return uint64(crc32.Checksum(line, castagnoli))
}

// runGenerate writes the workload in its first argument, as JSON, to the file in its second
// argument, and prints what it wrote.
func runGenerate(args []string) error {
	if len(args) != 2 {
		return errors.New("usage: generate WORKLOAD_JSON FILE")
	}
	var w workload
	if err := json.Unmarshal([]byte(args[0]), &w); err != nil {
		return fmt.Errorf("the workload %q: %w", args[0], err)
	}
	f, err := os.Create(args[1])
	if err != nil {
		return err
	}
	out := bufio.NewWriterSize(f, 1<<20)
	var did written
	var line []byte
	for i := w.First; i < w.First+w.Lines; i++ {
		line = w.appendLine(line[:0], i)
		did.Lines++
		did.Bytes += int64(len(line))
		did.Sum += lineSum(line[:len(line)-1])
		if _, err := out.Write(line); err != nil {
			return errors.Join(err, f.Close())
		}
	}
	if err := errors.Join(out.Flush(), f.Close()); err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(did)
}

// appendLine appends line i with its newline to b.
func (w *workload) appendLine(b []byte, i int) []byte {
	start := len(b)
	kind, size := "streamReasoning", deltaBytes
	if w.Long {
		kind, size = "resolveToolResults", longBytes
	}
	at := w.Base + int64(i/linesPerMilli)
	if i%backEvery == backEvery-1 {
		at -= backMillis
	}
	b = append(append(append(b, `{"type":"`...), kind...), `","id":"`+lineToken...)
	b = appendPadded(b, i, 10)
	b = append(b, `","expertKey":"worker","timestamp":`...)
	b = strconv.AppendInt(b, at, 10)
	b = append(b, `,"jobId":"ooffrb0cufrw05y9jd8a`...)
	b = appendPadded(b, i%max(1, w.Jobs), 4)
	b = append(b, `","runId":"vkmogt99yu2k4gmbitii`...)
	b = appendPadded(b, i%max(1, w.Jobs), 4)
	b = append(b, `","stepNumber":1,`...)
	random := mix(uint64(i))
	if !w.Long {
		from := prose()
		if i%foreignEvery == 0 {
			from = foreignProse()
		}
		b = append(b, `"delta":"`...)
		b = appendText(b, from, random, size-(len(b)-start)-len("\"}\n"))
		return append(b, "\"}\n"...)
	}
	const parts = 3
	b = append(b, `"toolResults":[`...)
	for part := 1; part <= parts; part++ {
		b = append(b, `{"id":"tooluse0`...)
		b = strconv.AppendInt(b, int64(part), 10)
		b = append(b, `","skillName":"@perstack/base","toolName":"readTextFile","result":[{"type":"textPart","text":"`...)
		tail := `","id":"textpart"}]},`
		if part == parts {
			tail = `","id":"textpart"}]}]}` + "\n"
		}
		text := (size*part/parts - (len(b) - start)) - len(tail)
		b = appendText(b, code(), random+uint64(part)*977, text)
		b = append(b, tail...)
	}
	return b
}

// appendPadded appends n with the given number of decimal digits.
func appendPadded(b []byte, n, digits int) []byte {
	s := strconv.Itoa(n)
	for range digits - len(s) {
		b = append(b, '0')
	}
	return append(b, s...)
}

// mix is splitmix64, which scatters neighbouring numbers.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// appendText appends n bytes of a text that is already escaped for JSON: whole words from a place
// in it, and full stops to fill up.
func appendText(b []byte, text string, place uint64, n int) []byte {
	at := int(place % uint64(len(text)-n-64))
	at += strings.IndexByte(text[at:], ' ') + 1
	piece := text[at : at+n]
	cut := strings.LastIndexByte(piece, ' ') + 1
	b = append(b, piece[:cut]...)
	for range n - cut {
		b = append(b, '.')
	}
	return b
}

// The texts that lines are cut from, as JSON string content. In the recorded runs a backslash
// occurs about every 200 bytes in lines of prose, and every 25 to 50 bytes in lines with the
// contents of files.
var (
	prose        = sync.OnceValue(func() string { return makeText(1, proseWords, 64<<10) })
	foreignProse = sync.OnceValue(func() string {
		return makeText(2, slices.Concat(proseWords, []string{"Größe", "日本語", "—", "naïve"}), 64<<10)
	})
	code = sync.OnceValue(func() string { return makeText(3, codeWords, 256<<10) })
)

var proseWords = append(strings.Fields(`the agent reads a file and checks what it asked for before it writes an answer then each step is kept so that
	nothing is lost when process ends while another one goes on with its work because several tools were called at once and their results
	come back in order of the calls which makes every following generation longer than that before`), `\"quoted\"`, `end.\n`)

var codeWords = strings.Fields(`const value = await read(path);\n if (value !== undefined) {\n return { name: \"shipper\", size: 42 };\n }\n
	// the first line that says what this is for\n export function parse(text: string): Event[] {
	for (const line of text.split(\"\\n\")) events.push(JSON.parse(line))
	throw new Error(message) import from static async process.stdout.write(chunk) => number | string; 0x1f, 日本 Größe`)

// makeText joins words at random, but always in the same way.
func makeText(seed uint64, words []string, size int) string {
	random := rand.New(rand.NewPCG(seed, seed))
	var b strings.Builder
	for b.Len() < size {
		b.WriteString(words[random.IntN(len(words))])
		b.WriteByte(' ')
	}
	return b.String()
}
