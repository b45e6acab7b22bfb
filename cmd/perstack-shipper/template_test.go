package main

// This file checks that the CloudFormation template counts what it claims to count. cfn-lint checks
// its form but knows nothing about filter patterns, and an emulator that creates such a stack
// silently skips its filters and alarms.

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"perstack-shipper/batch"
	"perstack-shipper/shipper/cwlocal/pattern"
)

const templatePath = "../../deploy/cloudformation/perstack-logs.yaml"

// template is the part of the CloudFormation template that the tests look at.
type template struct {
	Parameters map[string]templateParameter `yaml:"Parameters"`
	Conditions map[string]yaml.Node         `yaml:"Conditions"`
	Resources  map[string]struct {
		Type       string    `yaml:"Type"`
		Condition  string    `yaml:"Condition"`
		Properties yaml.Node `yaml:"Properties"`
	} `yaml:"Resources"`
}

// templateParameter is a parameter with its constraints.
type templateParameter struct {
	Default               string   `yaml:"Default"`
	AllowedPattern        string   `yaml:"AllowedPattern"`
	AllowedValues         []string `yaml:"AllowedValues"`
	MinValue              *float64 `yaml:"MinValue"`
	MaxValue              *float64 `yaml:"MaxValue"`
	ConstraintDescription string   `yaml:"ConstraintDescription"`
}

// takes reports whether CloudFormation would accept a value. A pattern must match all of it.
func (p *templateParameter) takes(value string) bool {
	if p.AllowedValues != nil {
		return slices.Contains(p.AllowedValues, value)
	}
	if p.AllowedPattern != "" {
		return regexp.MustCompile("^(?:" + p.AllowedPattern + ")$").MatchString(value)
	}
	n, err := strconv.ParseFloat(value, 64)
	return err == nil && (p.MinValue == nil || n >= *p.MinValue) && (p.MaxValue == nil || n <= *p.MaxValue)
}

// metricFilter is an AWS::Logs::MetricFilter.
type metricFilter struct {
	FilterName            string `yaml:"FilterName"`
	FilterPattern         string `yaml:"FilterPattern"`
	MetricTransformations []struct {
		MetricName   string   `yaml:"MetricName"`
		MetricValue  string   `yaml:"MetricValue"`
		DefaultValue *float64 `yaml:"DefaultValue"`
		Dimensions   []struct {
			Key   string `yaml:"Key"`
			Value string `yaml:"Value"`
		} `yaml:"Dimensions"`
	} `yaml:"MetricTransformations"`
}

func readTemplate(t *testing.T) template {
	t.Helper()
	data, err := os.ReadFile(templatePath)
	if err != nil {
		t.Fatal(err)
	}
	var tmpl template
	if err := yaml.Unmarshal(data, &tmpl); err != nil {
		t.Fatal(err)
	}
	return tmpl
}

// metricFilters returns the template's metric filters by the names of their metrics.
func (tmpl template) metricFilters(t *testing.T) map[string]metricFilter {
	t.Helper()
	filters := map[string]metricFilter{}
	for name, r := range tmpl.Resources {
		if r.Type != "AWS::Logs::MetricFilter" {
			continue
		}
		var f metricFilter
		if err := r.Properties.Decode(&f); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if len(f.MetricTransformations) != 1 {
			t.Fatalf("%s has %d transformations, and CloudWatch takes exactly one", name, len(f.MetricTransformations))
		}
		metric := f.MetricTransformations[0].MetricName
		if _, twice := filters[metric]; twice {
			t.Fatalf("two filters count %s", metric)
		}
		filters[metric] = f
	}
	return filters
}

