package readback

import (
	"bytes"
	"encoding/json"
)

// filtered returns what an event's shipper member says of the lines before it that --exclude-type left out, and of the matches in it that
// --redact replaced.
func filtered(member []byte) (excluded, redacted int64) {
	if !bytes.Contains(member, []byte(`"excluded":`)) && !bytes.Contains(member, []byte(`"redacted":`)) {
		return 0, 0
	}
	var says struct{ Excluded, Redacted json.RawMessage }
	if json.Unmarshal(member, &says) != nil {
		return 0, 0
	}
	return number(says.Excluded), number(says.Redacted)
}

// number returns a count. What is none, such as the text of a --field, counts nothing.
func number(value json.RawMessage) (n int64) {
	if json.Unmarshal(value, &n) != nil {
		return 0
	}
	return max(n, 0)
}
