package report

// This file collects the processes that shipped lines of the job, and shows them.

import (
	"cmp"
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"time"

	"perstack-shipper/shipper/quantity"
)

// origin is a process that shipped lines of the job, as described by its open record.
type origin struct {
	version, hostname, source, path string
	pid, opened                     int64
	target, ecs                     map[string]string
	inputs                          []string
	also                            []pair // members that later versions add
}

// pair is a name and its value.
type pair struct{ name, value string }

// open adds the open record of an input.
func (r *Report) open(input string, record []byte) {
	var says struct {
		Timestamp int64             `json:"timestamp"`
		Version   string            `json:"version"`
		PID       int64             `json:"pid"`
		Hostname  string            `json:"hostname"`
		Source    string            `json:"source"`
		Path      string            `json:"path"`
		Target    map[string]string `json:"target"`
		ECS       map[string]string `json:"ecs"`
		Image     string            `json:"image"`
		Command   json.RawMessage   `json:"command"`
	}
	if json.Unmarshal(record, &says) != nil {
		return
	}
	for i := range r.origins {
		o := &r.origins[i]
		if o.hostname == says.Hostname && o.pid == says.PID && o.ecs["taskArn"] == says.ECS["taskArn"] {
			o.inputs = among(o.inputs, input)
			if o.opened == 0 || says.Timestamp < o.opened {
				o.opened = says.Timestamp
			}
			return
		}
	}
	if len(r.origins) == maxOrigins {
		r.originsLost++
		return
	}
	o := origin{
		version: says.Version, hostname: says.Hostname, pid: says.PID, opened: says.Timestamp,
		source: says.Source, path: says.Path, target: says.Target, ecs: says.ECS, inputs: []string{strings.Clone(input)},
	}
	if says.Image != "" {
		o.also = append(o.also, pair{"image", says.Image})
	}
	if command := words(says.Command); command != "" {
		o.also = append(o.also, pair{"command", command})
	}
	r.origins = append(r.origins, o)
}

// words returns a command line that is given as text or as a list of words.
func words(raw json.RawMessage) string {
	var list []string
	if json.Unmarshal(raw, &list) == nil {
		return strings.Join(list, " ")
	}
	var text string
	if json.Unmarshal(raw, &text) == nil {
		return text
	}
	return ""
}

// originView is a process as the page shows it.
type originView struct {
	facts   []pair
	session string // the name of the task's role session in CloudTrail
	look    string // the command that looks it up
}

func (r *Report) originViews(head Head) []originView {
	slices.SortStableFunc(r.origins, func(a, b origin) int { return cmp.Compare(a.opened, b.opened) })
	var views []originView
	for _, o := range r.origins {
		var v originView
		fact := func(name, value string) {
			if value != "" {
				v.facts = append(v.facts, pair{name, value})
			}
		}
		fact("Opened", moment(o.opened))
		fact("Task", o.ecs["taskArn"])
		fact("Cluster", o.ecs["cluster"])
		definition := o.ecs["family"]
		if o.ecs["revision"] != "" {
			definition += ":" + o.ecs["revision"]
		}
		fact("Task definition", definition)
		fact("Container", o.ecs["container"])
		fact("Launch type", o.ecs["launchType"])
		for _, name := range []string{"image", "imageDigest", "imageId"} {
			fact(map[string]string{"image": "Image", "imageDigest": "Image digest", "imageId": "Image digest"}[name], o.ecs[name])
		}
		for _, p := range o.also {
			fact(strings.ToUpper(p.name[:1])+p.name[1:], p.value)
		}
		fact("Host", o.hostname)
		if o.pid > 0 {
			fact("Process", quantity.Number(o.pid))
		}
		fact("Shipper", o.version)
		fact("Log group", o.target["group"])
		fact("Region", o.target["region"])
		fact("Account", o.target["account"])
		fact("Endpoint", o.target["endpoint"])
		fact("File", o.path)
		fact("Inputs", strings.Join(o.inputs, ", "))
		if arn := o.ecs["taskArn"]; arn != "" {
			v.session = arn[strings.LastIndexByte(arn, '/')+1:]
			v.look = r.lookUp(v.session, cmp.Or(o.target["region"], head.Region))
		}
		views = append(views, v)
	}
	return views
}

// lookUp returns the command that finds the task's calls among the management events of its
// account. CloudTrail shows them within a quarter of an hour and keeps them for 90 days.
// https://docs.aws.amazon.com/awscloudtrail/latest/userguide/view-cloudtrail-events-cli.html
func (r *Report) lookUp(session, region string) string {
	command := "aws cloudtrail lookup-events \\\n  --lookup-attributes AttributeKey=Username,AttributeValue=" + quoted(session)
	if region != "" {
		command += " \\\n  --region " + quoted(region)
	}
	if r.first > 0 {
		day := func(ms int64) string { return time.UnixMilli(ms).UTC().Format(time.RFC3339) }
		command += " \\\n  --start-time " + day(r.first-3_600_000) + " --end-time " + day(r.last+3_600_000)
	}
	return command
}

var plain = regexp.MustCompile(`^[A-Za-z0-9_.:/@-]+$`)

// quoted quotes a word for a shell if necessary.
func quoted(word string) string {
	if plain.MatchString(word) {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}
