package deliver

// This file decides whether a body is put compressed. The API model does not mention compressed
// bodies. The service accepts them, but a stand-in may not. A batch that is refused compressed is
// put plain once; if that is accepted, the process stops compressing.

import (
	"fmt"

	"go.uber.org/zap"

	"perstack-shipper/batch"
	"perstack-shipper/shipper/cloudwatch"
)

// unexplainedPuts is how many failures in a row without a stated cause make the compressed body
// suspect. A service that fails by chance seldom does so that often in a row, and would then accept
// the plain body by chance too.
const unexplainedPuts = 3

// bodies holds the two forms of one body and chooses the one to put.
type bodies struct {
	plain, packed *batch.Body // packed may be nil
	body          *batch.Body // the one to put
	why           error       // the error that made us give up on packed; nil: none did
	certain       bool        // why can only be due to the compression
	unexplained   int         // failures of packed in a row without a stated cause
}

func newBodies(plain, packed *batch.Body) bodies {
	if packed != nil {
		return bodies{plain: plain, packed: packed, body: packed}
	}
	return bodies{plain: plain, body: plain}
}

// fallBack reports whether the plain body should be put at once, because a put of the compressed
// one failed in a way that the plain one may not.
func (b *bodies) fallBack(err error) bool {
	if b.body == b.plain {
		if b.why != nil && !b.certain {
			// The plain one fails as well, so compression is not the cause.
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

// refusedPacked reports whether the compressed body was refused and the plain one is being put.
func (b *bodies) refusedPacked() bool { return b.why != nil }

// stopCompressing makes all further puts plain, and logs that once.
func (d *Deliverer) stopCompressing(why error) {
	if d.compresses.CompareAndSwap(true, false) {
		d.log.Warn(fmt.Sprintf("%s refuses compressed batches but accepts plain ones (%s); batches are sent uncompressed from now on; to start that way, set --compress off",
			d.api.Endpoint(), cloudwatch.Reason(why)), zap.String("endpoint", d.api.Endpoint()))
	}
}
