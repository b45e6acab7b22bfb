package main

// What the bench and its endpoint say to each other: an order a line on the endpoint's stdin, an
// answer a line on its stdout, both JSON.

// order is one of: "reset" forgets what was put and takes Latency from now on; "away" closes the
// listeners and every connection, "back" opens them again; "check" decodes what was put; "accepted"
// says when the lines were.
type order struct {
	Do      string `json:"do"`
	Latency int64  `json:"latency,omitempty"` // nanoseconds from the whole of a request to its answer

	// Of check. What was put is to be Lines lines whose lineSums add up to Sum.
	Form  form   `json:"form,omitempty"`
	Lines int    `json:"lines,omitempty"`
	Sum   uint64 `json:"sum,omitempty"`

	// Of accepted, and of check for lines in form found.
	First int `json:"first,omitempty"` // number of the first line
}

// form is what a program makes of a line.
type form string

const (
	formShipper form = "shipper" // an event as perstack-shipper writes it: with input and seq
	formLine    form = "line"    // the line itself
	formFound   form = "found"   // anything that has the line's id in it
)

// hello is the first thing that the endpoint says.
type hello struct {
	HTTP  string `json:"http"`  // URLs
	HTTPS string `json:"https"` //
	CA    string `json:"ca"`    // a certificate that vouches for HTTPS, PEM
}

// answer is the endpoint's to an order.
type answer struct {
	Error string `json:"error,omitempty"`

	// Of check.
	Puts     int   `json:"puts"`     // PutLogEvents
	Creates  int   `json:"creates"`  // other calls
	Events   int   `json:"events"`   // with the shipper's own records
	Messages int64 `json:"messages"` // bytes of them
	Wire     int64 `json:"wire"`     // bytes of the bodies of puts
	InFlight int   `json:"inFlight"` // most puts at once

	First int64 `json:"first"` // when the first put came in, nanoseconds since 1970
	Last  int64 `json:"last"`  // when the last put was answered
	// Problems are what is wrong: lines that are missing, twice or changed; batches that CloudWatch
	// would refuse.
	Problems []string `json:"problems,omitempty"`

	// How full the batches are by the service's count, all but the last: 1 is 1 MiB of messages
	// with 26 bytes for each. 0: there is one batch only.
	FillMean float64 `json:"fillMean"`
	FillMin  float64 `json:"fillMin"`
	// GapMedian is from an answer to the next put, nanoseconds.
	GapMedian int64 `json:"gapMedian"`

	// Of accepted: when each line was, from First on, nanoseconds since 1970; 0: never.
	Accepted []int64 `json:"accepted,omitempty"`
}
