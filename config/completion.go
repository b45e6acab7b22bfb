package config

// This file writes completion scripts for shells, from the same declarations as the help.

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Shells are the shells that Completion supports.
var Shells = []string{"bash", "zsh", "fish"}

// Completion returns the completion script for one of Shells.
func Completion(shell string) string {
	switch shell {
	case "bash":
		return bashCompletion()
	case "zsh":
		return zshCompletion()
	case "fish":
		return fishCompletion()
	}
	panic("config: no completion for " + shell)
}

// choices returns the words that are valid values of the option, or nil if it takes other values.
func (o *option) choices() []string {
	switch o.name {
	case "log-level":
		return logLevels
	case "log-format":
		return logFormats
	case "compress":
		return compressions
	case "fail-on":
		return failOnKinds
	case "by":
		return Usages
	case "stdout":
		return []string{StdoutFile, StdoutPipe}
	case "tee":
		if !o.isBool {
			return []string{string(TeeNone), string(TeeStderr), string(TeeAll)}
		}
	case "retention-days":
		var days []string
		for _, n := range RetentionDays {
			days = append(days, strconv.Itoa(n))
		}
		return days
	}
	return nil
}

// isPath reports whether the value of the option is a file or a folder.
func (o *option) isPath() bool {
	return slices.Contains([]string{"DIR", "FILE", "PATH"}, o.placeholder) || o.name == "into"
}

// spellings returns the names of the option: --create also has --no-create.
func (o *option) spellings() []string {
	if o.negatable {
		return []string{o.name, "no-" + o.name}
	}
	return []string{o.name}
}

// bashCompletion needs nothing but bash itself. COMP_WORDBREAKS contains "=", so --by=job arrives
// as three words.
func bashCompletion() string {
	var b strings.Builder
	fmt.Fprintf(&b, `# bash completion for %[1]s

_perstack_shipper() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} command=ship word i
    COMPREPLY=()
    case ${COMP_WORDS[1]} in
    %[2]s) command=${COMP_WORDS[1]} ;;
    esac
    for ((i = 1; i < COMP_CWORD; i++)); do
        if [[ ${COMP_WORDS[i]} == -- ]]; then
            if ((i + 1 == COMP_CWORD)); then
                COMPREPLY=($(compgen -c -- "$cur"))
            else
                COMPREPLY=($(compgen -f -- "$cur"))
            fi
            return
        fi
    done
    if [[ $cur == = ]]; then
        cur=
    elif [[ $prev == = ]]; then
        prev=${COMP_WORDS[COMP_CWORD-2]}
    fi
    case $command$prev in
`, Program, strings.Join(commandNames, "|"))
	for _, name := range commandNames {
		var paths, others []string
		for _, o := range optionsOf(new(commandLine).command(name)) {
			pattern := name + "--" + o.name
			switch {
			case o.choices() != nil:
				fmt.Fprintf(&b, "    %s)\n        COMPREPLY=($(compgen -W '%s' -- \"$cur\"))\n        return ;;\n", pattern, strings.Join(o.choices(), " "))
			case o.isPath():
				paths = append(paths, pattern)
			case !o.isBool:
				others = append(others, pattern)
			}
		}
		if len(paths) > 0 {
			fmt.Fprintf(&b, "    %s)\n        COMPREPLY=($(compgen -f -- \"$cur\"))\n        return ;;\n", strings.Join(paths, "|"))
		}
		if len(others) > 0 {
			fmt.Fprintf(&b, "    %s) return ;;\n", strings.Join(others, "|"))
		}
	}
	b.WriteString("    esac\n    case $command in\n")
	for _, name := range commandNames {
		var words []string
		for _, o := range optionsOf(new(commandLine).command(name)) {
			for _, spelling := range o.spellings() {
				words = append(words, "--"+spelling)
			}
		}
		fmt.Fprintf(&b, "    %s) word='%s' ;;\n", name, strings.Join(append(words, "--help"), " "))
	}
	fmt.Fprintf(&b, `    esac
    if ((COMP_CWORD == 1)); then
        word="%s $word --version"
    fi
    COMPREPLY=($(compgen -W "$word" -- "$cur"))
}

complete -o default -F _perstack_shipper %s
`, strings.Join(commandNames, " "), Program)
	return b.String()
}

