package cwlocal

import (
	"encoding/json"
	"fmt"

	"perstack-shipper/shipper/cwlocal/pattern"
)

// maxTestMessages bounds the messages of one TestMetricFilter call.
const maxTestMessages = 50

// testMetricFilter tests a filter pattern on the messages in the request.
type testMetricFilter struct {
	FilterPattern    *string
	LogEventMessages []string
}

func (o *testMetricFilter) target() (string, string, int) { return "", "", 0 }

// metricMatch is a message that the pattern matches, with the values of its selectors.
type metricMatch struct {
	Number int               `json:"eventNumber"` // from 1
	Text   string            `json:"eventMessage"`
	Values map[string]string `json:"extractedValues"`
}

func (o *testMetricFilter) do(*Server, string) ([]byte, error) {
	if o.FilterPattern == nil {
		return nil, constraint("null", "filterPattern", "not be null")
	}
	if n := len(o.LogEventMessages); n == 0 || n > maxTestMessages {
		return nil, constraint(fmt.Sprint(n, " messages"), "logEventMessages", fmt.Sprintf("have length 1 to %d", maxTestMessages))
	}
	p, err := pattern.Parse(*o.FilterPattern)
	if err != nil {
		return nil, invalid("%v", err)
	}
	matches := []metricMatch{}
	for i, m := range o.LogEventMessages {
		if m == "" {
			return nil, constraint(m, "logEventMessages", "have length greater than or equal to 1")
		}
		if p.Match([]byte(m)) {
			matches = append(matches, metricMatch{i + 1, m, p.Values([]byte(m))})
		}
	}
	return json.Marshal(map[string]any{"matches": matches})
}
