package report

// This file opens pages in headless Chromium, which it controls through the two pipes of the
// DevTools protocol. https://chromedevtools.github.io/devtools-protocol/

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// browser is a Chromium with one tab.
type browser struct {
	t       *testing.T
	in      *os.File
	out     *bufio.Reader
	session string
	last    int
	events  []message // events since the current page was opened
}

// message is a message from Chromium: an answer, which has an ID, or an event.
type message struct {
	ID     int             `json:"id"`
	Method string          `json:"method"`
	Params json.RawMessage `json:"params"`
	Result json.RawMessage `json:"result"`
	Error  *struct {
		Message string `json:"message"`
	} `json:"error"`
}

// openBrowser starts Chromium. If it is not installed, the test is skipped, or fails in CI.
func openBrowser(t *testing.T, flags ...string) *browser {
	t.Helper()
	program := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			program = path
			break
		}
	}
	if program == "" {
		if os.Getenv("CI") == "true" {
			t.Fatal("Chromium is not installed, and with CI=true this test must run: apt-get install chromium")
		}
		t.Skip("NOT TESTED: Chromium is not installed; apt-get install chromium")
	}
	home, err := os.MkdirTemp("", "chromium")
	if err != nil {
		t.Fatal(err)
	}
	command := exec.Command(program, append([]string{
		"--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-dev-shm-usage", "--no-first-run", "--disable-background-networking",
		"--disable-component-update", "--disable-sync", "--user-data-dir=" + home, "--remote-debugging-pipe", "about:blank",
	}, flags...)...)
	theirIn, in, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	out, theirOut, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	command.ExtraFiles = []*os.File{theirIn, theirOut} // 3 and 4
	var stderr bytes.Buffer
	command.Stderr = &stderr
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	theirIn.Close()
	theirOut.Close()
	if err := out.SetReadDeadline(time.Now().Add(2 * time.Minute)); err != nil {
		t.Fatal(err)
	}
	b := &browser{t: t, in: in, out: bufio.NewReader(out)}
	t.Cleanup(func() {
		in.Close() // makes Chromium exit
		timer := time.AfterFunc(10*time.Second, func() { _ = command.Process.Kill() })
		_ = command.Wait() // its exit code does not matter
		timer.Stop()
		out.Close()
		for range 50 { // helper processes may still write there
			if os.RemoveAll(home) == nil {
				break
			}
			time.Sleep(20 * time.Millisecond)
		}
		if t.Failed() {
			t.Logf("Chromium printed\n%s", &stderr)
		}
	})

	var target struct{ TargetID string }
	b.call("Target.createTarget", map[string]any{"url": "about:blank"}, &target)
	var attached struct{ SessionID string }
	b.call("Target.attachToTarget", map[string]any{"targetId": target.TargetID, "flatten": true}, &attached)
	b.session = attached.SessionID
	for _, domain := range []string{"Page", "Runtime", "Log", "Network"} {
		b.call(domain+".enable", nil, nil)
	}
	return b
}

// call calls a method of the protocol.
func (b *browser) call(method string, params map[string]any, result any) {
	b.t.Helper()
	b.last++
	request := map[string]any{"id": b.last, "method": method}
	if params != nil {
		request["params"] = params
	}
	if b.session != "" {
		request["sessionId"] = b.session
	}
	data, err := json.Marshal(request)
	if err != nil {
		b.t.Fatal(err)
	}
	if _, err := b.in.Write(append(data, 0)); err != nil {
		b.t.Fatalf("%s: %v", method, err)
	}
	for {
		m := b.read()
		if m.ID != b.last {
			b.events = append(b.events, m)
			continue
		}
		if m.Error != nil {
			b.t.Fatalf("%s: %s", method, m.Error.Message)
		}
		if result != nil {
			if err := json.Unmarshal(m.Result, result); err != nil {
				b.t.Fatalf("%s: %v", method, err)
			}
		}
		return
	}
}

func (b *browser) read() (m message) {
	b.t.Helper()
	data, err := b.out.ReadBytes(0)
	if err == nil {
		err = json.Unmarshal(bytes.TrimSuffix(data, []byte{0}), &m)
	}
	if err != nil {
		b.t.Fatalf("from Chromium: %v", err)
	}
	return m
}

// open loads a page and returns how long it took until the load event.
func (b *browser) open(path string) time.Duration {
	b.t.Helper()
	path, err := filepath.Abs(path)
	if err != nil {
		b.t.Fatal(err)
	}
	b.events = nil
	address := url.URL{Scheme: "file", Path: path}
	b.call("Page.navigate", map[string]any{"url": address.String()}, nil)
	for !b.had("Page.loadEventFired") {
		b.events = append(b.events, b.read())
	}
	took := b.evaluate(`(() => { const t = performance.getEntriesByType('navigation')[0]; return String(t.loadEventEnd || t.domComplete); })()`)
	ms := 0.0
	if _, err := fmt.Sscan(took, &ms); err != nil {
		b.t.Fatalf("%q: %v", took, err)
	}
	return time.Duration(ms * float64(time.Millisecond))
}

func (b *browser) had(method string) bool {
	for _, m := range b.events {
		if m.Method == method {
			return true
		}
	}
	return false
}

// evaluate returns the result of a script as a string.
func (b *browser) evaluate(script string) string {
	b.t.Helper()
	var answer struct {
		Result           struct{ Value any }
		ExceptionDetails json.RawMessage
	}
	b.call("Runtime.evaluate", map[string]any{"expression": script, "returnByValue": true, "awaitPromise": true}, &answer)
	if answer.ExceptionDetails != nil {
		b.t.Fatalf("%s: %s", script, answer.ExceptionDetails)
	}
	return fmt.Sprint(answer.Result.Value)
}

// complaints returns the browser's errors and console output, and every request other than for the
// page itself.
func (b *browser) complaints() error {
	var all []error
	for _, m := range b.events {
		switch m.Method {
		case "Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded":
			all = append(all, fmt.Errorf("%s: %s", m.Method, m.Params))
		case "Network.requestWillBeSent":
			var says struct{ Request struct{ URL string } }
			if err := json.Unmarshal(m.Params, &says); err != nil || !strings.HasPrefix(says.Request.URL, "file:///") || !strings.HasSuffix(says.Request.URL, ".html") {
				all = append(all, fmt.Errorf("a request: %s", m.Params))
			}
		}
	}
	return errors.Join(all...)
}
