package main

// This file is the protocol between the bench and its endpoint: one order per line on the
// endpoint's stdin, one answer per line on its stdout, both in JSON.

// order is one of these: "reset" discards what was put and sets Latency; "away" closes the
// listeners and all connections, and "back" opens them again; "check" decodes what was put;
// "accepted" returns when the lines were accepted.
type order struct {
	Do      string `json:"do"`
	Latency int64  `json:"latency,omitempty"` // nanoseconds from the end of a request to its answer

	// For check: what was put should be Lines lines whose lineSums add up to Sum.
	Form  form   `json:"form,omitempty"`
	Lines int    `json:"lines,omitempty"`
	Sum   uint64 `json:"sum,omitempty"`

	// For accepted, and for check of lines in form found.
	First int `json:"first,omitempty"` // number of the first line
}

// form is what a program makes of a line.
type form string

const (
	formShipper form = "shipper" // an event as perstack-shipper writes it: with input and seq
	formLine    form = "line"    // the line itself
	formFound   form = "found"   // anything that contains the line's id
)

// hello is the endpoint's first output.
type hello struct {
	HTTP  string `json:"http"` // URL
	HTTPS string `json:"https"`
	CA    string `json:"ca"` // PEM certificate that HTTPS is signed with
}

// answer is the endpoint's answer to an order.
type answer struct {
	Error string `json:"error,omitempty"`

	// For check.
	Puts     int   `json:"puts"`     // PutLogEvents
	Creates  int   `json:"creates"`  // other calls
	Events   int   `json:"events"`   // including the shipper's own records
	Messages int64 `json:"messages"` // bytes of their messages
	Wire     int64 `json:"wire"`     // bytes of the bodies of puts
	InFlight int   `json:"inFlight"` // maximum number of concurrent puts

	First int64 `json:"first"` // when the first put arrived, nanoseconds since 1970
	Last  int64 `json:"last"`  // when the last put was answered
	// Problems lists what is wrong: lines that are missing, duplicated or changed, and batches that
	// CloudWatch would refuse.
	Problems []string `json:"problems,omitempty"`

	// How full all batches but the last are, as the service counts: 1 is 1 MiB of messages with 26
	// bytes for each. 0 means that there is only one batch.
	FillMean float64 `json:"fillMean"`
	FillMin  float64 `json:"fillMin"`
	// GapMedian is the median time from an answer to the next put, in nanoseconds.
	GapMedian int64 `json:"gapMedian"`

	// For accepted: when each line from First on was accepted, in nanoseconds since 1970; 0: never.
	Accepted []int64 `json:"accepted,omitempty"`
}
