package batch

// Record makes ev from message, which is one of the shipper's own records: a JSON object of at most
// MaxEventBytes. The event has the given time, in milliseconds since 1970, and goes to the stream
// with index route. message must not change until ev is added to a batch.
func Record(ev *Event, message []byte, time int64, route int) {
	*ev = Event{Time: time, Size: len(message), Route: route, rest: message}
}
