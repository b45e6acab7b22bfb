package config

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// group is the option that every valid command line needs.
const group = "--log-group=/perstack/prod"

func parse[C Command](t *testing.T, environ []string, args ...string) C {
	t.Helper()
	command, err := Parse(args, environ)
	if err != nil {
		t.Fatalf("%q: %v", args, err)
	}
	got, ok := command.(C)
	if !ok {
		t.Fatalf("%q is %T", args, command)
	}
	return got
}

func TestDefaults(t *testing.T) {
	want := &Ship{
		Target:   Target{LogGroup: "/perstack/prod"},
		Events:   Events{LogStream: "{jobId}"},
		Delivery: Delivery{FlushInterval: time.Second, Compress: "auto", DrainTimeout: 25 * time.Second, MemoryMax: 32 << 20},
		Creation: Creation{Create: true},
		Journal:  Journal{JournalMax: 4 << 30},
		Log:      Log{LogLevel: "info", LogFormat: "auto"},
	}
	for _, args := range [][]string{{group}, {"ship", group}, {"--log-group", "/perstack/prod"}} {
		if got := parse[*Ship](t, nil, args...); !reflect.DeepEqual(got, want) {
			t.Errorf("%q:\n got %+v\nwant %+v", args, got, want)
		}
	}
	if got := parse[*Local](t, nil, "local"); got.Listen != "127.0.0.1:4586" {
		t.Errorf("local listens on %s by default", got.Listen)
	}
}

// TestEveryOption sets each option of ship to a value other than its default, once by flag and once
// by variable.
func TestEveryOption(t *testing.T) {
	set := map[string][]string{
		"input": {"/events", "/more"}, "input-wait": {"true"}, "until-idle": {"1m"},
		"log-group": {"g"}, "region": {"eu-west-1"}, "endpoint-url": {"https://localhost:1"}, "profile": {"p"}, "role-arn": {"arn:aws:iam::111122223333:role/a/b"}, "external-id": {"x:1"},
		"log-stream": {"{jobId}/{runId}"}, "job-id": {"job: 日本"}, "run-id": {"r"}, "exclude-type": {"stream*", "a"}, "redact": {`sk-\w{8,}`}, "field": {"env=prod", "k.x=a,b=c"},
		"flush-interval": {"10ms"}, "compress": {"gzip"}, "drain-timeout": {"1h"}, "give-up-after": {"720h"}, "memory-max": {"8MiB"},
		"create": {"true"}, "retention-days": {"14"}, "kms-key-id": {"arn:aws:kms:eu-west-1:1:key/2"}, "tag": {"team=a b", "x="},
		"journal-dir": {"/j"}, "journal-max": {"1.5GB"}, "journal-sync": {"1s"},
		"metrics-addr": {":9464"}, "log-level": {"debug"}, "log-format": {"json"},
	}
	want := &Ship{
		Inputs: List{"/events", "/more"}, InputWait: true, UntilIdle: time.Minute,
		Target:   Target{"g", AWS{"eu-west-1", "https://localhost:1", Caller{"p", "arn:aws:iam::111122223333:role/a/b", "x:1"}}},
		Events:   Events{"{jobId}/{runId}", "job: 日本", "r", List{"stream*", "a"}, List{`sk-\w{8,}`}, Pairs{{"env", "prod"}, {"k.x", "a,b=c"}}},
		Delivery: Delivery{10 * time.Millisecond, "gzip", time.Hour, new(30 * 24 * time.Hour), 8 << 20},
		Creation: Creation{true, 14, "arn:aws:kms:eu-west-1:1:key/2", Pairs{{"team", "a b"}, {"x", ""}}},
		Journal:  Journal{JournalFolder{"/j"}, 1.5e9, time.Second},
		Metrics:  Metrics{":9464"},
		Log:      Log{"debug", "json"},
	}
	var args, environ []string
	for name, values := range set {
		escaped := make([]string, len(values))
		for i, value := range values {
			args = append(args, "--"+name+"="+value)
			escaped[i] = strings.ReplaceAll(value, ",", `\,`)
		}
		environ = append(environ, envName(name)+"="+strings.Join(escaped, ","))
	}
	if got := parse[*Ship](t, nil, args...); !reflect.DeepEqual(got, want) {
		t.Errorf("by flags:\n got %+v\nwant %+v", got, want)
	}
	if got := parse[*Ship](t, environ); !reflect.DeepEqual(got, want) {
		t.Errorf("by variables:\n got %+v\nwant %+v", got, want)
	}
	if got := parse[*Ship](t, []string{envName("log-group") + "=g", envName("tee") + "=1"}); !got.Tee {
		t.Error("PERSTACK_SHIPPER_TEE=1 does not set Tee")
	}
}