// TestTemplateKeepsTheLimits checks rules that CloudWatch enforces and cfn-lint does not.
func TestTemplateKeepsTheLimits(t *testing.T) {
	tmpl := readTemplate(t)
	filters := tmpl.metricFilters(t)
	if len(filters) < 20 || len(filters) > 100 {
		t.Errorf("the template has %d metric filters; a group may have 100", len(filters))
	}
	for metric, f := range filters {
		if _, err := pattern.Parse(f.FilterPattern); err != nil {
			t.Errorf("%s: %v", metric, err)
		}
		m := f.MetricTransformations[0]
		if len(m.Dimensions) > 3 {
			t.Errorf("%s has %d dimensions; 3 are allowed", metric, len(m.Dimensions))
		}
		if len(m.Dimensions) > 0 && m.DefaultValue != nil {
			t.Errorf("%s has dimensions and a default value, which are mutually exclusive", metric)
		}
		if len(m.Dimensions) == 0 && m.DefaultValue == nil {
			t.Errorf("%s has no default value: its graph would have holes where nothing matches", metric)
		}
		for _, d := range m.Dimensions {
			if !strings.HasPrefix(d.Value, "$.") || !strings.Contains(f.FilterPattern, d.Value+" ") {
				t.Errorf("%s: the dimension %s is %q, which must be a selector in the pattern", metric, d.Key, d.Value)
			}
			if d.Key != "Expert" && d.Key != "Type" {
				t.Errorf("%s has the dimension %s: each value is billed as a metric, and CloudWatch disables a filter with 1,000 of them in an hour", metric, d.Key)
			}
		}
		if strings.HasPrefix(m.MetricValue, "$.") && !strings.Contains(f.FilterPattern, m.MetricValue+" ") {
			t.Errorf("%s: the value %s is not in the pattern; what CloudWatch publishes for an event without it is documented nowhere", metric, m.MetricValue)
		}
	}

	for name, r := range tmpl.Resources {
		if r.Condition != "" {
			if _, ok := tmpl.Conditions[r.Condition]; !ok {
				t.Errorf("%s: there is no condition %s", name, r.Condition)
			}
		}
		switch r.Type {
		case "AWS::CloudWatch::Alarm":
			var alarm struct {
				MetricName       string `yaml:"MetricName"`
				TreatMissingData string `yaml:"TreatMissingData"`
			}
			if err := r.Properties.Decode(&alarm); err != nil {
				t.Fatal(err)
			}
			if _, ok := filters[alarm.MetricName]; !ok {
				t.Errorf("%s watches %s, which no filter counts", name, alarm.MetricName)
			}
			// Without ingestion there is no data point, not even the default.
			if want := map[bool]string{true: "breaching", false: "notBreaching"}[name == "SilenceAlarm"]; alarm.TreatMissingData != want {
				t.Errorf("%s treats missing data as %s, want %s", name, alarm.TreatMissingData, want)
			}
		case "AWS::CloudWatch::Dashboard":
			checkDashboard(t, r.Properties, filters)
		case "AWS::Logs::QueryDefinition":
			var query struct {
				QueryString string `yaml:"QueryString"`
			}
			if err := r.Properties.Decode(&query); err != nil {
				t.Fatal(err)
			}
			if len(query.QueryString) == 0 || len(query.QueryString) > 10_000 {
				t.Errorf("%s has %d characters", name, len(query.QueryString))
			}
			commands := []string{"fields", "filter", "stats", "sort", "limit"}
			for _, command := range strings.Split(query.QueryString, "\n| ") {
				if word, _, _ := strings.Cut(command, " "); !slices.Contains(commands, word) {
					t.Errorf("%s: %q does not begin with one of %q", name, command, commands)
				}
			}
		}
	}
}

// TestTemplateParameters shows that the template itself refuses values out of range, before it
// creates anything.
func TestTemplateParameters(t *testing.T) {
	parameters := readTemplate(t).Parameters
	for name, values := range map[string]struct{ good, bad []string }{
		"LogGroupName":        {[]string{"/perstack/prod", "a.b-c_d#1"}, []string{"", "has space", "star*", strings.Repeat("x", 513)}},
		"RetentionInDays":     {[]string{"1", "365", "3653"}, []string{"0", "2", "366", "for ever"}},
		"KmsKeyArn":           {[]string{"", "arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab"}, []string{"alias/mine", "arn:aws:kms:eu-west-1:1:key/a"}},
		"DeletionProtection":  {[]string{"true", "false"}, []string{"yes", ""}},
		"Namespace":           {[]string{"Perstack", "My Team/Perstack"}, []string{"", "a:b", "$x", strings.Repeat("x", 256)}},
		"ExpertMetrics":       {[]string{"true", "false"}, []string{"1"}},
		"TypeMetrics":         {[]string{"true", "false"}, []string{"1"}},
		"AlarmEmail":          {[]string{"", "you@example.com"}, []string{"you", "@", "a b@example.com"}},
		"TokensPerHour":       {[]string{"0", "2000000"}, []string{"-1", "many"}},
		"SilenceHours":        {[]string{"0", "168"}, []string{"-1", "169"}},
		"ShipperLogGroupName": {[]string{"", "/perstack/shipper"}, []string{"has space", "star*"}},
	} {
		p, ok := parameters[name]
		if !ok {
			t.Errorf("there is no parameter %s", name)
			continue
		}
		delete(parameters, name)
		for _, value := range append(values.good, p.Default) {
			if !p.takes(value) {
				t.Errorf("%s refuses %q", name, value)
			}
		}
		for _, value := range values.bad {
			if p.takes(value) {
				t.Errorf("%s takes %q", name, value)
			}
		}
		// CloudFormation prints the allowed values or the range, but of a pattern only the pattern.
		if p.AllowedPattern != "" && !strings.HasPrefix(p.ConstraintDescription, "must be ") {
			t.Errorf("the description of %s does not say what it must be: %q", name, p.ConstraintDescription)
		}
	}
	for name := range parameters {
		t.Errorf("nothing checks the parameter %s", name)
	}
}

