package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"
)

// endpointProcess is the endpoint's process.
type endpointProcess struct {
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	out    *json.Encoder
	in     *json.Decoder
	hello  hello
	caFile string
}

// startEndpoint starts the endpoint with memory for the bodies of the largest table.
func (b *bench) startEndpoint() (*endpointProcess, error) {
	keep := min(memoryAvailable()/3, 64<<20+int64(1_100_000_000*max(b.scale, 0.25)))
	e := &endpointProcess{cmd: exec.Command(b.self, "endpoint", "-dir", b.dir, "-keep", strconv.FormatInt(keep, 10))}
	e.cmd.Stderr = os.Stderr
	stdin, err := e.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := e.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := e.cmd.Start(); err != nil {
		return nil, fmt.Errorf("endpoint: %w", err)
	}
	e.stdin, e.out, e.in = stdin, json.NewEncoder(stdin), json.NewDecoder(bufio.NewReader(stdout))
	if err := e.in.Decode(&e.hello); err != nil {
		return nil, errors.Join(fmt.Errorf("endpoint: %w", err), e.stop())
	}
	e.caFile = filepath.Join(b.dir, "ca.pem")
	if err := os.WriteFile(e.caFile, []byte(e.hello.CA), 0o600); err != nil {
		return nil, errors.Join(err, e.stop())
	}
	return e, nil
}

// ask sends the endpoint an order and waits for its answer.
func (e *endpointProcess) ask(o order) (answer, error) {
	var a answer
	if err := e.out.Encode(o); err != nil {
		return a, fmt.Errorf("endpoint: %w", err)
	}
	if err := e.in.Decode(&a); err != nil {
		return a, fmt.Errorf("endpoint: %w", err)
	}
	if a.Error != "" {
		return a, fmt.Errorf("endpoint: %s: %s", o.Do, a.Error)
	}
	return a, nil
}

func (e *endpointProcess) reset(latency time.Duration) error {
	_, err := e.ask(order{Do: "reset", Latency: int64(latency)})
	return err
}

func (e *endpointProcess) stop() error {
	if err := e.stdin.Close(); err != nil {
		return err
	}
	return e.cmd.Wait()
}

// env returns the environment variables that tell every program the endpoint and its credentials.
func (b *bench) env(tls bool) []string {
	env := []string{
		"AWS_ACCESS_KEY_ID=AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY=secret", "AWS_REGION=eu-west-1",
		"AWS_EC2_METADATA_DISABLED=true", "HOME=" + b.dir,
	}
	if tls {
		return append(env, "AWS_ENDPOINT_URL="+b.endpoint.hello.HTTPS, "AWS_CA_BUNDLE="+b.endpoint.caFile)
	}
	return append(env, "AWS_ENDPOINT_URL="+b.endpoint.hello.HTTP)
}
