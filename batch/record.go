package batch

// Record makes ev from message, a record of the shipper's own: one JSON object of at most
// MaxEventBytes, to be put at time (milliseconds since 1970) into the stream with index route.
// message must stay unchanged until ev is added.
func Record(ev *Event, message []byte, time int64, route int) {
	*ev = Event{Time: time, Size: len(message), Route: route, rest: message}
}