func TestFlagWinsOverVariable(t *testing.T) {
	environ := []string{
		"PERSTACK_SHIPPER_LOG_GROUP=from-env", "PERSTACK_SHIPPER_FIELD=a=1", "PERSTACK_SHIPPER_REGION=",
		"PERSTACK_SHIPPER_MEMORY_MAX=junk", "PERSTACK_SHIPPER_LISTEN=junk", "PERSTACK_SHIPPER_PORT=tcp://10.0.0.1:80",
	}
	got := parse[*Ship](t, environ, "--field=b=2", "--memory-max=64MiB")
	if got.LogGroup != "from-env" || got.Region != "" || got.MemoryMax != 64<<20 {
		t.Errorf("%+v", got)
	}
	if want := (Pairs{{"b", "2"}}); !reflect.DeepEqual(got.Fields, want) {
		t.Errorf("fields %v, want %v", got.Fields, want)
	}
}

func TestCreate(t *testing.T) {
	if got := parse[*Ship](t, nil, group, "--no-create"); got.Create {
		t.Error("--no-create leaves Create set")
	}
	environ := []string{"PERSTACK_SHIPPER_CREATE=false"}
	if got := parse[*Ship](t, environ, group); got.Create {
		t.Error("PERSTACK_SHIPPER_CREATE=false leaves Create set")
	}
	if got := parse[*Ship](t, environ, group, "--create"); !got.Create {
		t.Error("--create does not override its variable")
	}
}

func TestExec(t *testing.T) {
	for _, tt := range []struct {
		args, want []string
	}{
		{[]string{"--", "perstack", "run", "--model", "x,y"}, []string{"perstack", "run", "--model", "x,y"}},
		{[]string{"--", "sh", "-c", "exit 3", "--", "--log-group"}, []string{"sh", "-c", "exit 3", "--", "--log-group"}},
		{[]string{"perstack", "run", "--help"}, []string{"perstack", "run", "--help"}},
		{[]string{"--", "-odd"}, []string{"-odd"}},
	} {
		got := parse[*Exec](t, nil, append([]string{"exec", group}, tt.args...)...)
		if !reflect.DeepEqual(got.Command, tt.want) {
			t.Errorf("exec %q: command %q, want %q", tt.args, got.Command, tt.want)
		}
	}
	tee := func(args ...string) string {
		got := parse[*Exec](t, nil, append(append([]string{"exec", group}, args...), "--", "true")...)
		if !reflect.DeepEqual(got.Command, []string{"true"}) {
			t.Errorf("exec %q: command %q, want true", args, got.Command)
		}
		return string(got.Tee)
	}
	for _, tt := range []struct {
		args string
		want Tee
	}{
		{"", ""}, {"--tee", TeeAll}, {"--tee=none", TeeNone}, {"--tee none", TeeNone}, {"--tee stderr", TeeStderr}, {"--tee all", TeeAll}, {"--tee --stdout pipe", TeeAll},
		{"--stdout pipe --tee none --create", TeeNone}, {"--tee=true", TeeAll}, {"--tee=false", TeeNone},
	} {
		if got := tee(strings.Fields(tt.args)...); got != string(tt.want) {
			t.Errorf("%s: %q, want %q", tt.args, got, tt.want)
		}
	}
	if got := parse[*Exec](t, []string{"PERSTACK_SHIPPER_TEE=stderr", "PERSTACK_SHIPPER_STDOUT=pipe"}, "exec", group, "none"); got.Tee != TeeStderr || got.Stdout != StdoutPipe || got.Command[0] != "none" {
		t.Errorf("from the environment: %+v", got)
	}
	if got := parse[*Exec](t, nil, "exec", group, "--tee", "--", "none"); got.Tee != TeeAll || got.Command[0] != "none" {
		t.Errorf("--tee before a command called none: %+v", got)
	}
	got := parse[*Exec](t, nil, "exec", group, "--fail-on", "error,max-steps", "--", "true")
	if want := (Words{"error", "max-steps"}); !reflect.DeepEqual(got.FailOn, want) {
		t.Errorf("--fail-on %v, want %v", got.FailOn, want)
	}
}

