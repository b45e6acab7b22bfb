package main

// This file runs the containers of deploy/ecs as far as possible without ECS. The commands,
// environments, dependencies and health checks are those of the task definitions, and the end of
// the essential container stops the others. Volumes are folders, and npx is a stand-in that writes
// a recorded run.

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"perstack-shipper/batch"
	"perstack-shipper/shipper/cwlocal"
	"perstack-shipper/shipper/testkit"
)

const fakeNPX = `#!/bin/sh
test "$ANTHROPIC_API_KEY" = secret || exit 9
test "$*" = "perstack run my-expert query" || exit 8
cat "$RECORDING"
echo a warning >&2
exit 3
`

// task is a running task.
type task struct {
	*world
	folders *strings.Replacer // maps the containers' paths to paths on this machine
	running map[string]*testkit.Process
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
			w := newObservedWorld(t, cwlocal.Options{})
			run := newTask(w)
			if code := run.all(definition.ContainerDefinitions); code != 3 {
				t.Errorf("the task exits with %d, want the agent's code, 3", code)
			}
			var lines bytes.Buffer
			for _, event := range w.Server.Events("/perstack/prod", "d9urbpfdpmij1axcii58vgzr") {
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

func newTask(w *world) *task {
	t := w.T
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
	w.Env = append(w.Env, "PATH="+root+"/bin:"+os.Getenv("PATH"), "RECORDING="+recording)
	return &task{
		world: w, running: map[string]*testkit.Process{},
		folders: strings.NewReplacer("/usr/local/bin/wrap.sh", deploy+"/wrap.sh", "/usr/local/bin/perstack-shipper", program,
			"/var/lib/perstack-shipper", root+"/sidecar", "/events", root+"/events", "/journal", root+"/journal"),
	}
}

// command returns a command of a container.
func (r *task) command(c *containerDefinition, args ...string) *exec.Cmd {
	for i, arg := range args {
		args[i] = r.folders.Replace(arg)
	}
	command := exec.CommandContext(lifetime(r.T), args[0], args[1:]...)
	command.Env = slices.Clone(r.Env)
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
	r.T.Helper()
	for i := range containers {
		c := &containers[i]
		for _, d := range c.DependsOn {
			if r.running[d.ContainerName] == nil {
				r.T.Fatalf("%s depends on %s, which does not run", c.Name, d.ContainerName)
			}
			r.healthy(containers, d.ContainerName)
		}
		args := slices.Concat(c.EntryPoint, c.Command)
		if len(c.EntryPoint) == 0 {
			args = append([]string{"/usr/local/bin/perstack-shipper"}, args...)
		}
		r.running[c.Name] = r.Start(r.command(c, args...))
		if c.Essential {
			code = r.running[c.Name].End()
			delete(r.running, c.Name)
		}
	}
	for _, container := range r.running {
		container.Stop(exitOK)
	}
	return code
}

// healthy waits until the health check of a container succeeds.
func (r *task) healthy(containers []containerDefinition, name string) {
	r.T.Helper()
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
	r.T.Fatalf("container %s did not become healthy: %s", name, said)
}

// Without a folder for the journal, exec does not start the agent, and the sidecar exits instead of
// becoming healthy, so that an agent that depends on "HEALTHY" does not start.
func TestNoAgentWithoutAJournal(t *testing.T) {
	t.Parallel()
	for _, file := range []string{"wrap.json", "sidecar.json", "spot.json"} {
		t.Run(file, func(t *testing.T) {
			var definition taskDefinition
			readStrictly(t, "ecs/"+file, &definition)
			run := newTask(newWorldAt(t, "http://127.0.0.1:1"))
			// No folder can be created below a file, not even by root.
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
				t.Errorf("it exits with %d and prints\n%s", command.ProcessState.ExitCode(), out)
			}
			check := run.command(c, slices.Clone(c.HealthCheck.Command[1:])...)
			if out, err := check.CombinedOutput(); err == nil || len(out) == 0 {
				t.Errorf("the health check succeeds, or prints nothing: %q", out)
			}
		})
	}
}
