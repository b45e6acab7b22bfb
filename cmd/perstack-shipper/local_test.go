package main

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// endpointLine is the first line that local prints.
var endpointLine = regexp.MustCompile(`^CloudWatch Logs endpoint at (http://127\.0\.0\.1:\d+), kept (.*), until Ctrl-C\.`)

// startLocal starts local and returns its URL, where it stores events, and the rest of its stderr.
func startLocal(ctx context.Context, t *testing.T, args ...string) (command *exec.Cmd, url, kept string, rest *bufio.Reader) {
	t.Helper()
	command = exec.CommandContext(ctx, "perstack-shipper", append([]string{"local"}, args...)...)
	stderr, err := command.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	rest = bufio.NewReader(stderr)
	line, err := rest.ReadString('\n')
	match := endpointLine.FindStringSubmatch(line)
	if match == nil {
		t.Fatalf("local printed %q, %v", line, err)
	}
	return command, match[1], match[2], rest
}

func TestLocal(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for _, end := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		dir := t.TempDir()
		local, url, kept, stderr := startLocal(ctx, t, "--listen=127.0.0.1:0", "--dir="+dir)
		if kept != "in "+dir {
			t.Errorf("events are kept %s, want in %s", kept, dir)
		}
		hint, err := stderr.ReadString('\n')
		if want := "  export AWS_ENDPOINT_URL=" + url + " AWS_REGION=us-east-1 AWS_ACCESS_KEY_ID=local AWS_SECRET_ACCESS_KEY=local\n"; hint != want {
			t.Errorf("the hint is %q, %v; want %q", hint, err, want)
		}

		request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(`{"logGroupName":"g"}`))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("X-Amz-Target", "Logs_20140328.CreateLogGroup")
		request.Header.Set("Content-Type", "application/x-amz-json-1.1")
		answer, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		http.DefaultClient.CloseIdleConnections()
		if answer.StatusCode != http.StatusOK {
			t.Errorf("CreateLogGroup: %s", answer.Status)
		}

		if err := local.Process.Signal(end); err != nil {
			t.Fatal(err)
		}
		more, _ := io.ReadAll(stderr)
		if err := local.Wait(); err != nil {
			t.Errorf("it ended after %v with %v\n%s", end, err, more)
		}
	}
}

func TestLocalOnBusyPort(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	address := listener.Addr().String()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	second := exec.CommandContext(ctx, "perstack-shipper", "local", "--listen", address)
	var stderr bytes.Buffer
	second.Stderr = &stderr
	err = second.Run()
	want := "perstack-shipper: --listen " + address + " is in use: stop what listens there, or use port 0 for a free one\n"
	if second.ProcessState.ExitCode() != exitUsage || stderr.String() != want {
		t.Errorf("%v, %q; want exit code %d and %q", err, &stderr, exitUsage, want)
	}
}

func TestLocalInUnusableFolder(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	command := exec.CommandContext(ctx, "perstack-shipper", "local", "--listen=127.0.0.1:0", "--dir=/dev/null/x")
	var stderr bytes.Buffer
	command.Stderr = &stderr
	err := command.Run()
	if command.ProcessState.ExitCode() != exitUsage || !strings.HasPrefix(stderr.String(), "perstack-shipper: --dir \"/dev/null/x\" cannot be created; name another folder: ") {
		t.Errorf("%v, and stderr is %q", err, &stderr)
	}
}