func TestUsageErrors(t *testing.T) {
	long := strings.Repeat("x", 513)
	for _, tt := range []struct {
		args    string
		environ string
		want    string
	}{
		{"", "", `--log-group is required: name the log group, as in --log-group /perstack/prod`},
		{"exec -- true", "", `--log-group is required: name the log group, as in --log-group /perstack/prod`},
		{"logs --job=j", "", `--log-group is required: name the log group, as in --log-group /perstack/prod`},
		{"logs " + group, "", `--job is required: give the jobId of the job to print`},
		{"logs --stream= " + group, "", `--stream is empty: name a log stream`},
		{"logs --stream=s --search " + group, "", `--search cannot be combined with --stream: leave one of them out`},
		{"logs --job=j --wait=2h " + group, "", `--wait 2h0m0s is out of range: use 0s to 1h`},
		{"--log-group=a:b", "", `--log-group "a:b" is not a valid log group name: use 1 to 512 of A-Z a-z 0-9 . - _ / #`},
		{"--log-group=" + long, "", `--log-group "` + long + `" is not a valid log group name: use 1 to 512 of A-Z a-z 0-9 . - _ / #`},
		{"--log-group=aws/x", "", `--log-group "aws/x" begins with aws/, which AWS reserves: use another name`},
		{"", "PERSTACK_SHIPPER_LOG_GROUP=a*", `PERSTACK_SHIPPER_LOG_GROUP (--log-group) "a*" is not a valid log group name: use 1 to 512 of A-Z a-z 0-9 . - _ / #`},
		{group + " --log-stream={job}", "", `--log-stream has an unknown field {job}: use {jobId}, {runId}, {expertKey}, {hostname}`},
		{group + " --log-stream=a{jobId", "", `--log-stream "a{jobId" has an unmatched brace: write fields like {jobId}`},
		{group + " --log-stream=jobId}", "", `--log-stream "jobId}" has an unmatched brace: write fields like {jobId}`},
		{group + " --log-stream=", "", `--log-stream is empty: use {jobId}, or a name`},
		{group + " --log-stream=" + long, "", `--log-stream must be UTF-8 text of at most 512 bytes`},
		{"logs --job=j --log-stream={x} " + group, "", `--log-stream has an unknown field {x}: use {jobId}, {runId}, {expertKey}, {hostname}`},
		{group + " --job-id=\xff", "", `--job-id must be UTF-8 text of at most 1024 bytes`},
		{group + " --flush-interval=fast", "", `--flush-interval "fast" is not a valid duration: write it like 500ms, 2s or 10m`},
		{group + " --flush-interval=-1s", "", `--flush-interval "-1s" is not a valid duration: write it like 500ms, 2s or 10m`},
		{group, "PERSTACK_SHIPPER_FLUSH_INTERVAL=5", `PERSTACK_SHIPPER_FLUSH_INTERVAL (--flush-interval) "5" is not a valid duration: write it like 500ms, 2s or 10m`},
		{group + " --flush-interval=9ms", "", `--flush-interval 9ms is out of range: use 10ms to 1h`},
		{group + " --drain-timeout=0", "", `--drain-timeout 0s is out of range: use 1s to 1h`},
		{group + " --give-up-after=0", "", `--give-up-after 0s is out of range: use 1s to 720h`},
		{group + " --give-up-after=721h", "", `--give-up-after 721h0m0s is out of range: use 1s to 720h`},
		{group + " --memory-max=lots", "", `--memory-max "lots" is not a valid size: write it like 32MiB, 500MB or 65536`},
		{group + " --memory-max=8191KiB", "", `--memory-max 8191KiB is too small: use at least 8MiB`},
		{group + " --journal-max=1000", "", `--journal-max 1000B is too small: use at least 16MiB`},
		{group + " --metrics-addr=9464", "", `--metrics-addr "9464" is not a valid address and port: write it like 127.0.0.1:9464`},
		{group + " --journal-sync=2h", "", `--journal-sync 2h0m0s is out of range: use 1ms to 1h`},
		{group + " --retention-days=8", "", `--retention-days 8 is not a retention that CloudWatch supports: use one of 1 3 5 7 14 30 60 90 120 150 180 365 400 545 731 1096 1827 2192 2557 2922 3288 3653`},
		{group + " --retention-days=week", "", `--retention-days "week" is not a whole number: write it like 30`},
		{group + " --kms-key-id=alias/x", "", `--kms-key-id "alias/x" is not a valid key ARN: write it like arn:aws:kms:REGION:ACCOUNT:key/ID`},
		{group + " --tag=aws:x=1", "", `--tag "aws:x" begins with aws:, which AWS reserves: use another key`},
		{group + " --tag=x=a*", "", `--tag "x=a*" has a character that AWS does not allow: use letters, digits, spaces and _ . : / = + - @`},
		{group + " --no-create --retention-days=7", "", `--retention-days applies only to a group created here, and --no-create forbids that: leave one of them out`},
		{group + " --no-create --tag=a=b", "", `--tag applies only to a group created here, and --no-create forbids that: leave one of them out`},
		{group + " --field=env", "", `--field "env" is not a KEY=VALUE pair: write it like --field env=prod`},
		{group + " --field=a=1 --field=a=2", "", `--field gives "a" twice: leave one of them out`},
		{group + " --field=1a=x", "", `--field "1a" is not a valid key: use letters, digits, _ . and -, and begin with a letter or _`},
		{group + " --field=a\"b=x", "", `--field "a\"b" is not a valid key: use letters, digits, _ . and -, and begin with a letter or _`},
		{group + " --field=seq=1", "", `--field "seq" is reserved for the shipper: use another key`},
		{group, "PERSTACK_SHIPPER_FIELD=a=1,record=2", `PERSTACK_SHIPPER_FIELD (--field) "record" is reserved for the shipper: use another key`},
		{group + " --field=a=\xff", "", `--field a has a value that is not UTF-8: use UTF-8 text`},
		{group + " --field=a=" + strings.Repeat("x", 8186), "", `--field adds 8193 bytes to every event: use fewer or shorter fields, at most 8192 bytes in all`},
		{group + " --endpoint-url=localhost:4586", "", `--endpoint-url "localhost:4586" is not a valid http or https URL: write it like http://127.0.0.1:4586`},
		{group + " --endpoint-url=http://", "", `--endpoint-url "http://" is not a valid http or https URL: write it like http://127.0.0.1:4586`},
		{group + " --log-level=loud", "", `--log-level "loud" is not valid: use debug, info, warn or error`},
		{group + " --log-format=xml", "", `--log-format "xml" is not valid: use auto, console or json`},
		{group + " --input-wait", "", `--input-wait has no effect without --input: leave it out or name an input`},
		{group + " --until-idle=1m", "", `--until-idle has no effect without --input: stdin ends by itself`},
		{group + " --tee --input=/x", "", `--tee copies stdin, which --input replaces: leave one of them out`},
		{group + " --input=", "", `--input is empty: name a file, FIFO or folder`},
		{group + " --log-grup=x", "", `unknown flag --log-grup: did you mean --log-group? See perstack-shipper ship --help`},
		{"exec --fail-onn=error -- x", "", `unknown flag --fail-onn: did you mean --fail-on? See perstack-shipper exec --help`},
		{group + " --create=maybe", "", `--create "maybe" is neither true nor false: use --create or --create=false`},
		{group + " --region", "", `--region has no value: write it like --region=VALUE`},
		{"--log-group --region x", "", `--log-group has no value: write it like --log-group=VALUE`},
		{group + " --field", "", `--field has no value: write it like --field=VALUE`},
		{"shp " + group, "", `unknown command "shp": did you mean "ship"? The commands are ship, exec, resume, status, healthcheck, logs, verify, jobs, usage, report, restore, check, local, version; to ship a file: perstack-shipper --input shp; to run a program: perstack-shipper exec [flags] -- shp`},
		{group + " -- perstack run", "", `unexpected argument "perstack": to ship a file: --input perstack; to run a program: perstack-shipper exec [flags] -- perstack`},
		{group + " events.jsonl", "", `unexpected argument "events.jsonl": to ship a file: --input events.jsonl; to run a program: perstack-shipper exec [flags] -- events.jsonl`},
		{"logs " + group + " uo5p1q", "", `unexpected argument "uo5p1q": to read a job back, give its ID as --job uo5p1q`},
		{"resume extra", "", `unexpected argument "extra": resume takes options only; see perstack-shipper resume --help`},
		{"--log-group g exec -- true", "", `the command "exec" must come before its options, as in perstack-shipper exec --log-group …`},
		{"--no-create exec --fail-on error -- true", "", `the command "exec" must come before its options, as in perstack-shipper exec --no-create …`},
		{"-log-group g", "", `unknown flag -log-group: did you mean --log-group? See perstack-shipper ship --help`},
		{"-log-group=g", "", `unknown flag -log-group=g: did you mean --log-group? See perstack-shipper ship --help`},
		{"--log-group g --external-id x1", "", "--external-id has no effect without --role-arn: leave it out or name the role"},
		{"--log-group g --role-arn logging", "", `--role-arn "logging" is not a valid ARN of a role: write it like arn:aws:iam::111122223333:role/logging`},
		{"--log-group g --role-arn arn:aws:iam::111122223333:role/r --external-id x", "", `--external-id "x" is not a valid external ID: use 2 to 1224 of A-Z a-z 0-9 _ + = , . @ : / -`},
		{"--log-group arn:aws:logs:eu-west-1:123456789012:log-group:/perstack/prod:*", "", `--log-group "arn:aws:logs:eu-west-1:123456789012:log-group:/perstack/prod:*" is an ARN: give the name in it, /perstack/prod, and the Region with --region eu-west-1`},
		{group + " --memory-max=32m", "", `--memory-max "32m" is not a valid size: did you mean 32MiB?`},
		{group + " --memory-max=1.5Gi", "", `--memory-max "1.5Gi" is not a valid size: did you mean 1.5GiB?`},
		{"resume --log-group=a:b", "", `--log-group "a:b" is not a valid log group name: use 1 to 512 of A-Z a-z 0-9 . - _ / #`},
		{"resume --endpoint-url=x", "", `--endpoint-url "x" is not a valid http or https URL: write it like http://127.0.0.1:4586`},
		{"exec " + group, "", `exec has no command: put it after --, as in perstack-shipper exec --log-group /perstack/prod -- perstack run …`},
		{"exec " + group + " --", "", `exec has no command: put it after --, as in perstack-shipper exec --log-group /perstack/prod -- perstack run …`},
		{"exec " + group + " --redact=( -- x", "", "--redact \"(\" is not a valid pattern: error parsing regexp: missing closing ): `(`"},
		{"exec " + group + " --exclude-type=[a -- x", "", `--exclude-type "[a" is not a valid pattern: syntax error in pattern`},
		{"exec " + group + " --exclude-type= -- x", "", `--exclude-type is empty: leave it out or give a pattern`},
		{"exec " + group + " --fail-on=crash -- x", "", `--fail-on "crash" is not valid: use error, max-steps, delegate-error, unfinished, separated by commas`},
		{"exec " + group + " --fail-on=error,error -- x", "", `--fail-on names error twice: leave one of them out`},
		{"exec " + group + " --tee=stdout -- x", "", `--tee "stdout" is not valid: use none, stderr or all`},
		{"exec " + group + " -- x", "PERSTACK_SHIPPER_TEE=some", `PERSTACK_SHIPPER_TEE (--tee) "some" is not valid: use none, stderr or all`},
		{"exec " + group + " --stdout=fifo -- x", "", `--stdout "fifo" is not valid: use file or pipe`},
		{"exec " + group + " --left-code=256 -- x", "", `--left-code 256 is not an exit code: use 1 to 255, such as 75`},
		{"exec " + group + " --left-code=x -- x", "", `--left-code "x" is not a whole number: write it like 30`},
		{"local --listen=4586", "", `--listen "4586" is not a valid address and port: write it like 127.0.0.1:4586`},
		{"local --listen=:70000", "", `--listen "70000" is not a valid port: use a number up to 65535, or 0 for a free one`},
		{"resume --memory-max=1MiB", "", `--memory-max 1MiB is too small: use at least 8MiB`},
	} {
		var args, environ []string
		if tt.args != "" {
			args = strings.Split(tt.args, " ")
		}
		if tt.environ != "" {
			environ = []string{tt.environ}
		}
		command, err := Parse(args, environ)
		var usage *UsageError
		if !errors.As(err, &usage) {
			t.Errorf("%q %q: got %T, %v; want a usage error", tt.args, tt.environ, command, err)
			continue
		}
		if got := usage.Error(); got != tt.want {
			t.Errorf("%q %q:\n got %s\nwant %s", tt.args, tt.environ, got, tt.want)
		}
	}
}

