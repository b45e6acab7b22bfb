package config

// This file finds the options in the structs that declare them.

import (
	"reflect"
	"strings"
	"time"

	"github.com/spf13/pflag"
)

// option is an option of a command, as the tags of its field declare it.
type option struct {
	name        string // without the dashes
	def         string // the default as a user would write it; "" if there is none
	placeholder string // a word for its value, in help
	group, help string
	isBool      bool
	alone       string        // the value of the bare option; "" if it needs a value
	flagOnly    bool          // no environment variable sets it
	negatable   bool          // --no-NAME exists as well
	many        bool          // may be repeated
	field       reflect.Value // receives the value
}

// commandNames are the commands of commandLine.
var commandNames = func() (names []string) {
	for _, f := range reflect.VisibleFields(reflect.TypeFor[commandLine]()) {
		names = append(names, strings.ToLower(f.Name))
	}
	return names
}()

// command returns the command called name, one of commandNames.
func (l *commandLine) command(name string) Command {
	return map[string]Command{
		"ship": &l.Ship, "exec": &l.Exec, "resume": &l.Resume, "status": &l.Status, "healthcheck": &l.Healthcheck, "logs": &l.Logs, "verify": &l.Verify,
		"jobs": &l.Jobs, "usage": &l.Usage, "report": &l.Report, "restore": &l.Restore, "check": &l.Check,
		"local": &l.Local, "version": &l.Version,
	}[name]
}

// optionsOf returns the options of a command in declaration order, and sets their defaults.
func optionsOf(command Command) []option {
	var options []option
	s := reflect.ValueOf(command).Elem()
	for _, f := range reflect.VisibleFields(s.Type()) {
		name := f.Tag.Get("name")
		if name == "" {
			continue
		}
		o := option{
			name: name, def: f.Tag.Get("default"), placeholder: f.Tag.Get("placeholder"),
			group: f.Tag.Get("group"), help: f.Tag.Get("help"), field: s.FieldByIndex(f.Index),
		}
		_, o.negatable = f.Tag.Lookup("negatable")
		_, o.flagOnly = f.Tag.Lookup("flagonly")
		switch o.field.Addr().Interface().(type) {
		case *bool:
			o.isBool, o.alone = true, "true"
		case *Tee:
			o.alone = string(TeeAll)
		case *List, *Pairs:
			o.many = true
		}
		if o.def != "" {
			// An error means that a default in this package is invalid. The tests parse each
			// command once.
			if err := o.set(o.def); err != nil {
				panic(err)
			}
		}
		options = append(options, o)
	}
	return options
}

// set gives the option a value, or one more value if it may be repeated. The error is a
// *UsageError.
func (o *option) set(text string) error {
	name := "--" + o.name
	switch p := o.field.Addr().Interface().(type) {
	case *string:
		*p = text
	case **string:
		*p = &text
	case *bool:
		b, err := parseBool(name, text)
		*p = b
		return err
	case *int:
		return parseInt(name, text, p)
	case *time.Duration:
		return parseDuration(name, text, p)
	case **time.Duration:
		*p = new(time.Duration)
		return parseDuration(name, text, *p)
	case *Size:
		return p.set(name, text)
	case *Time:
		return p.set(name, text)
	case *Tee:
		return p.set(name, text)
	case *List:
		*p = append(*p, text)
	case *Words:
		p.set(text)
	case *Pairs:
		return p.set(name, text)
	default:
		panic("config: " + name + " has a type that options do not have")
	}
	return nil
}

// text returns the option as a user writes it, with its default or a placeholder for its value.
func (o *option) text() string {
	switch {
	case o.negatable:
		return "--[no-]" + o.name
	case o.isBool:
		return "--" + o.name
	case o.alone != "":
		return "--" + o.name + "[=" + o.placeholder + "]"
	case o.placeholder != "":
		return "--" + o.name + "=" + o.placeholder
	}
	return "--" + o.name + "=" + o.def
}

// flagValue makes an option a pflag.Value.
type flagValue struct {
	o       option
	negates bool
}

var _ pflag.Value = (*flagValue)(nil)

// Set implements pflag.Value.
func (v *flagValue) Set(text string) error {
	if v.negates {
		no, err := parseBool("--no-"+v.o.name, text)
		if err != nil {
			return err
		}
		text = map[bool]string{true: "false", false: "true"}[no]
	}
	return v.o.set(text)
}

// String implements pflag.Value.
func (v *flagValue) String() string { return v.o.def }

// Type implements pflag.Value.
func (v *flagValue) Type() string { return "value" }

// find returns the option called name, or nil.
func find(options []option, name string) *option {
	for i := range options {
		if options[i].name == name {
			return &options[i]
		}
	}
	return nil
}

// nearest returns the option name most like name, or "" if none is close.
func nearest(name string, options []option) string {
	names := make([]string, len(options))
	for i, o := range options {
		names[i] = o.name
	}
	return nearestOf(name, names)
}

// nearestOf returns the element of names most like name, or "" if none is close.
func nearestOf(name string, names []string) string {
	best, least := "", len(name)/3+2
	for _, other := range names {
		if d := edits(name, other); d < least {
			best, least = other, d
		}
	}
	return best
}

// edits returns the Levenshtein distance: how many bytes to insert, delete or change to turn a into
// b.
func edits(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
