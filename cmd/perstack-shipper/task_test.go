package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"perstack-shipper/batch"
	"perstack-shipper/shipper/cwlocal"
)

// This file runs the containers of deploy/ecs as far as that goes without ECS: the commands,
// environments, dependencies and health checks are those of the task definitions, and the end of
// the essential container stops the others. Volumes are folders, and npx is a stand-in that writes
// a recorded run.

const fakeNPX = `#!/bin/sh
test "$ANTHROPIC_API_KEY" = secret || exit 9
test "$*" = "perstack run my-expert query" || exit 8
cat "$RECORDING"
echo a warning >&2
exit 3
`

// task is a task that runs.
type task struct {
	t       *testing.T
	env     []string
	folders *strings.Replacer // what the containers' paths are here
	running map[string]*exec.Cmd
}

func TestTasksRun(t *testing.T) {
	recording, err := os.ReadFile("testdata/recordings/tools.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{"wrap.json", "sidecar.json", "spot.json"} {
		t.Run(file, func(t *testing.T) {
			t.Parallel() // it mostly waits
			var definition taskDefinition
			readStrictly(t, "ecs/"+file, &definition)
			server, url := listen(t, cwlocal.Options{})
			run := newTask(t, program, url)
			if code := run.all(definition.ContainerDefinitions); code != 3 {
				t.Errorf("the task ends with %d, want the agent's code, 3", code)
			}
			var lines bytes.Buffer
			for _, event := range server.Events("/perstack/prod", "d9urbpfdpmij1axcii58vgzr") {
				r, err := batch.Restore([]byte(event.Message))
				if err != nil {
					t.Fatal(err)
				}
				if r.Record == "" && string(r.Line) != "a warning" {
					lines.Write(append(r.Line, '\n'))
				}
			}
			if !bytes.Equal(lines.Bytes(), recording) {
				t.Error(difference(lines.Bytes(), recording))
			}
		})
	}
}

func newTask(t *testing.T, program, url string) *task {
	t.Helper()
	root := t.TempDir()
	if err := os.Mkdir(root+"/bin", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(root+"/bin/npx", []byte(fakeNPX), 0o755); err != nil {
		t.Fatal(err)
	}
	deploy, err := filepath.Abs("../../deploy/ecs")
	if err != nil {
		t.Fatal(err)
	}
	recording, err := filepath.Abs("testdata/recordings/tools.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	for _, volume := range []string{"events", "journal", "sidecar"} {
		if err := os.Mkdir(filepath.Join(root, volume), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	return &task{t: t, running: map[string]*exec.Cmd{},
		folders: strings.NewReplacer("/usr/local/bin/wrap.sh", deploy+"/wrap.sh", "/usr/local/bin/perstack-shipper", program,
			"/var/lib/perstack-shipper", root+"/sidecar", "/events", root+"/events", "/journal", root+"/journal"),
		env: []string{
			"PATH=" + root + "/bin:" + filepath.Dir(program) + ":" + os.Getenv("PATH"), "HOME=" + root, "RECORDING=" + recording,
			"AWS_ENDPOINT_URL=" + url, "AWS_REGION=eu-west-1", "AWS_ACCESS_KEY_ID=test", "AWS_SECRET_ACCESS_KEY=test", "AWS_EC2_METADATA_DISABLED=true",
		}}
}

// command is what a container runs.
func (r *task) command(c *containerDefinition, args ...string) *exec.Cmd {
	for i, arg := range args {
		args[i] = r.folders.Replace(arg)
	}
	command := exec.CommandContext(r.t.Context(), args[0], args[1:]...)
	command.Env = slices.Clone(r.env)
	for _, variable := range c.Environment {
		command.Env = append(command.Env, variable.Name+"="+r.folders.Replace(variable.Value))
	}
	for _, secret := range c.Secrets {
		command.Env = append(command.Env, secret.Name+"=secret")
	}
	return command
}

// all runs the containers until the essential one has ended, and returns its exit code.
func (r *task) all(containers []containerDefinition) (code int) {
	r.t.Helper()
	for i := range containers {
		c := &containers[i]
		for _, d := range c.DependsOn {
			if r.running[d.ContainerName] == nil {
				r.t.Fatalf("%s depends on %s, which does not run", c.Name, d.ContainerName)
			}
			r.healthy(containers, d.ContainerName)
		}
		args := slices.Concat(c.EntryPoint, c.Command)
		if len(c.EntryPoint) == 0 {
			args = append([]string{"/usr/local/bin/perstack-shipper"}, args...)
		}
		command := r.command(c, args...)
		var said bytes.Buffer
		command.Stdout, command.Stderr = &said, &said
		if err := command.Start(); err != nil {
			r.t.Fatal(err)
		}
		r.running[c.Name] = command
		r.t.Cleanup(func() {
			if r.t.Failed() {
				r.t.Logf("container %s said:\n%s", c.Name, &said)
			}
		})
		if c.Essential {
			_ = command.Wait() // its code is what counts
			code = command.ProcessState.ExitCode()
			delete(r.running, c.Name)
		}
	}
	for name, command := range r.running {
		if err := command.Process.Signal(syscall.SIGTERM); err != nil {
			r.t.Fatal(err)
		}
		if err := command.Wait(); err != nil {
			r.t.Errorf("container %s, which is stopped: %v", name, err)
		}
	}
	return code
}

// healthy waits until the health check of a container finds it well.
func (r *task) healthy(containers []containerDefinition, name string) {
	r.t.Helper()
	i := slices.IndexFunc(containers, func(c containerDefinition) bool { return c.Name == name })
	check := containers[i].HealthCheck.Command
	said := ""
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		out, err := r.command(&containers[i], slices.Clone(check[1:])...).CombinedOutput()
		if err == nil {
			return
		}
		said = fmt.Sprintf("%v: %s", err, out)
	}
	r.t.Fatalf("container %s does not become healthy: %s", name, said)
}

// Where nothing can be kept, no agent starts under exec, and the sidecar ends instead of becoming
// healthy, so that an agent that depends on "HEALTHY" does not start.
func TestNoAgentWithoutAJournal(t *testing.T) {
	for _, file := range []string{"wrap.json", "sidecar.json", "spot.json"} {
		t.Run(file, func(t *testing.T) {
			var definition taskDefinition
			readStrictly(t, "ecs/"+file, &definition)
			run := newTask(t, program, "http://127.0.0.1:1")
			// A folder cannot be made below a file, not even by root.
			for _, volume := range []string{"/journal", "/var/lib/perstack-shipper"} {
				folder := run.folders.Replace(volume)
				if err := os.Remove(folder); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(folder, nil, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			c := &definition.ContainerDefinitions[0]
			args := slices.Concat(c.EntryPoint, c.Command)
			if len(c.EntryPoint) == 0 {
				args = append([]string{"/usr/local/bin/perstack-shipper"}, args...)
			}
			command := run.command(c, args...)
			if out, _ := command.CombinedOutput(); command.ProcessState.ExitCode() != exitUsage || bytes.Contains(out, []byte("a warning")) {
				t.Errorf("it exits with %d, and says\n%s", command.ProcessState.ExitCode(), out)
			}
			check := run.command(c, slices.Clone(c.HealthCheck.Command[1:])...)
			if out, err := check.CombinedOutput(); err == nil || len(out) == 0 {
				t.Errorf("the health check finds it well: %s", out)
			}
		})
	}
}
