package run

import (
	"context"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
)

// timeout(1) sends its signal twice, but means one.
func TestSignalThatComesTwice(t *testing.T) {
	for _, tc := range []struct {
		name   string
		second os.Signal
		after  time.Duration
		want   error
	}{
		{"timeout", syscall.SIGTERM, time.Millisecond, errDeadline},
		{"twice", syscall.SIGTERM, sameSignal, errSecondSignal},
		{"another", syscall.SIGINT, time.Millisecond, errSecondSignal},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				signals := make(chan os.Signal)
				s := newShutdown(signals, time.Minute, Patience{}, zap.NewNop())
				defer s.close()
				signals <- syscall.SIGTERM
				time.Sleep(tc.after)
				signals <- tc.second
				<-s.running.Done()
				if got := context.Cause(s.running); got != tc.want {
					t.Errorf("it ends because of: %v; want: %v", got, tc.want)
				}
			})
		})
	}
}
