package report

import (
	"cmp"
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"time"

	"perstack-shipper/shipper/quantity"
)

// This file collects the processes that shipped lines of the job, and shows them.

// Origin is a process that shipped lines of the job, as described by its open record.
type Origin struct {
	Version, Hostname, Source, Path string
	PID, Opened                     int64
	Target, ECS                     map[string]string
	Inputs                          []string
	Also                            []Pair // members that later versions add
}

// Pair is a name and its value.
type Pair struct{ Name, Value string }

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
		if o.Hostname == says.Hostname && o.PID == says.PID && o.ECS["taskArn"] == says.ECS["taskArn"] {
			o.Inputs = among(o.Inputs, input)
			if o.Opened == 0 || says.Timestamp < o.Opened {
				o.Opened = says.Timestamp
			}
			return
		}
	}
	if len(r.origins) == maxOrigins {
		r.originsLost++
		return
	}
	o := Origin{
		Version: says.Version, Hostname: says.Hostname, PID: says.PID, Opened: says.Timestamp,
		Source: says.Source, Path: says.Path, Target: says.Target, ECS: says.ECS, Inputs: []string{strings.Clone(input)},
	}
	if says.Image != "" {
		o.Also = append(o.Also, Pair{"image", says.Image})
	}
	if command := words(says.Command); command != "" {
		o.Also = append(o.Also, Pair{"command", command})
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

// OriginView is a process as the page shows it.
type OriginView struct {
	Facts   []Pair
	Session string // the name of the task's role session in CloudTrail
	Look    string // the command that looks it up
}

func (r *Report) originViews(head Head) []OriginView {
	slices.SortStableFunc(r.origins, func(a, b Origin) int { return cmp.Compare(a.Opened, b.Opened) })
	var views []OriginView
	for _, o := range r.origins {
		var v OriginView
		fact := func(name, value string) {
			if value != "" {
				v.Facts = append(v.Facts, Pair{name, value})
			}
		}
		fact("Opened", moment(o.Opened))
		fact("Task", o.ECS["taskArn"])
		fact("Cluster", o.ECS["cluster"])
		definition := o.ECS["family"]
		if o.ECS["revision"] != "" {
			definition += ":" + o.ECS["revision"]
		}
		fact("Task definition", definition)
		fact("Container", o.ECS["container"])
		fact("Launch type", o.ECS["launchType"])
		for _, name := range []string{"image", "imageDigest", "imageId"} {
			fact(map[string]string{"image": "Image", "imageDigest": "Image digest", "imageId": "Image digest"}[name], o.ECS[name])
		}
		for _, p := range o.Also {
			fact(strings.ToUpper(p.Name[:1])+p.Name[1:], p.Value)
		}
		fact("Host", o.Hostname)
		if o.PID > 0 {
			fact("Process", quantity.Number(o.PID))
		}
		fact("Shipper", o.Version)
		fact("Log group", o.Target["group"])
		fact("Region", o.Target["region"])
		fact("Account", o.Target["account"])
		fact("Endpoint", o.Target["endpoint"])
		fact("File", o.Path)
		fact("Inputs", strings.Join(o.Inputs, ", "))
		if arn := o.ECS["taskArn"]; arn != "" {
			v.Session = arn[strings.LastIndexByte(arn, '/')+1:]
			v.Look = r.lookUp(v.Session, cmp.Or(o.Target["region"], head.Region))
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
