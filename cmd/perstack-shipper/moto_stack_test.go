package main

// This file has moto create what deploy/ describes, as far as moto can. From the template it
// creates the log groups, the policies, the topic and the dashboard. It silently leaves out metric
// filters, alarms, saved queries and the subscription, which template_test.go checks. In a list,
// moto keeps an AWS::NoValue entry, which CloudFormation drops, and then refuses the policy. So the
// stack is created with a key.

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// motoAPI calls APIs of AWS that the program itself does not use.
type motoAPI struct {
	t        *testing.T
	endpoint string
}

// call sends a request to a service and returns the answer. moto takes the name of the service from
// the signature, which it does not check.
func (m motoAPI) call(service, contentType, target, body string) []byte {
	m.t.Helper()
	request, err := http.NewRequestWithContext(m.t.Context(), http.MethodPost, m.endpoint, strings.NewReader(body))
	if err != nil {
		m.t.Fatal(err)
	}
	request.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=test/20260101/eu-west-1/"+service+"/aws4_request, SignedHeaders=host, Signature=x")
	request.Header.Set("Content-Type", contentType)
	if target != "" {
		request.Header.Set("X-Amz-Target", target)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		m.t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		m.t.Fatal(err)
	}
	if answer.StatusCode != http.StatusOK {
		m.t.Fatalf("%s: %s\n%s", service, answer.Status, text)
	}
	return text
}

// query calls an action of a service with the Query protocol and decodes the result.
func (m motoAPI) query(service, version, action string, parameters map[string]string, result any) {
	m.t.Helper()
	form := url.Values{"Action": {action}, "Version": {version}}
	for name, value := range parameters {
		form.Set(name, value)
	}
	answer := m.call(service, "application/x-www-form-urlencoded", "", form.Encode())
	if err := xml.Unmarshal(answer, result); err != nil {
		m.t.Fatalf("%s: %v\n%s", action, err, answer)
	}
}

// json calls an action of a service with the JSON protocol and decodes the answer.
func (m motoAPI) json(service, target, body string, result any) {
	m.t.Helper()
	answer := m.call(service, "application/x-amz-json-1.1", target, body)
	if err := json.Unmarshal(answer, result); err != nil {
		m.t.Fatalf("%s: %v\n%s", target, err, answer)
	}
}

// createsStack creates the stack and compares the resources with the template.
func (m motoAPI) createsStack(t *testing.T) {
	m.t = t
	template, err := os.ReadFile(templatePath)
	if err != nil {
		t.Fatal(err)
	}
	const group, key = "/perstack/acme", "arn:aws:kms:eu-west-1:111122223333:key/1234abcd"
	parameters := map[string]string{"StackName": "perstack-logs", "TemplateBody": string(template), "Capabilities.member.1": "CAPABILITY_IAM"}
	for i, one := range [][2]string{{"LogGroupName", group}, {"RetentionInDays", "731"}, {"KmsKeyArn", key}, {"AlarmEmail", "you@example.com"}, {"SilenceHours", "6"}} {
		member := fmt.Sprintf("Parameters.member.%d.Parameter", i+1)
		parameters[member+"Key"], parameters[member+"Value"] = one[0], one[1]
	}
	m.query("cloudformation", "2010-05-15", "CreateStack", parameters, new(struct{}))
	var stacks struct {
		Status  []string                                  `xml:"DescribeStacksResult>Stacks>member>StackStatus"`
		Outputs []struct{ OutputKey, OutputValue string } `xml:"DescribeStacksResult>Stacks>member>Outputs>member"`
	}
	m.query("cloudformation", "2010-05-15", "DescribeStacks", nil, &stacks)
	if !slices.Equal(stacks.Status, []string{"CREATE_COMPLETE"}) {
		t.Fatalf("the stack has status %v", stacks.Status)
	}
	outputs := map[string]string{}
	for _, o := range stacks.Outputs {
		outputs[o.OutputKey] = o.OutputValue
	}
	if outputs["LogGroup"] != group {
		t.Errorf("the output LogGroup is %q", outputs["LogGroup"])
	}

	var groups struct {
		LogGroups []struct {
			LogGroupName    string
			RetentionInDays int
		}
	}
	m.json("logs", "Logs_20140328.DescribeLogGroups", `{"logGroupNamePrefix": "/perstack/"}`, &groups)
	retention := map[string]int{}
	for _, g := range groups.LogGroups {
		retention[g.LogGroupName] = g.RetentionInDays
	}
	if retention[group] != 731 || retention["/perstack/shipper"] != 30 {
		t.Errorf("the groups have the retention %v", retention)
	}

	m.allows(outputs["WritePolicyArn"], group, key, "PutLogEvents", "CreateLogStream")
	m.allows(outputs["ReadPolicyArn"], group, key, "GetLogEvents", "DescribeLogStreams", "FilterLogEvents", "DescribeLogGroups")

	var topics struct {
		ARN []string `xml:"ListTopicsResult>Topics>member>TopicArn"`
	}
	m.query("sns", "2010-03-31", "ListTopics", nil, &topics)
	if !slices.Equal(topics.ARN, []string{outputs["AlarmTopicArn"]}) {
		t.Errorf("the topics are %q, and the output is %q", topics.ARN, outputs["AlarmTopicArn"])
	}

	var dashboards struct {
		Names []string `xml:"ListDashboardsResult>DashboardEntries>member>DashboardName"`
	}
	m.query("monitoring", "2010-08-01", "ListDashboards", nil, &dashboards)
	if len(dashboards.Names) != 1 {
		t.Fatalf("there are %d dashboards, want 1", len(dashboards.Names))
	}
	var dashboard struct {
		Body string `xml:"GetDashboardResult>DashboardBody"`
	}
	m.query("monitoring", "2010-08-01", "GetDashboard", map[string]string{"DashboardName": dashboards.Names[0]}, &dashboard)
	var body struct{ Widgets []json.RawMessage }
	if err := json.Unmarshal([]byte(dashboard.Body), &body); err != nil || len(body.Widgets) == 0 {
		t.Errorf("the dashboard has %d widgets: %v", len(body.Widgets), err)
	}
	if strings.Contains(dashboard.Body, "${") || !strings.Contains(dashboard.Body, "SOURCE '"+group+"'") {
		t.Errorf("the parameters are not in the dashboard: %s", dashboard.Body)
	}
}