// TestTemplatePolicies compares the template's policies with the tested ones of deploy/. The
// template creates the group, so its tasks need not.
func TestTemplatePolicies(t *testing.T) {
	tmpl := readTemplate(t)
	for name, file := range map[string]string{"WritePolicy": "iam-policy.json", "ReadPolicy": "iam-policy-read.json"} {
		want := allowed(t, file)
		for _, creating := range []string{"CreateLogGroup", "PutRetentionPolicy", "TagResource"} {
			delete(want, creating)
		}
		var policy struct {
			PolicyDocument struct {
				Statement []yaml.Node `yaml:"Statement"`
			} `yaml:"PolicyDocument"`
		}
		properties := tmpl.Resources[name].Properties
		if err := properties.Decode(&policy); err != nil {
			t.Fatal(err)
		}
		got := map[string][]string{}
		for _, node := range policy.PolicyDocument.Statement {
			if node.Kind != yaml.MappingNode {
				continue // the !If about the key
			}
			var s struct {
				Action   yaml.Node `yaml:"Action"`
				Resource yaml.Node `yaml:"Resource"`
			}
			if err := node.Decode(&s); err != nil {
				t.Fatal(err)
			}
			for _, action := range texts(s.Action) {
				for _, arn := range texts(s.Resource) {
					arn = strings.NewReplacer("${AWS::Partition}", "aws", "${AWS::Region}", "eu-west-1", "${AWS::AccountId}", "111122223333",
						"${LogGroupName}", "/perstack/prod").Replace(arn)
					got[strings.TrimPrefix(action, "logs:")] = append(got[strings.TrimPrefix(action, "logs:")], arn)
				}
			}
		}
		if !maps.EqualFunc(got, want, slices.Equal) {
			t.Errorf("%s allows %v, want %v", name, got, want)
		}
	}
}

// texts returns the scalars of a node that is a scalar or a list of them.
func texts(node yaml.Node) (all []string) {
	if node.Kind == yaml.ScalarNode {
		return []string{node.Value}
	}
	for _, one := range node.Content {
		all = append(all, one.Value)
	}
	return all
}

// checkDashboard checks that the dashboard's body is JSON and that the metrics in it exist.
func checkDashboard(t *testing.T, properties yaml.Node, filters map[string]metricFilter) {
	t.Helper()
	var dashboard struct {
		DashboardBody string `yaml:"DashboardBody"`
	}
	if err := properties.Decode(&dashboard); err != nil {
		t.Fatal(err)
	}
	var body struct {
		Widgets []struct {
			Type       string
			Properties struct {
				Metrics [][]any
			}
		}
	}
	if err := json.Unmarshal([]byte(dashboard.DashboardBody), &body); err != nil {
		t.Fatalf("the dashboard is not JSON: %v", err)
	}
	shown := 0
	for _, w := range body.Widgets {
		for _, m := range w.Properties.Metrics {
			if name, ok := m[len(m)-1].(string); ok || len(m) > 1 {
				if !ok {
					name = m[1].(string)
				}
				if _, ok := filters[name]; !ok {
					t.Errorf("the dashboard shows %s, which no filter counts", name)
				}
			}
			shown++
		}
	}
	if shown < 10 {
		t.Errorf("the dashboard shows only %d metrics", shown)
	}
}

// metrics evaluates the filters over events as CloudWatch does, and returns the sum of each metric
// by the values of its dimensions.
func metrics(t *testing.T, filters map[string]metricFilter, messages []string) map[string]map[string]float64 {
	t.Helper()
	sums := map[string]map[string]float64{}
	for metric, f := range filters {
		p, err := pattern.Parse(f.FilterPattern)
		if err != nil {
			t.Fatal(err)
		}
		sums[metric] = map[string]float64{}
		m := f.MetricTransformations[0]
		for _, message := range messages {
			if !p.Match([]byte(message)) {
				continue
			}
			found := p.Values([]byte(message))
			value, key := m.MetricValue, ""
			if strings.HasPrefix(value, "$.") {
				value = found[value]
			}
			for _, d := range m.Dimensions {
				key += found[d.Value]
			}
			n, err := strconv.ParseFloat(value, 64)
			if err != nil {
				t.Fatalf("%s of %.200s: %v", metric, message, err)
			}
			sums[metric][key] += n
		}
	}
	return sums
}