// TestBounds accepts values exactly at their limits. TestUsageErrors refuses values just beyond.
func TestBounds(t *testing.T) {
	for _, arg := range []string{
		"--log-group=" + strings.Repeat("g", 512), "--log-group=/aws/lambda/x", "--log-stream=" + strings.Repeat("s", 512), "--log-stream=fixed",
		"--log-stream={jobId}-{runId}-{expertKey}-{hostname}", "--field=a=" + strings.Repeat("x", 8185), "--field=a=", "--field=_a.b-c=\u2028",
		"--job-id=" + strings.Repeat("j", 1024), "--flush-interval=10ms", "--flush-interval=1h", "--drain-timeout=1s", "--memory-max=8MiB",
		"--journal-max=16MiB", "--journal-sync=0", "--endpoint-url=http://[::1]:4586/base",
	} {
		parse[*Ship](t, nil, group, arg)
	}
}

// TestBytesOfPaths checks that paths keep bytes that are not UTF-8.
func TestBytesOfPaths(t *testing.T) {
	got := parse[*Ship](t, nil, group, "--journal-dir=/j\xff", "--input=/i\xfe")
	if got.JournalDir != "/j\xff" || got.Inputs[0] != "/i\xfe" {
		t.Errorf("%q %q", got.JournalDir, got.Inputs)
	}
	if got := parse[*Exec](t, nil, "exec", group, "--", "x\xff"); got.Command[0] != "x\xff" {
		t.Errorf("%q", got.Command)
	}
}

