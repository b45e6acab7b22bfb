package readback

import "encoding/binary"

// details is what a view needs to know about an event besides its bytes. The store keeps them
// packed in front of the bytes.
type details struct {
	stream            int32 // index into Report.Streams
	time, arrived     int64
	redacted          int64
	typ, jobID, runID string
	source            string
	record            string
}

func (d *details) append(b []byte) []byte {
	b = binary.AppendUvarint(b, uint64(d.stream))
	b = binary.AppendVarint(b, d.time)
	b = binary.AppendVarint(b, d.arrived)
	b = binary.AppendVarint(b, d.redacted)
	for _, s := range []string{d.typ, d.jobID, d.runID, d.source, d.record} {
		b = binary.AppendUvarint(b, uint64(len(s)))
		b = append(b, s...)
	}
	return b
}

// read unpacks what append wrote. It does not allocate for strings that have not changed since the
// last call.
func (d *details) read(b []byte) {
	unsigned := func() uint64 {
		n, size := binary.Uvarint(b)
		b = b[size:]
		return n
	}
	signed := func() int64 {
		n, size := binary.Varint(b)
		b = b[size:]
		return n
	}
	d.stream = int32(unsigned())
	d.time, d.arrived, d.redacted = signed(), signed(), signed()
	for _, s := range []*string{&d.typ, &d.jobID, &d.runID, &d.source, &d.record} {
		n := unsigned()
		if string(b[:n]) != *s {
			*s = string(b[:n])
		}
		b = b[n:]
	}
}