// allows checks a policy that the stack created: the calls that it allows, on which group, and the
// key that it names.
func (m motoAPI) allows(arn, group, key string, actions ...string) {
	m.t.Helper()
	var version struct {
		Document string `xml:"GetPolicyVersionResult>PolicyVersion>Document"`
	}
	m.query("iam", "2010-05-08", "GetPolicyVersion", map[string]string{"PolicyArn": arn, "VersionId": "v1"}, &version)
	text := version.Document
	if unescaped, err := url.QueryUnescape(text); err == nil {
		text = unescaped
	}
	var policy struct {
		Statement []struct {
			Sid              string
			Action, Resource oneOrMore
		}
	}
	if err := json.Unmarshal([]byte(text), &policy); err != nil {
		m.t.Fatalf("%s: %v\n%s", arn, err, text)
	}
	var got []string
	for _, s := range policy.Statement {
		for _, resource := range s.Resource {
			of := ":eu-west-1:123456789012:log-group:" + group + ":"
			if s.Sid == "LookAtTheGroup" {
				of = ":eu-west-1:123456789012:log-group:*"
			}
			if s.Sid == "UseTheKey" && resource != key || s.Sid != "UseTheKey" && !strings.Contains(resource, of) {
				m.t.Errorf("%s allows %q on %s", arn, s.Action, resource)
			}
		}
		for _, action := range s.Action {
			if name, ok := strings.CutPrefix(action, "logs:"); ok {
				got = append(got, name)
			}
		}
	}
	if !slices.Equal(got, actions) {
		m.t.Errorf("%s allows %q, want %q", arn, got, actions)
	}
}

// registersTasks registers the task definitions as `aws ecs register-task-definition
// --cli-input-json` would.
func (m motoAPI) registersTasks(t *testing.T) {
	m.t = t
	files, err := filepath.Glob("../../deploy/ecs/*.json")
	if err != nil {
		t.Fatal(err)
	}
	registered := 0
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(data), `"containerDefinitions"`) {
			continue // a policy
		}
		var want, got struct {
			TaskDefinition struct {
				Family, NetworkMode, Status string
				ContainerDefinitions        []struct {
					Name          string
					HealthCheck   struct{ Command []string }
					RestartPolicy struct{ Enabled bool }
				}
			}
		}
		if err := json.Unmarshal(data, &want.TaskDefinition); err != nil {
			t.Fatal(err)
		}
		want.TaskDefinition.Status = "ACTIVE"
		m.json("ecs", "AmazonEC2ContainerServiceV20141113.RegisterTaskDefinition", string(data), &got)
		if w, g := fmt.Sprint(want), fmt.Sprint(got); w != g {
			t.Errorf("%s is registered as %s, want %s", file, g, w)
		}
		registered++
	}
	if registered != 3 {
		t.Errorf("%d task definitions, want 3", registered)
	}
}