func TestUsageErrorIsOneLine(t *testing.T) {
	_, err := Parse([]string{group, "--no\nsuch\r\nflag"}, nil)
	if err == nil || strings.ContainsAny(err.Error(), "\r\n") {
		t.Errorf("%q", err)
	}
}

func TestHelpFitsAScreen(t *testing.T) {
	for _, args := range [][]string{
		{"--help"}, {"help"}, {"-h"}, {"ship", "--help"}, {"exec", "--help"}, {"help", "resume"}, {"logs", "--help"},
		{"local", "--help"}, {"version", "--help"}, {"exec", "--help", "--", "x"},
	} {
		text := parse[*Help](t, []string{"PERSTACK_SHIPPER_HELP=1"}, args...).Text
		lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
		if len(lines) > 50 {
			t.Errorf("%q: %d lines, want at most 50", args, len(lines))
		}
		for _, line := range lines {
			if n := utf8.RuneCountInString(line); n > 80 {
				t.Errorf("%q: %d columns, want at most 80: %s", args, n, line)
			}
		}
		if !strings.HasPrefix(text, "Usage: ") {
			t.Errorf("help of %q begins with %q, want Usage:", args, lines[0])
		}
	}
	// --help after the child's name belongs to the child.
	if got := parse[*Exec](t, nil, "exec", group, "--", "x", "--help"); len(got.Command) != 2 {
		t.Errorf("exec -- x --help: command %q", got.Command)
	}
}

