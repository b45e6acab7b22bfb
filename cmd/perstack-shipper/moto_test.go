package main

// This file makes the same round trips to moto, an implementation of the CloudWatch API by others,
// so that the program's own endpoint does not only confirm our own beliefs. moto 5.2.1 differs from
// the service in this:
//
//   - It accepts events and batches of any size. Only the program's own endpoint shows limits.
//   - For events that are too old or too new it reports other indexes: that of the last such event.
//   - A new event is readable at once, and a page has 10,000 events whatever their size.
//
// `make test` prepares moto_server and names it in $MOTO_SERVER.

import (
	"bufio"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"regexp"
	"syscall"
	"testing"

	"perstack-shipper/shipper/testkit/await"
)

// motoLine matches what moto_server prints once it listens.
var motoLine = regexp.MustCompile(`Running on (http://127\.0\.0\.1:\d+)`)

func TestMoto(t *testing.T) {
	t.Parallel()
	server := os.Getenv("MOTO_SERVER")
	if _, err := os.Stat(server); server == "" || errors.Is(err, fs.ErrNotExist) {
		const why = "there is no moto_server at $MOTO_SERVER (%q): run `make moto`, which needs Python 3 with venv; an endpoint by others is not tried"
		if os.Getenv("CI") == "true" {
			t.Fatalf(why, server)
		}
		t.Skipf(why, server)
	}
	endpoint := startMoto(t, server)
	t.Run("round trips", func(t *testing.T) { newWorldAt(t, endpoint).roundTrips(t) })
	t.Run("stack", motoAPI{endpoint: endpoint}.createsStack)
	t.Run("tasks", motoAPI{endpoint: endpoint}.registersTasks)
}

// startMoto starts moto_server, which ends with the test, and returns its URL.
func startMoto(t *testing.T, server string) string {
	t.Helper()
	moto := exec.CommandContext(lifetime(t), server, "-H", "127.0.0.1", "-p", "0")
	said, saying, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	moto.Stdout, moto.Stderr = saying, saying
	err = moto.Start()
	saying.Close()
	if err != nil {
		t.Fatal(err)
	}
	read := make(chan struct{})
	t.Cleanup(func() {
		if err := moto.Process.Signal(syscall.SIGKILL); err != nil { // nothing else ends it quickly
			t.Error(err)
		}
		_ = moto.Wait() // returns that it was killed
		await.Receive(t, "the end of what moto prints", read)
		said.Close()
	})
	lines := bufio.NewReader(said)
	for {
		line, err := lines.ReadString('\n')
		if match := motoLine.FindStringSubmatch(line); match != nil {
			// It logs each call, which must not fill the pipe.
			go func() {
				defer close(read)
				_, _ = io.Copy(io.Discard, lines) // until it is killed
			}()
			return match[1]
		}
		if err != nil {
			close(read)
			t.Fatalf("moto_server did not start: %v", err)
		}
	}
}
