package run

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestWithoutSecrets(t *testing.T) {
	for _, c := range []struct{ command, want []string }{
		{[]string{"npx", "perstack", "run", "my-expert", "What is 2+2?"}, nil},
		{[]string{"run", "--max-steps", "10", "--model=claude-sonnet-4-5-20250929", "--job-id", "nightly:build*42/日本"}, nil},
		{[]string{"/usr/local/lib/node_modules/@perstack/cli/dist/index.js", "f81d4fae-7dec-11d0-a765-00a0c91e6bf6"}, nil},
		{[]string{"run", "--api-key", "abc", "query"}, []string{"run", "--api-key", leftOut, "query"}},
		{[]string{"run", "--token", "--verbose"}, nil},
		{[]string{"run", "--anthropic-api-key=abc"}, []string{"run", "--anthropic-api-key=" + leftOut}},
		{[]string{"env", "ANTHROPIC_API_KEY=abc", "DB_PASSWORD=x y", "npx"}, []string{"env", "ANTHROPIC_API_KEY=" + leftOut, "DB_PASSWORD=" + leftOut, "npx"}},
		{[]string{"sh", "-c", "export OPENAI_API_KEY='a b'; curl -H 'Authorization: Bearer abcdefgh'"}, []string{"sh", "-c", "export OPENAI_API_KEY=" + leftOut + "; curl -H 'Authorization: " + leftOut + "'"}},
		{[]string{"sh", "-c", "agent --password hunter2 --verbose"}, []string{"sh", "-c", "agent --password " + leftOut + " --verbose"}},
		{[]string{"run", "use sk-ant-api03-abcdefgh for it"}, []string{"run", "use " + leftOut + " for it"}},
		{[]string{"run", "AKIAIOSFODNN7EXAMPLE", "ghp_abcdefghijklmnop0123"}, []string{"run", leftOut, leftOut}},
		{[]string{"run", "postgres://user:pass@db/x"}, []string{"run", "postgres://user:" + leftOut + "@db/x"}},
		{[]string{"run", "wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY"}, []string{"run", leftOut}},
		{[]string{"run", "x\xff"}, []string{"run", "x\uFFFD"}},
		{[]string{"run", strings.Repeat("日", 2000), "more"}, []string{"run", strings.Repeat("日", (mostCommand-3)/3) + "…"}},
	} {
		want := c.want
		if want == nil {
			want = c.command
		}
		if got := withoutSecrets(c.command); !slices.Equal(got, want) {
			t.Errorf("%q:\n got %q\nwant %q", c.command, got, want)
		}
	}
}

// The open record names the command that Exec ran, even if another run ships what was left of it.
func TestOpenRecordNamesTheCommand(t *testing.T) {
	w := newSerialWorld(t)
	w.away()
	w.exec(`echo '{"jobId":"j"}'; : --api-key abc`, giveUp(50*time.Millisecond)).wait(Left)
	w.back()
	w.exec("true").wait(Delivered)
	found := 0
	for _, e := range w.Server.Events(testGroup, "j") {
		var record struct {
			Shipper struct{ Record string }
			Command []string
		}
		if err := json.Unmarshal([]byte(e.Message), &record); err != nil {
			t.Fatal(err)
		}
		if record.Shipper.Record != "open" {
			continue
		}
		found++
		if want := []string{"sh", "-c", `echo '{"jobId":"j"}'; : --api-key ` + leftOut}; !slices.Equal(record.Command, want) {
			t.Errorf("%q, want %q", record.Command, want)
		}
	}
	if found == 0 {
		t.Error("there is no open record")
	}
}