// TestHelpNamesEveryOption looks for each flag in the help of its command, and for each command in
// the help of the program.
func TestHelpNamesEveryOption(t *testing.T) {
	overview := parse[*Help](t, nil, "--help").Text
	commands := reflect.TypeFor[commandLine]()
	for i := range commands.NumField() {
		name := strings.ToLower(commands.Field(i).Name)
		if !strings.Contains(overview, "\n  "+name+" ") {
			t.Errorf("the help of the program does not list %s", name)
		}
		text := parse[*Help](t, nil, name, "--help").Text
		for _, field := range reflect.VisibleFields(commands.Field(i).Type) {
			flag := field.Tag.Get("name")
			if flag != "" && !strings.Contains(text, "--"+flag) && !strings.Contains(text, "--[no-]"+flag) {
				t.Errorf("%s --help does not list --%s", name, flag)
			}
			if flag != "" && field.Tag.Get("help") == "" {
				t.Errorf("--%s has no help", flag)
			}
		}
	}
}

func TestLogs(t *testing.T) {
	want := &Logs{
		Job: "j:1", Run: "r", Types: Words{"callTools", "retry"}, Stderr: true, LogStream: "{jobId}/{runId}", Search: true, Wait: time.Second,
		Target: Target{LogGroup: "g"}, Log: Log{"info", "auto"},
	}
	got := parse[*Logs](t, []string{"PERSTACK_SHIPPER_LOG_GROUP=g", "PERSTACK_SHIPPER_LOG_STREAM={jobId}/{runId}"},
		"logs", "--job=j:1", "--run=r", "--type=callTools, retry", "--stderr", "--search", "--wait=1s")
	if !reflect.DeepEqual(got, want) {
		t.Errorf("\n got %+v\nwant %+v", got, want)
	}
	if got := parse[*Logs](t, nil, "logs", group, "--stream=a", "--stream=b,c"); !reflect.DeepEqual(got.Streams, List{"a", "b,c"}) {
		t.Errorf("streams %q", got.Streams)
	}
}

