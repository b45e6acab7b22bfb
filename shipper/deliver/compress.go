package deliver

import (
	"fmt"

	"go.uber.org/zap"

	"perstack-shipper/batch"
	"perstack-shipper/shipper/cloudwatch"
)

// Whether a body is put compressed. The API model does not mention compressed bodies, though the
// service takes them, and what stands in its place may not: a batch that is refused compressed is
// put plain once, and if that is taken, the process compresses no more.

// unexplainedPuts is how many failures in a row that say nothing of their cause make one suspect
// that the compressed body is what fails. A service that stumbles by chance seldom does so that
// often, and then takes the plain body by chance too.
const unexplainedPuts = 3

// bodies are the two forms of one body, of which one is put.
type bodies struct {
	plain, packed *batch.Body // packed: nil where there is none
	body          *batch.Body // the one to put
	why           error       // the compressed one was refused with it; nil: it was not
	certain       bool        // that was no failure that may have another cause
	unexplained   int         // such failures in a row
}

func newBodies(plain, packed *batch.Body) bodies {
	if packed != nil {
		return bodies{plain: plain, packed: packed, body: packed}
	}
	return bodies{plain: plain, body: plain}
}

// fallBack reports whether the plain body should be put at once, because a put of the compressed
// one failed in a way that the plain one might not.
func (b *bodies) fallBack(err error) bool {
	if b.body == b.plain {
		if b.why != nil && !b.certain {
			// The plain one fails as well, so the cause is another.
			b.body, b.why, b.unexplained = b.packed, nil, 0
		}
		return false
	}
	switch {
	case cloudwatch.BodyRefused(err):
		b.certain = true
	case cloudwatch.Unexplained(err):
		if b.unexplained++; b.unexplained < unexplainedPuts {
			return false
		}
	default:
		b.unexplained = 0
		return false
	}
	b.body, b.why = b.plain, err
	return true
}

// refusedPacked reports whether the compressed body was refused and the plain one is put.
func (b *bodies) refusedPacked() bool { return b.why != nil }

// stopCompressing puts plain bodies from here on, and says so once.
func (d *Deliverer) stopCompressing(why error) {
	if d.compresses.CompareAndSwap(true, false) {
		d.log.Warn(fmt.Sprintf("%s refuses compressed batches but accepts plain ones (%s); batches are sent uncompressed from now on: to start that way, give --compress off",
			d.api.Endpoint(), cloudwatch.Reason(why)), zap.String("endpoint", d.api.Endpoint()))
	}
}