// TestTemplateCountsWhatUsageCounts ships every recording, the large ones in parts, and compares
// the metrics of the template's filters with the receipt in the seal.
func TestTemplateCountsWhatUsageCounts(t *testing.T) {
	filters := readTemplate(t).metricFilters(t)
	w := newWorld(t)
	for name, path := range recordings(t) {
		if strings.HasPrefix(filepath.Base(path), "old-") {
			continue // before runtime 0.0.62 a callTool ended a call, and a filter cannot tell which of its calls count
		}
		t.Run(name, func(t *testing.T) {
			group := "/perstack/" + name
			c := w.command("--log-group", group)
			stdin, err := os.Open(path)
			if err != nil {
				t.Fatal(err)
			}
			defer stdin.Close()
			c.Stdin = stdin
			if out, err := c.CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			var messages []string
			for _, stream := range w.Server.Streams(group) {
				for _, e := range w.Server.Events(group, stream) {
					messages = append(messages, e.Message)
				}
			}
			compareWithSeal(t, metrics(t, filters, messages), messages)
		})
	}
}

// compareWithSeal compares the metrics of one input with its seal and with the types of its lines.
func compareWithSeal(t *testing.T, got map[string]map[string]float64, messages []string) {
	t.Helper()
	var seal struct {
		Jobs          []batch.Job
		Outcomes      batch.Tally
		Tokens        float64
		Lines         float64
		RejectedLines float64
		First         bool
		Ended         bool
	}
	types := map[string]float64{}
	for _, message := range messages {
		r, err := batch.Restore([]byte(message))
		if err != nil {
			t.Fatal(err)
		}
		switch {
		case r.Record == "seal":
			if err := json.Unmarshal([]byte(message), &seal); err != nil {
				t.Fatal(err)
			}
		case r.Record == "" && r.Part <= 1:
			types[r.Type]++
		}
	}
	if !seal.First || !seal.Ended {
		t.Fatal("there is no final seal")
	}
	want := map[string]map[string]float64{
		"EventsByType": types,
		"ExpertCalls":  {}, "ExpertTokens": {}, "ExpertInputTokens": {}, "ExpertOutputTokens": {},
		"ExpertReasoningTokens": {}, "ExpertCachedInputTokens": {},
	}
	var calls, steps float64
	for _, job := range seal.Jobs {
		calls += float64(job.Calls)
		steps += float64(job.Steps)
		for _, e := range job.Experts {
			want["ExpertCalls"][e.Key] += float64(e.Calls)
			want["ExpertTokens"][e.Key] += float64(e.Usage.TotalTokens)
			want["ExpertInputTokens"][e.Key] += float64(e.Usage.InputTokens)
			want["ExpertOutputTokens"][e.Key] += float64(e.Usage.OutputTokens)
			want["ExpertReasoningTokens"][e.Key] += float64(e.Usage.ReasoningTokens)
			want["ExpertCachedInputTokens"][e.Key] += float64(e.Usage.CachedInputTokens)
		}
	}
	for metric, n := range map[string]float64{
		"JobsCompleted":          float64(seal.Outcomes.Completed),
		"JobsFailed":             float64(seal.Outcomes.Error),
		"JobsMaxSteps":           float64(seal.Outcomes.MaxSteps),
		"JobsInteractive":        float64(seal.Outcomes.Interactive),
		"JobsUnfinished":         float64(seal.Outcomes.Unfinished),
		"InputsSealed":           1,
		"Lines":                  seal.Lines,
		"RejectedLines":          seal.RejectedLines,
		"PossiblyRepeatedEvents": 0,
		"FailedRuns":             types["stopRunByError"] + types["errorRun"],
		"Calls":                  calls,
		"Tokens":                 seal.Tokens,
		"Retries":                types["retry"],
		"Steps":                  types["startGeneration"],
		"ShipperErrors":          0,
	} {
		want[metric] = map[string]float64{"": n}
	}
	// A filter counts a step when it begins. The receipt counts it when its call is answered, which
	// may not happen to the last step of a run.
	if begun := types["startGeneration"]; begun < steps || begun > steps+types["startRun"] {
		t.Errorf("%v steps began, and the seal has %v", begun, steps)
	}
	for metric := range got {
		if want[metric] == nil {
			t.Errorf("nothing checks the metric %s", metric)
		}
	}
	for metric, values := range want {
		has := maps.Clone(got[metric])
		maps.DeleteFunc(has, func(_ string, n float64) bool { return n == 0 })
		maps.DeleteFunc(values, func(_ string, n float64) bool { return n == 0 })
		if !maps.Equal(has, values) {
			t.Errorf("%s is %v, want %v", metric, has, values)
		}
	}
}