func TestResume(t *testing.T) {
	got := parse[*Resume](t, nil, "resume", "--journal-dir=/j", "--profile=p", "--give-up-after=1m")
	if got.JournalDir != "/j" || got.Profile != "p" || *got.GiveUpAfter != time.Minute || got.MemoryMax != 32<<20 {
		t.Errorf("%+v", got)
	}
}

// TestRedirect checks that only flags move a backlog to another target, and never variables meant
// for other commands.
func TestRedirect(t *testing.T) {
	environ := []string{"PERSTACK_SHIPPER_LOG_GROUP=g", "PERSTACK_SHIPPER_REGION=r", "PERSTACK_SHIPPER_ENDPOINT_URL=http://e"}
	if got := parse[*Resume](t, environ, "resume"); got.Redirect != (Redirect{}) {
		t.Errorf("variables move a backlog: %+v", got.Redirect)
	}
	got := parse[*Resume](t, environ, "resume", "--log-group=/other", "--endpoint-url=")
	if got.LogGroup != "/other" || got.Region != "" || got.EndpointURL == nil || *got.EndpointURL != "" {
		t.Errorf("%+v", got.Redirect)
	}
}

func TestUnknownVariables(t *testing.T) {
	got := Unknown([]string{
		"PERSTACK_SHIPPER_FLUSH_INTERVALL=5s", "PERSTACK_SHIPPER_ANYTHING=red", "PERSTACK_SHIPPER_LISTEN=:1", "PERSTACK_SHIPPER_LOG_GROUP=g",
		"PERSTACK_SHIPPER_EMPTY=", "PERSTACK_API_KEY=x", "HOME=/",
		// Kubernetes sets these for a service called perstack-shipper.
		"PERSTACK_SHIPPER_SERVICE_HOST=10.0.0.1", "PERSTACK_SHIPPER_SERVICE_PORT=80", "PERSTACK_SHIPPER_SERVICE_PORT_HTTP=80", "PERSTACK_SHIPPER_PORT=tcp://10.0.0.1:80",
		"PERSTACK_SHIPPER_PORT_80_TCP=tcp://10.0.0.1:80", "PERSTACK_SHIPPER_PORT_80_TCP_ADDR=10.0.0.1",
	})
	want := []string{
		"the environment variable PERSTACK_SHIPPER_ANYTHING is not an option and is ignored; unset it, or see perstack-shipper COMMAND --help for the options",
		"the environment variable PERSTACK_SHIPPER_FLUSH_INTERVALL is not an option and is ignored; did you mean PERSTACK_SHIPPER_FLUSH_INTERVAL?",
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("\n got %q\nwant %q", got, want)
	}
}

