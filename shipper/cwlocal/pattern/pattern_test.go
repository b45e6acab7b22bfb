package pattern

import (
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// trail and people resemble the events in the service's documentation, whose examples are in the
// tables below.
const (
	trail = `{"eventType":"UpdateTrail","sourceIPAddress":"111.111.111.111","arrayKey":["value","another value"],` +
		`"objectList":[{"name":"a","id":1},{"name":"b","id":2}],"SomeObject":null,"cluster.name":"c"}`
	people = `{"user":{"id":1,"email":"John.Stiles@example.com"},"users":[{"id":2,"email":"John.Doe@example.com"},` +
		`{"id":3,"email":"Jane.Doe@example.com"}],"actions":["GET","PUT","DELETE"],"coordinates":[[0,1,2],[4,5,6],[7,8,9]]}`
	numbers = `{"bandwidth":76,"latency":49.5,"refreshRate":60,"responseTime":5,"errorCode":400,"number":[1000,-0.001],` +
		`"big":9007199254740993,"text":"400","flag":true,"off":false,"none":null,"o":{"p":1},"a":[1],"q":"a \"b\" \\ *","utf":"日本","empty":""}`
)

const (
	tokens = `{ ($.type = "callTools" || $.type = "completeRun" || $.type = "retry" || $.type = "finishGeneration") && $.expertKey = * && ` +
		`($.shipper.part NOT EXISTS || $.shipper.part = 1) }`
	failures = `{ $.type = "shipper.seal" && $.ended IS TRUE && $.first IS TRUE && $.outcomes.error > 0 }`
)

var documented = []struct {
	pattern, message string
	want             bool
}{
	// Strings.
	{`{ $.eventType = "UpdateTrail" }`, trail, true},
	{`{ $.eventType = UpdateTrail }`, trail, true},
	{`{$.eventType="UpdateTrail"}`, trail, true},
	{`{ $.eventType = "updatetrail" }`, trail, false},
	{`{ $.eventType = "Update" }`, trail, false},
	{`{ $.eventType != "UpdateTrail" }`, trail, false},
	{`{ $.sourceIPAddress != 123.123.* }`, trail, true},
	{`{ $.sourceIPAddress = 111.111.* }`, trail, true},
	{`{ $.eventType = "*" && $.sourceIPAddress != 123.123.* }`, trail, true},
	{`{ $.eventType = *Trail }`, trail, true},
	{`{ $.eventType = "U*e*l" }`, trail, true},
	{`{ $.eventType = "Up*date" }`, trail, false},
	{`{ $.eventType = "UpdateTrail*UpdateTrail" }`, trail, false},
	{`{ $.q = "a \"b\" \\ *" }`, numbers, true},
	{`{ $.utf = "日*" }`, numbers, true},
	{`{ $.empty = "" }`, numbers, true},
	{`{ $.empty = * }`, numbers, true},

	// Selectors.
	{`{ $.arrayKey[0] = "value" }`, trail, true},
	{`{ $.arrayKey[1] = "value" }`, trail, false},
	{`{ $.arrayKey[2] = * }`, trail, false},
	{`{ $.arrayKey[*] = "another value" }`, trail, true},
	{`{ $.arrayKey[*] = "other" }`, trail, false},
	{`{ $.objectList[1].id = 2 }`, trail, true},
	{`{ $.objectList[*].name = "b" }`, trail, true},
	{`{ $.objectList[*].name = "c" }`, trail, false},
	{`{ $.['cluster.name'] = "c" }`, trail, true},
	{`{ $.cluster.name = "c" }`, trail, false},
	{`{ $.o.['p'] = 1 }`, numbers, true},
	{`{ $.*.p = 1 }`, numbers, true},
	{`{ $.coordinates[1][2] = 6 }`, people, true},
	{`{ $.coordinates[1][*] = 6 }`, people, true},
	{`{ $.coordinates[1][*] = 7 }`, people, false},
	{`{ $.eventType[0] = * }`, trail, false},
	{`{ $.arrayKey.name = * }`, trail, false},

	// Regular expressions.
	{`{ $.eventType = %Trail% }`, trail, true},
	{`{ $.eventType != %Trail% }`, trail, false},
	{`{ $.arrayKey[*] = %val.{2}% }`, trail, true},
	{`{ $.* = %111\.111\.111\.1[0-9]{1,2}% }`, trail, true},
	{`{ $.* = %112\.111\.111\.1[0-9]{1,2}% }`, trail, false},
	{`{ $.errorCode = %^4[0-9]{2}$% }`, numbers, true},

	// Numbers.
	{`{ $.bandwidth > 75 }`, numbers, true},
	{`{ $.bandwidth > 76 }`, numbers, false},
	{`{ $.latency < 50 }`, numbers, true},
	{`{ $.latency < 49.5 }`, numbers, false},
	{`{ $.refreshRate >= 60 }`, numbers, true},
	{`{ $.refreshRate >= 61 }`, numbers, false},
	{`{ $.responseTime <= 5 }`, numbers, true},
	{`{ $.responseTime <= 4 }`, numbers, false},
	{`{ $.errorCode = 400}`, numbers, true},
	{`{ $.errorCode != 500 }`, numbers, true},
	{`{ $.errorCode != 400 }`, numbers, false},
	{`{ $.number[0] = 1e+3 }`, numbers, true},
	{`{ $.number[0] != 1e-3 }`, numbers, true},
	{`{ $.number[1] = -1e-3 }`, numbers, true},
	{`{ $.errorCode = +400 }`, numbers, true},
	{`{ $.errorCode = 4* }`, numbers, true},
	{`{ $.errorCode = 5* }`, numbers, false},
	{`{ $.errorCode = * }`, numbers, true},
	{`{ $.big = 9007199254740993 }`, numbers, true},
	{`{ $.big = 9007199254740992 }`, numbers, false},
	{`{ $.text = 400 }`, numbers, true},
	{`{ $.text > 1 }`, numbers, false},
	{`{ $.errorCode = "400" }`, numbers, false},

	// Null, booleans and presence.
	{`{ $.SomeObject IS NULL }`, trail, true},
	{`{ $.SomeOtherObject IS NULL }`, trail, false},
	{`{ $.eventType IS NULL }`, trail, false},
	{`{ $.flag IS TRUE }`, numbers, true},
	{`{ $.flag IS FALSE }`, numbers, false},
	{`{ $.off IS FALSE }`, numbers, true},
	{`{ $.flag = true }`, numbers, false},
	{`{ $.SomeOtherObject NOT EXISTS }`, trail, true},
	{`{ $.SomeObject NOT EXISTS }`, trail, false},
	{`{ $.objectList[2].id NOT EXISTS }`, trail, true},
	{`{ $.objectList[*].id NOT EXISTS }`, trail, false},
	{`{ $.missing = * }`, trail, false},
	{`{ $.missing != "x" }`, trail, false},
	{`{ $.none != "x" }`, numbers, false},
	{`{ $.o = * }`, numbers, false},
	{`{ $.o != "x" }`, numbers, false},
	{`{ $.a = * }`, numbers, false},
	{`{ $.a != "x" }`, numbers, false},

	// Logic.
	{`{ ($.user.id = 1) && ($.users[0].email = "John.Doe@example.com") }`, people, true},
	{`{ $.user.email = "John.Stiles@example.com" || $.coordinates[0][1] = "nonmatch" && $.actions[2] = "nonmatch" }`, people, true},
	{`{ ($.user.email = "John.Stiles@example.com" || $.coordinates[0][1] = "nonmatch") && $.actions[2] = "nonmatch" }`, people, false},
	{`{ ($.user.id = 2 && $.users[0].email = "nonmatch") || $.actions[2] = "GET" }`, people, false},
	{`{(($.user.id=1)&&($.user.id=1||$.user.id=2))}`, people, true},

	// Metric filters for events of this program.
	{tokens, `{"shipper":{"input":"a","seq":1},"type":"callTools","expertKey":"e","usage":{"totalTokens":7}}`, true},
	{tokens, `{"shipper":{"input":"a","seq":1,"part":1},"type":"finishGeneration","expertKey":"e","usage":{"totalTokens":7}}`, true},
	{tokens, `{"shipper":{"input":"a","seq":1,"part":2},"type":"callTools","expertKey":"e"}`, false},
	{tokens, `{"shipper":{"input":"a","seq":1},"type":"callDelegate","expertKey":"e","usage":{"totalTokens":7}}`, false},
	{tokens, `{"shipper":{"input":"a","seq":1},"type":"callTools","usage":{"totalTokens":7}}`, false},
	{failures, `{"shipper":{"record":"seal","input":"a"},"type":"shipper.seal","ended":true,"first":true,"outcomes":{"error":1}}`, true},
	{failures, `{"shipper":{"record":"seal","input":"a"},"type":"shipper.seal","ended":true,"outcomes":{"error":1}}`, false},
	{failures, `{"shipper":{"record":"seal","input":"a"},"type":"shipper.seal","ended":false,"first":true,"outcomes":{"error":1}}`, false},
	{failures, `{"shipper":{"record":"seal","input":"a"},"type":"shipper.seal","ended":true,"first":true,"outcomes":{"error":0}}`, false},

	// Other events.
	{`{ $.a NOT EXISTS }`, "text", false},
	{`{ $.a NOT EXISTS }`, `["a"]`, false},
	{`{ $.a NOT EXISTS }`, `null`, false},
	{`{ $.a = 1 }`, `{"a":1`, false},
	{`{ $.a = 1 }`, ` {"a": 1} `, true},
	{`{ $.a = 2 }`, `{"a":1,"a":2}`, true},

	// Terms.
	{"", "anything", true},
	{"  ", "anything", true},
	{`" "`, "anything", true},
	{"ERROR", "[ERROR 400] BAD REQUEST", true},
	{"ERROR", "MYERRORS", true},
	{"ERROR", "error", false},
	{"ERROR ARGUMENTS", "[ERROR 419] MISSING ARGUMENTS", true},
	{"ERROR ARGUMENTS", "[ERROR 401] UNAUTHORIZED REQUEST", false},
	{"?ERROR ?ARGUMENTS", "[ERROR 401] UNAUTHORIZED REQUEST", true},
	{"?ERROR ?ARGUMENTS", "MISSING ARGUMENTS", true},
	{"?ERROR ?ARGUMENTS", "WARN", false},
	{"?ERROR ?ARGUMENTS REQUEST", "[INFO] REQUEST FAILED", true},
	{"?ERROR ?ARGUMENTS REQUEST", "[ERROR] FAILED", false},
	{`"INTERNAL SERVER ERROR"`, "[ERROR 500] INTERNAL SERVER ERROR", true},
	{`"INTERNAL SERVER ERROR"`, "INTERNAL  SERVER ERROR", false},
	{`"a \"b\" \\"`, `x a "b" \ y`, true},
	{"ERROR -ARGUMENTS", "[ERROR 400] BAD REQUEST", true},
	{"ERROR -ARGUMENTS", "[ERROR 419] MISSING ARGUMENTS", false},
	{`-"disk is"`, "disk was", true},
	{"-disk", "disk", false},
	{`?"a b" ?c`, "x a b", true},
	{"日本", "in 日本", true},

	// One regular expression.
	{`%AUTHORIZED%`, "[ERROR 401] UNAUTHORIZED REQUEST", true},
	{`%^[hc]at%`, "cat", true},
	{`%^[hc]at%`, "a cat", false},
	{`%[hc]at$%`, "a hat", true},
	{`%colou?r%`, "color", true},
	{`%^a{3,5}$%`, "aaaa", true},
	{`%^a{3,5}$%`, "aa", false},
	{`%^a{,2}$%`, "aa", true},
	{`%^a{,2}$%`, "aaa", false},
	{`%^a{2, }$%`, "aaa", true},
	{`%gra|ey%`, "grey", true},
	{`%^starting|^initializing|^shutting down%`, "shutting down", true},
	{`%^starting|^initializing|^shutting down%`, "skipping initializing", false},
	{`%\[.\]%`, "a[7]", true},
	{`%\[.\]%`, "a7", false},
	{`%10\.10\.0\.1%`, "10010,051", false},
	{`%10.10.0.1%`, "10010,051", true},
	{`%ab*c%`, "ac", true},
	{`%ab+c%`, "ac", false},
	{`%^\d\s\w\W\S\D$%`, "1 a-bc", true},
	{`%\x28%`, "f(x)", true},
	{`%a\{,2}%`, "a{,2}", true},
}

func TestMatch(t *testing.T) {
	for _, c := range documented {
		p, err := Parse(c.pattern)
		if err != nil {
			t.Errorf("%s: %v", c.pattern, err)
			continue
		}
		if got := p.Match([]byte(c.message)); got != c.want {
			t.Errorf("%s matches %s: %t", c.pattern, c.message, got)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for _, c := range []struct{ pattern, part string }{
		{`{ $.a = 1`, "must end with"},
		{`{ }`, "selector"},
		{`{ $.a }`, "operator"},
		{`{ $.a = }`, "value"},
		{`{ $.a = 1 && }`, "selector"},
		{`{ $.a = 1 $.b = 2 }`, "&&, ||"},
		{`{ ($.a = 1 }`, "')'"},
		{`{ $.a = 1) }`, "&&, ||"},
		{`{ $.a = 1 & $.b = 2 }`, "&&, ||"},
		{`{ a = 1 }`, "selector"},
		{`{ $ = 1 }`, "selector"},
		{`{ $a = 1 }`, "selector"},
		{`{ $. = 1 }`, "name"},
		{`{ $.a. = 1 }`, "name"},
		{`{ $.a:b = 1 }`, "operator"},
		{`{ $.a[] = 1 }`, "element"},
		{`{ $.a[-1] = 1 }`, "element"},
		{`{ $.a['b'] = 1 }`, "element"},
		{`{ $['a'] = 1 }`, "selector"},
		{`{ $.['a = 1 }`, "quotes and brackets"},
		{`{ $.[''] = 1 }`, "quotes and brackets"},
		{`{ $.a == 1 }`, "invalid character"},
		{`{ $.a = a.b }`, "invalid character"},
		{`{ $.a = a-b }`, "invalid character"},
		{`{ $.a = "b }`, "double quote"},
		{`{ $.a > "5" }`, "compares numbers"},
		{`{ $.a > 5* }`, "compares numbers"},
		{`{ $.a > %5% }`, "compares numbers"},
		{`{ $.a EXISTS }`, "EXISTS is not supported"},
		{`{ $.a IS NOT NULL }`, "IS NOT is not supported"},
		{`{ $.a IS EMPTY }`, "NULL, TRUE or FALSE"},
		{`{ $.a is null }`, "operator"},
		{`{ $.a NOT NULL }`, "expected EXISTS"},
		{`{ NOT $.a = 1 }`, "selector"},
		{`{ $.a[*].b[*] = 1 }`, "one wildcard"},
		{`{ $.*.b[*] = 1 }`, "one wildcard"},
		{`{ $.a[*] = 1 || $.b[*] = 1 || $.c[*] = 1 || $.* = 1 }`, "4 selectors with a wildcard"},
		{`{ $.a = %1% || $.b = %2% || $.c = %3% }`, "3 regular expressions"},
		{`{ $.a = %something!% }`, "invalid character"},
		{`%(a|b)%`, "invalid character"},
		{`%a\(b%`, "invalid character"},
		{`%日%`, "invalid character"},
		{`%(a)\1%`, "invalid character"},
		{`%a\1%`, `\1`},
		{`%a\b%`, `\b`},
		{`%a\%`, "regular expression"},
		{`%[a%`, "regular expression"},
		{`%a`, "closing '%'"},
		{`%%`, "empty"},
		{`%a% %b%`, "stand alone"},
		{`%a% b`, "stand alone"},
		{"[ip, user]", "space-delimited"},
		{`"open`, "double quote"},
		{`""`, "empty phrase"},
		{"a.b", "double quotes"},
		{"-", "double quotes"},
		{"?", "double quotes"},
		{"a -", "double quotes"},
		{`x"y"`, "double quotes"},
		{strings.Repeat("x", maxLength+1), "1024"},
		{strings.Repeat("𝄞", maxLength/2) + "x", "1024"},
	} {
		if _, err := Parse(c.pattern); err == nil || !strings.Contains(err.Error(), c.part) {
			t.Errorf("%s: %v, want an error with %q", c.pattern, err, c.part)
		}
	}
	for _, good := range []string{
		strings.Repeat("x", maxLength),
		`{ $.a[*] = 1 || $.b[*] = 1 || $.* = 1 }`,
		`{ $.a = %1% || $.b = %2% }`,
	} {
		if _, err := Parse(good); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
}

func TestSelectorValue(t *testing.T) {
	for _, c := range []struct {
		selector, want string
		ok             bool
	}{
		{"$.bandwidth", "76", true},
		{"$.number[1]", "-0.001", true},
		{"$.q", `a "b" \ *`, true},
		{"$.empty", "", true},
		{"$.o.p", "1", true},
		{"$.o", "", false},
		{"$.flag", "", false},
		{"$.none", "", false},
		{"$.missing", "", false},
	} {
		s, rest, err := cutSelector(c.selector)
		if err != nil || rest != "" {
			t.Fatalf("%s: unparsed text %q, %v", c.selector, rest, err)
		}
		if got, ok := s.value([]byte(numbers)); got != c.want || ok != c.ok {
			t.Errorf("%s: %q, %t", c.selector, got, ok)
		}
	}
	for _, bad := range []string{"1", "$", ""} {
		if _, _, err := cutSelector(bad); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}

// TestLogicMatchesGo compares arbitrary expressions of &&, || and parentheses with their value in
// Go.
func TestLogicMatchesGo(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.SliceOfN(rapid.Bool(), 4, 4).Draw(t, "values")
		// The operators && and || bind as in Go, so the test builds an expression by the grammar
		// and evaluates it at the same time.
		var or, and, unit func(depth int) (string, bool)
		unit = func(depth int) (string, bool) {
			if depth > 0 && rapid.Bool().Draw(t, "parentheses") {
				text, value := or(depth - 1)
				return "(" + text + ")", value
			}
			i := rapid.IntRange(0, len(values)-1).Draw(t, "field")
			return fmt.Sprintf("$.f%d IS TRUE", i), values[i]
		}
		and = func(depth int) (string, bool) {
			text, value := unit(depth)
			for range rapid.IntRange(0, 2).Draw(t, "and") {
				more, v := unit(depth)
				text, value = text+" && "+more, value && v
			}
			return text, value
		}
		or = func(depth int) (string, bool) {
			text, value := and(depth)
			for range rapid.IntRange(0, 2).Draw(t, "or") {
				more, v := and(depth)
				text, value = text+"||"+more, value || v
			}
			return text, value
		}
		text, want := or(2)
		if len(text) > maxLength-4 {
			t.Skip("too long")
		}
		p, err := Parse("{ " + text + " }")
		if err != nil {
			t.Fatal(err)
		}
		message := fmt.Appendf(nil, `{"f0":%t,"f1":%t,"f2":%t,"f3":%t}`, values[0], values[1], values[2], values[3])
		if got := p.Match(message); got != want {
			t.Fatalf("%s over %s: %t", text, message, got)
		}
	})
}

func FuzzParse(f *testing.F) {
	for _, c := range documented {
		f.Add(c.pattern, c.message)
	}
	f.Fuzz(func(t *testing.T, text, message string) {
		p, err := Parse(text)
		if err != nil {
			return
		}
		if p.String() != text {
			t.Errorf("%q became %q", text, p)
		}
		p.Match([]byte(message))
		p.Values([]byte(message))
	})
}
