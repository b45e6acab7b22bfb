package main

// This file checks deploy/ against what the program does.

import (
	"bytes"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"

	"perstack-shipper/config"
	"perstack-shipper/shipper/cwlocal"
)

// readStrictly reads a JSON file of deploy/ into v. A member that v lacks is an error.
func readStrictly(t *testing.T, path string, v any) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("../../deploy", path))
	if err != nil {
		t.Fatal(err)
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(v); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

// oneOrMore is a string or a list of them.
type oneOrMore []string

func (o *oneOrMore) UnmarshalJSON(data []byte) error {
	var one string
	if json.Unmarshal(data, &one) == nil {
		*o = oneOrMore{one}
		return nil
	}
	return json.Unmarshal(data, (*[]string)(o))
}

// allowed returns the ARNs on which a policy of deploy/ allows each action.
func allowed(t *testing.T, path string) map[string][]string {
	t.Helper()
	var policy struct {
		Version   string
		Statement []struct {
			Sid, Effect      string
			Action, Resource oneOrMore
			Condition        map[string]map[string]string
		}
	}
	readStrictly(t, path, &policy)
	if policy.Version != "2012-10-17" {
		t.Errorf("%s has version %q", path, policy.Version)
	}
	arns := map[string][]string{}
	for _, s := range policy.Statement {
		if s.Effect != "Allow" || s.Sid == "" {
			t.Errorf("%s: statement %q has the effect %q", path, s.Sid, s.Effect)
		}
		if s.Sid == "UseTheKey" {
			// Only by way of CloudWatch Logs:
			// https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/encrypt-log-data-kms.html
			actions := []string{"kms:Encrypt", "kms:ReEncrypt*", "kms:Decrypt", "kms:GenerateDataKey*", "kms:Describe*"}
			if !slices.Equal(s.Action, actions) || s.Condition["StringEquals"]["kms:ViaService"] != "logs.eu-west-1.amazonaws.com" ||
				!strings.HasPrefix(s.Resource[0], "arn:aws:kms:eu-west-1:111122223333:key/") {
				t.Errorf("%s: the statement about the key is %+v", path, s)
			}
			continue
		}
		if len(s.Condition) > 0 {
			t.Errorf("%s: statement %s has conditions", path, s.Sid)
		}
		for _, action := range s.Action {
			name, found := strings.CutPrefix(action, "logs:")
			if !found || strings.Contains(name, "*") {
				t.Errorf("%s allows %s", path, action)
			}
			arns[name] = append(arns[name], s.Resource...)
		}
	}
	return arns
}

// The policies allow the calls that the program makes, and no others.
func TestPolicies(t *testing.T) {
	t.Parallel()
	const group = "arn:aws:logs:eu-west-1:111122223333:log-group:/perstack/prod"
	writes, reads := allowed(t, "iam-policy.json"), allowed(t, "iam-policy-read.json")
	for action, arns := range map[string][]string{
		"PutLogEvents":       {group + ":log-stream:*"},
		"CreateLogStream":    {group + ":*", group + ":log-stream:*"},
		"CreateLogGroup":     {group, group + ":*"},
		"PutRetentionPolicy": {group, group + ":*"},
		"TagResource":        {group}, // needed to create a group with tags; not a call of its own
		"GetLogEvents":       {group + ":log-stream:*"},
		"DescribeLogStreams": {group + ":*", group + ":log-stream:*"},
		"FilterLogEvents":    {group + ":*", group + ":log-stream:*"},
		"DescribeLogGroups":  {"arn:aws:logs:eu-west-1:111122223333:log-group:*"}, // the action is not about one group
	} {
		if got := slices.Concat(writes[action], reads[action]); !slices.Equal(got, arns) {
			t.Errorf("logs:%s is allowed on %q, want %q", action, got, arns)
		}
	}

	w := newObservedWorld(t, cwlocal.Options{})
	calls := func(run func()) []string {
		before := w.Server.Stats().Calls
		run()
		var names []string
		for name, n := range w.Server.Stats().Calls {
			if n > before[name] {
				names = append(names, name)
			}
		}
		slices.Sort(names)
		return names
	}
	shipped := calls(func() {
		w.ship([]byte(`{"jobId":"j","runId":"r"}`+"\n"), "--log-group", "g", "--log-stream", "{jobId}/{runId}", "--retention-days", "7", "--tag", "a=b")
	})
	delete(writes, "TagResource")
	if want := slices.Sorted(maps.Keys(writes)); !slices.Equal(shipped, want) {
		t.Errorf("shipping calls %q, and the policy allows %q", shipped, want)
	}
	read := calls(func() {
		w.logs("--log-group", "g", "--log-stream", "{jobId}/{runId}", "--job", "j")
		w.logs("--log-group", "g", "--search", "--job", "j")
	})
	checked := calls(func() {
		w.mustRun(w.command("check", "--log-group", "new", "--retention-days", "7", "--tag", "a=b", "--read"))
	})
	read = append(read, "DescribeLogGroups") // only check calls it
	if want := slices.Sorted(maps.Keys(reads)); !slices.Equal(slices.Sorted(slices.Values(read)), want) {
		t.Errorf("reading back calls %q, and the policy allows %q", read, want)
	}
	// check tries everything that the policies allow, and asks for its identity, which needs no
	// permission.
	all := slices.Sorted(slices.Values(slices.Concat(shipped, read, []string{"GetCallerIdentity"})))
	if !slices.Equal(checked, all) {
		t.Errorf("check calls %q, and the policies allow %q", checked, all)
	}
}

// The two policies of a logging account name the same role, with the options that deploy/README.md
// gives the program.
func TestPoliciesOfALoggingAccount(t *testing.T) {
	var assume, trust struct {
		Version   string
		Statement []struct {
			Sid, Effect, Action, Resource string
			Principal                     map[string]string
			Condition                     map[string]map[string]string
		}
	}
	readStrictly(t, "iam-policy-assume.json", &assume)
	readStrictly(t, "iam-trust-logging.json", &trust)
	var tasks taskDefinition
	readStrictly(t, "ecs/wrap.json", &tasks)
	may, trusts := assume.Statement[0], trust.Statement[0]
	if may.Action != "sts:AssumeRole" || trusts.Action != may.Action || trusts.Principal["AWS"] != tasks.TaskRoleARN {
		t.Errorf("the role of the task is %s with the policy %+v, and the logging role trusts %+v", tasks.TaskRoleARN, may, trusts)
	}
	data, err := os.ReadFile("../../deploy/README.md")
	if err != nil {
		t.Fatal(err)
	}
	id := trusts.Condition["StringEquals"]["sts:ExternalId"]
	if want := "--role-arn " + may.Resource + " --external-id " + id; !strings.Contains(string(data), want) {
		t.Errorf("deploy/README.md does not have %q", want)
	}
	_, err = config.Parse([]string{"--log-group", "g", "--role-arn", may.Resource, "--external-id", id}, nil)
	if err != nil {
		t.Error(err)
	}
}

// taskDefinition is the part of RegisterTaskDefinition that deploy/ecs uses.
type taskDefinition struct {
	Family                        string
	RequiresCompatibilities       []string
	NetworkMode, CPU, Memory      string
	RuntimePlatform               struct{ OperatingSystemFamily, CPUArchitecture string }
	TaskRoleARN, ExecutionRoleARN string
	Volumes                       []struct {
		Name                   string
		EFSVolumeConfiguration *struct {
			FileSystemID, TransitEncryption string
			AuthorizationConfig             struct{ AccessPointID, IAM string }
		}
	}
	ContainerDefinitions []containerDefinition
}

type mountPoint struct {
	SourceVolume, ContainerPath string
	ReadOnly                    bool
}

type containerDefinition struct {
	Name, Image         string
	Essential           bool
	EntryPoint, Command []string
	Environment         []struct{ Name, Value string }
	Secrets             []struct{ Name, ValueFrom string }
	DependsOn           []struct{ ContainerName, Condition string }
	MountPoints         []mountPoint
	HealthCheck         struct {
		Command                                 []string
		Interval, Timeout, Retries, StartPeriod int
	}
	StopTimeout   int
	RestartPolicy struct {
		Enabled              bool
		IgnoredExitCodes     []int
		RestartAttemptPeriod int
	}
	LogConfiguration struct {
		LogDriver string
		Options   map[string]string
	}
}

func (c *containerDefinition) env(name string) string {
	for _, variable := range c.Environment {
		if variable.Name == name {
			return variable.Value
		}
	}
	return ""
}

func (c *containerDefinition) mounted(path string) bool {
	return slices.ContainsFunc(c.MountPoints, func(m mountPoint) bool { return m.ContainerPath == path })
}

// checkShipping checks a container that ships: it has time to drain, and its journal outlives it.
func (c *containerDefinition) checkShipping(t *testing.T, journal string) {
	t.Helper()
	if c.env("PERSTACK_SHIPPER_LOG_GROUP") == "" || !c.mounted(journal) {
		t.Errorf("container %s has no log group, or no volume at %s", c.Name, journal)
	}
	drain, err := time.ParseDuration(c.env("PERSTACK_SHIPPER_DRAIN_TIMEOUT"))
	if err != nil || c.StopTimeout != 120 || drain >= 120*time.Second {
		t.Errorf("container %s drains for %s (%v) and is killed after %d s; Fargate gives at most 120 s", c.Name, drain, err, c.StopTimeout)
	}
	// ECS does not run a shell for CMD, and the image has none.
	if check := c.HealthCheck; !slices.Equal(check.Command, []string{"CMD", "/usr/local/bin/perstack-shipper", "healthcheck", "--live"}) ||
		check.Interval < 5 || check.Interval > 300 || check.Timeout < 2 || check.Timeout > 60 || check.Retries < 1 || check.Retries > 10 || check.StartPeriod > 300 {
		t.Errorf("container %s has the health check %+v", c.Name, check)
	}
	// A journal that cannot be written is kept in memory, unless an option names it.
	if c.env("PERSTACK_SHIPPER_JOURNAL_DIR") == "" {
		t.Errorf("container %s does not name its journal, so it would run with one in memory", c.Name)
	}
}

// checkRestarts checks a container whose journal lives as long as its task.
func (c *containerDefinition) checkRestarts(t *testing.T) {
	t.Helper()
	restart := c.RestartPolicy
	if !restart.Enabled || restart.RestartAttemptPeriod != 60 || slices.Contains(restart.IgnoredExitCodes, exitLeft) || slices.Contains(restart.IgnoredExitCodes, 137) {
		t.Errorf("container %s is not restarted after a kill, or when it left something in the journal: %+v", c.Name, restart)
	}
}

func TestTaskDefinitions(t *testing.T) {
	var wrap, beside, spot taskDefinition
	readStrictly(t, "ecs/wrap.json", &wrap)
	readStrictly(t, "ecs/sidecar.json", &beside)
	readStrictly(t, "ecs/spot.json", &spot)
	for _, task := range []taskDefinition{wrap, beside, spot} {
		var volumes []string
		for _, volume := range task.Volumes {
			volumes = append(volumes, volume.Name)
		}
		for _, container := range task.ContainerDefinitions {
			if container.LogConfiguration.LogDriver != "awslogs" {
				t.Errorf("%s: the output of container %s goes nowhere", task.Family, container.Name)
			}
			for _, secret := range container.Secrets {
				if !strings.HasPrefix(secret.ValueFrom, "arn:aws:secretsmanager:") || container.env(secret.Name) != "" {
					t.Errorf("%s: container %s has the secret %+v in its environment or in no secret store", task.Family, container.Name, secret)
				}
			}
			for _, mount := range container.MountPoints {
				if !slices.Contains(volumes, mount.SourceVolume) {
					t.Errorf("%s: container %s mounts %q, which is not a volume", task.Family, container.Name, mount.SourceVolume)
				}
			}
		}
	}

	expert := wrap.ContainerDefinitions[0]
	expert.checkShipping(t, "/journal")
	expert.checkRestarts(t)
	if !expert.Essential || expert.EntryPoint[0] != "/usr/local/bin/wrap.sh" || !strings.HasPrefix(expert.env("PERSTACK_SHIPPER_JOURNAL_DIR"), "/journal/") {
		t.Errorf("wrap.json: %+v", expert)
	}
	if codes := expert.RestartPolicy.IgnoredExitCodes; !slices.Contains(codes, exitOK) || !slices.Contains(codes, exitUsage) || !slices.Contains(codes, exitRejected) {
		t.Errorf("wrap.json: a container with nothing left to do is restarted: only %v are ignored", codes)
	}

	if patience, err := time.ParseDuration(expert.env("PERSTACK_SHIPPER_GIVE_UP_AFTER")); err != nil || patience <= time.Minute {
		t.Errorf("wrap.json gives up after %v (%v), but ECS does not restart a container that ran for less than a minute", patience, err)
	}

	shipper, agent := beside.ContainerDefinitions[0], beside.ContainerDefinitions[1]
	shipper.checkShipping(t, "/var/lib/perstack-shipper")
	shipper.checkRestarts(t)
	if shipper.Essential || !agent.Essential || shipper.Command[0] != "--input" || !shipper.mounted(shipper.Command[1]) || !agent.mounted(shipper.Command[1]) {
		t.Errorf("sidecar.json: %+v\n%+v", shipper, agent)
	}
	if len(agent.DependsOn) != 1 || agent.DependsOn[0].ContainerName != shipper.Name || agent.DependsOn[0].Condition != "START" {
		t.Errorf("the agent is not started after the sidecar: %+v", agent.DependsOn)
	}

	// Restarting the container would run the agent again. Another task ships what it left on EFS.
	onSpot := spot.ContainerDefinitions[0]
	onSpot.checkShipping(t, "/journal")
	if efs := spot.Volumes[0].EFSVolumeConfiguration; efs == nil || efs.TransitEncryption != "ENABLED" || efs.AuthorizationConfig.IAM != "ENABLED" || onSpot.RestartPolicy.Enabled {
		t.Errorf("spot.json: %+v", spot)
	}
}

// The patterns of the metric filters match each event once: not the other parts of a large one, and
// not an event that repeats a usage.
func TestMetricFilters(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("../../deploy/queries.md")
	if err != nil {
		t.Fatal(err)
	}
	patterns := map[string]string{}
	for _, found := range regexp.MustCompile(`--filter-name (\S+) \\\n +--filter-pattern '([^']+)'`).FindAllStringSubmatch(string(data), -1) {
		patterns[found[1]] = found[2]
	}
	w := newLocalWorld(t)
	group := "/perstack/filters"
	w.ship(w.recording("mixed.jsonl"), "--log-group", group)
	w.ship(w.recording("error.jsonl"), "--log-group", group)
	large := `{"type":"stopRunByError","timestamp":1795347082176,"jobId":"large","runId":"r","error":{"name":"E","message":"m"},"text":"` + strings.Repeat("x", 3<<20) + `"}` + "\n"
	w.ship([]byte(large), "--log-group", group)

	tokens := int64(0)
	failed := map[string]int{}
	for name, count := range map[string]func(event string){
		"tokens": func(event string) {
			var e struct{ Usage struct{ TotalTokens int64 } }
			if err := json.Unmarshal([]byte(event), &e); err != nil {
				t.Fatal(err)
			}
			tokens += e.Usage.TotalTokens
		},
		"failed-runs": func(event string) {
			var e struct{ JobID string }
			if err := json.Unmarshal([]byte(event), &e); err != nil {
				t.Fatal(err)
			}
			failed[e.JobID]++
		},
	} {
		pattern, ok := patterns[name]
		if !ok {
			t.Fatalf("there is no filter %s in %v", name, patterns)
		}
		pages := cloudwatchlogs.NewFilterLogEventsPaginator(w.API, &cloudwatchlogs.FilterLogEventsInput{LogGroupName: &group, FilterPattern: &pattern})
		for pages.HasMorePages() {
			page, err := pages.NextPage(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range page.Events {
				count(*e.Message)
			}
		}
	}
	if tokens != 14107 {
		t.Errorf("%d tokens, want 14107", tokens)
	}
	if want := map[string]int{"large": 1, "q9o1t5bt2ccir3316uu43jvy": 1}; !maps.Equal(failed, want) {
		t.Errorf("failed runs %v, want %v", failed, want)
	}
}
