package event

import (
	"bytes"
	"encoding/json"
)

// Member is a member of a JSON object. Value holds its original bytes.
type Member struct {
	Name  string
	Value json.RawMessage
}

// Members returns the members of a JSON object in order. It returns false if line is not a complete
// JSON object.
func Members(line []byte) ([]Member, bool) {
	d := json.NewDecoder(bytes.NewReader(line))
	if open, err := d.Token(); err != nil || open != json.Delim('{') {
		return nil, false
	}
	var members []Member
	for d.More() {
		name, err := d.Token()
		var value json.RawMessage
		if err != nil || d.Decode(&value) != nil {
			return nil, false
		}
		members = append(members, Member{name.(string), value})
	}
	_, err := d.Token() // the brace
	return members, err == nil
}