// TestPatience checks that a --give-up-after from the user also applies when delivery looks
// hopeless, whether it comes from a flag or from a variable.
func TestPatience(t *testing.T) {
	for _, tt := range []struct {
		env, args        []string
		giveUp, hopeless time.Duration
	}{
		{nil, nil, 10 * time.Minute, 30 * time.Second},
		{nil, []string{"--give-up-after=10m"}, 10 * time.Minute, 10 * time.Minute},
		{nil, []string{"--give-up-after=5s"}, 5 * time.Second, 5 * time.Second},
		{[]string{"PERSTACK_SHIPPER_GIVE_UP_AFTER=1h"}, nil, time.Hour, time.Hour},
	} {
		giveUp, hopeless := parse[*Ship](t, tt.env, append(tt.args, group)...).Patience()
		if giveUp != tt.giveUp || hopeless != tt.hopeless {
			t.Errorf("%v %v: %s and %s, want %s and %s", tt.env, tt.args, giveUp, hopeless, tt.giveUp, tt.hopeless)
		}
	}
}

func TestVersion(t *testing.T) {
	parse[*Version](t, nil, "version")
	parse[*Version](t, nil, "--version")
}

func TestPairsMap(t *testing.T) {
	if got := (Pairs{}).Map(); got != nil {
		t.Errorf("an empty Pairs maps to %v, want nil", got)
	}
	if got := (Pairs{{"a", "1"}, {"b", ""}}).Map(); !reflect.DeepEqual(got, map[string]string{"a": "1", "b": ""}) {
		t.Errorf("%v", got)
	}
}

func TestSizes(t *testing.T) {
	for text, want := range map[string]Size{
		"0": 0, "65536": 65536, "1B": 1, "1KiB": 1024, "32MiB": 32 << 20, "4GiB": 4 << 30, "1.5MiB": 3 << 19,
		"1KB": 1000, "500MB": 5e8, "2GB": 2e9, "1TiB": 1 << 40, "2TB": 2e12, "8 MiB": 8 << 20,
	} {
		if got, ok := parseSize(text); !ok || got != want {
			t.Errorf("parseSize(%q) = %d, %t; want %d", text, got, ok, want)
		}
	}
	for _, text := range []string{"", "MiB", "-1", "1e3", "1PiB", "1mib", "1.2.3", "0x10", "NaN", "Inf", "99999999999GiB", "1 2"} {
		if got, ok := parseSize(text); ok {
			t.Errorf("parseSize(%q) = %d, want an error", text, got)
		}
	}
	for _, text := range []string{"0B", "1023B", "1KiB", "1536KiB", "8MiB", "4GiB"} {
		size, _ := parseSize(text)
		if got := size.String(); got != text {
			t.Errorf("the size %q is formatted as %q", text, got)
		}
	}
}

func TestDefaultJournalDir(t *testing.T) {
	temporary := t.TempDir()
	t.Setenv("TMPDIR", temporary)
	for _, tt := range []struct{ state, home, want string }{
		{"/state", "/home/a", "/state/perstack-shipper"},
		{"", "/home/a", "/home/a/.local/state/perstack-shipper"},
		{"relative", "/home/a", "/home/a/.local/state/perstack-shipper"},
		{"", "", filepath.Join(temporary, "perstack-shipper-"+strconv.Itoa(os.Getuid()))},
		{"", "/", filepath.Join(temporary, "perstack-shipper-"+strconv.Itoa(os.Getuid()))},
	} {
		t.Setenv("XDG_STATE_HOME", tt.state)
		t.Setenv("HOME", tt.home)
		if got := DefaultJournalDir(); got != tt.want {
			t.Errorf("XDG_STATE_HOME=%q HOME=%q: %s, want %s", tt.state, tt.home, got, tt.want)
		}
	}
}
