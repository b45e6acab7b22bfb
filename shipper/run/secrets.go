package run

import (
	"regexp"
	"strings"
)

// leftOut replaces a value that looks like a secret.
const leftOut = "[left-out]"

// mostCommand is the most bytes recorded of a command line, because a query may be a whole
// document.
const mostCommand = 4 << 10

const secretName = `[\w-]*(?:token|secret|passw|passphrase|pwd|api[_-]?key|access[_-]?key|private[_-]?key|credential|authorization|bearer|cookie|session)[\w-]*`

var (
	// secretFlag matches an argument whose value is the next argument.
	secretFlag = regexp.MustCompile(`(?i)^-{1,2}` + secretName + `$`)
	// secretWhole matches an argument that is a name and its value.
	secretWhole = regexp.MustCompile(`(?is)^(-{0,2}` + secretName + `=).+$`)
	// secretPair matches a name and its value within a script or a text.
	secretPair = regexp.MustCompile(`(?i)(` + secretName + `["']?(?:=|:\s*|\s+=\s*))("[^"]*"|'[^']*'|(?:(?:bearer|basic)\s+)?[^\s"';&|,]+)`)
	// secretNext matches a flag and its value in a script.
	secretNext = regexp.MustCompile(`(?i)(\s-{1,2}` + secretName + `\s+)("[^"]*"|'[^']*'|[^\s"';&|]+)`)
	// secretText matches values that look like a secret: keys of model providers, AWS, GitHub,
	// GitLab, Slack and Google, JSON web tokens, and bearer tokens.
	secretText = regexp.MustCompile(`\b(?:sk-[\w-]{8,}|(?:AKIA|ASIA)[A-Z0-9]{12,}|gh[a-z]_\w{16,}|github_pat_\w{16,}|glpat-[\w-]{12,}|xox[a-z]-[\w-]{8,}|AIza[\w-]{20,}|eyJ[\w-]{8,}\.[\w.-]+)|(?i:\bbearer\s+[\w.~+/=-]{8,})`)
	// secretURL matches the password in a URL.
	secretURL = regexp.MustCompile(`(\w+://[^\s/:@]*:)[^\s/@]+@`)
	// longWord matches words long enough to be a key of some kind, if they are also mixed.
	longWord = regexp.MustCompile(`[A-Za-z0-9_+=-]{20,}`)
)

// withoutSecrets returns a command line without values that look like secrets, and at most
// mostCommand bytes of it. Everybody who may read the log group sees it.
func withoutSecrets(command []string) []string {
	var kept []string
	room := mostCommand
	for i, arg := range command {
		if i > 0 && secretFlag.MatchString(command[i-1]) && !strings.HasPrefix(arg, "-") {
			arg = leftOut
		}
		arg = secretWhole.ReplaceAllString(arg, "${1}"+leftOut)
		arg = secretPair.ReplaceAllString(arg, "${1}"+leftOut)
		arg = secretNext.ReplaceAllString(arg, "${1}"+leftOut)
		arg = secretText.ReplaceAllString(arg, leftOut)
		arg = secretURL.ReplaceAllString(arg, "${1}"+leftOut+"@")
		arg = longWord.ReplaceAllStringFunc(arg, func(word string) string {
			if mixed(word) {
				return leftOut
			}
			return word
		})
		arg = strings.ToValidUTF8(arg, "\uFFFD")
		if len(arg) > room {
			return append(kept, strings.ToValidUTF8(arg[:room], "")+"…")
		}
		room -= len(arg)
		kept = append(kept, arg)
	}
	return kept
}

// mixed reports whether a word has lower-case letters, capitals and digits, as random keys do and
// most names do not.
func mixed(word string) bool {
	return strings.ContainsAny(word, "0123456789") && strings.ToLower(word) != word && strings.ToUpper(word) != word
}
