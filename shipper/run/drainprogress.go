package run

import (
	"fmt"
	"time"

	"go.uber.org/zap"

	"perstack-shipper/shipper"
	"perstack-shipper/shipper/logfield"
)

// drainShownAfter keeps short drains from flickering on a terminal.
const drainShownAfter = 500 * time.Millisecond

// showDrain reports the progress of a drain: on a terminal in a line that it rewrites, and
// elsewhere in the log every Patience.DrainLog.
func (s *Session) showDrain(d shipper.Drain) {
	now := s.now()
	if s.status != nil {
		if now.Sub(d.Since) >= drainShownAfter {
			s.status(drainText(d))
		}
		return
	}
	if s.drainLogged.Before(d.Since) {
		s.drainLogged = d.Since
	}
	if now.Sub(s.drainLogged) < s.patience.DrainLog {
		return
	}
	s.drainLogged = now
	s.log.Info(drainText(d), logfield.Bytes(d.Left), zap.Float64("bytesPerSecond", d.Rate), zap.String("cause", d.Cause),
		zap.Float64("seconds", now.Sub(d.Since).Seconds()))
}

func drainText(d shipper.Drain) string {
	text := fmt.Sprintf("the input has ended: %.1f MB left to ship, %.1f MB/s", float64(d.Left)/1e6, d.Rate/1e6)
	if d.Left < 100_000 { // too little for a rate to mean anything
		text = fmt.Sprintf("the input has ended: %d bytes left to ship", d.Left)
	}
	if d.Cause != "" {
		text += "; waiting because of: " + d.Cause
	}
	return text
}
