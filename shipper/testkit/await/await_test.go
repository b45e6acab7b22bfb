package await_test

import (
	"fmt"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"perstack-shipper/shipper/testkit/await"
)

// failing is a test that notes how it fails.
type failing struct {
	testing.TB
	message string
}

func (f *failing) Helper() {}

func (f *failing) Fatalf(format string, args ...any) {
	f.message = fmt.Sprintf(format, args...)
	runtime.Goexit()
}

// failure returns the message with which what fails.
func failure(what func(testing.TB)) string {
	f, done := &failing{}, make(chan struct{})
	go func() {
		defer close(done)
		what(f)
	}()
	<-done
	return f.message
}

func TestReceive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := make(chan int, 1)
		c <- 7
		if got := await.Receive(t, "a number", c); got != 7 {
			t.Errorf("got %d, want 7", got)
		}
		began := time.Now()
		message := failure(func(t testing.TB) { await.Receive(t, "a second number", c) })
		if !strings.Contains(message, "a second number") || time.Since(began) != await.Deadline {
			t.Errorf("after %s it fails with %q", time.Since(began), message)
		}
	})
}

func TestExit(t *testing.T) {
	c := exec.Command("sh", "-c", "exit 7")
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	if err := await.Exit(t, c); err == nil || c.ProcessState.ExitCode() != 7 {
		t.Errorf("%v, want exit code 7", err)
	}
}