func zshCompletion() string {
	var b strings.Builder
	fmt.Fprintf(&b, "#compdef %s\n\n_perstack_shipper_options() {\n    case $1 in\n", Program)
	for _, name := range commandNames {
		fmt.Fprintf(&b, "    %s)\n        _arguments -S \\\n", name)
		for _, o := range optionsOf(new(commandLine).command(name)) {
			for _, spelling := range o.spellings() {
				fmt.Fprintf(&b, "            %s \\\n", zshOption(o, spelling))
			}
		}
		b.WriteString("            '--help[Show the help of this command.]'")
		switch name {
		case "exec":
			b.WriteString(" \\\n            '(-)1:command:_command_names -e' '*::argument:_normal'")
		case "verify":
			b.WriteString(" \\\n            '*:file:_files'")
		}
		b.WriteString(" ;;\n")
	}
	b.WriteString("    esac\n}\n\n_perstack_shipper() {\n    local -a commands=(\n")
	for _, name := range commandNames {
		fmt.Fprintf(&b, "        %s\n", singleQuoted(name+":"+strings.ReplaceAll(purpose(name), ":", `\:`)))
	}
	fmt.Fprintf(&b, `    )
    if ((CURRENT == 2)); then
        if [[ $words[2] != -* ]]; then
            _describe -t commands command commands
            return
        fi
    elif [[ ${${commands%%%%:*}[(Ie)$words[2]]} -gt 0 ]]; then
        local command=$words[2]
        shift words
        ((CURRENT--))
        _perstack_shipper_options $command
        return
    fi
    _perstack_shipper_options ship
}

if [[ $funcstack[1] == _%[1]s ]]; then
    _perstack_shipper "$@"
else
    compdef _perstack_shipper %[1]s
fi
`, Program)
	return b.String()
}

// zshOption returns an option in the form that _arguments takes.
func zshOption(o option, spelling string) string {
	escape := strings.NewReplacer(":", `\:`, "[", `\[`, "]", `\]`).Replace
	spec := "--" + spelling
	value := ""
	if !o.isBool {
		spec += "="
		word := o.placeholder
		if word == "" {
			word = o.def
		}
		value = ":" + escape(word) + ":"
		switch {
		case o.choices() != nil:
			value += "(" + strings.Join(o.choices(), " ") + ")"
		case o.isPath():
			value += "_files"
		}
	}
	if o.many {
		spec = "*" + spec
	}
	return singleQuoted(spec + "[" + escape(o.help) + "]" + value)
}

func fishCompletion() string {
	var b strings.Builder
	fmt.Fprintf(&b, "# fish completion for %s\n\n", Program)
	fmt.Fprintf(&b, "function __perstack_shipper_command\n    set -l words (commandline -opc)\n    if set -q words[2]; and contains -- $words[2] %s\n"+
		"        echo $words[2]\n    else\n        echo ship\n    end\nend\n\n", strings.Join(commandNames, " "))
	fmt.Fprintf(&b, "function __perstack_shipper_is\n    contains -- (__perstack_shipper_command) $argv\nend\n\n")
	fmt.Fprintf(&b, "complete -c %s -f\n", Program)
	for _, name := range commandNames {
		fmt.Fprintf(&b, "complete -c %s -n 'test (count (commandline -opc)) -eq 1' -a %s -d %s\n", Program, name, singleQuoted(purpose(name)))
	}
	fmt.Fprintf(&b, "complete -c %s -l help -d 'Show the help of this command.'\n", Program)
	for _, o := range allOptions() {
		for _, spelling := range o.spellings() {
			fmt.Fprintf(&b, "complete -c %s -n '__perstack_shipper_is %s' -l %s -d %s", Program, strings.Join(o.commands, " "), spelling, singleQuoted(o.help))
			switch {
			case o.isBool:
			case o.choices() != nil:
				fmt.Fprintf(&b, " -x -a %s", singleQuoted(strings.Join(o.choices(), " ")))
			case o.isPath():
				b.WriteString(" -r -F")
			default:
				b.WriteString(" -x")
			}
			b.WriteString("\n")
		}
	}
	fmt.Fprintf(&b, "complete -c %s -n '__perstack_shipper_is exec verify' -F\n", Program)
	return b.String()
}

// singleQuoted quotes a word in a way that all three shells read alike.
func singleQuoted(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }
