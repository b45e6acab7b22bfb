package batch

// SmallBounds are what Narrow sets. A part's own members may take 14 KB, which it must have beside
// its piece of the line.
const (
	SmallEvent = 24 << 10
	SmallLine  = 96 << 10
	SmallStep  = 12 << 10
)

// Narrow lets a new Shaper cut lines at a fortieth of their bounds, so that a test can cut more of
// them.
func (s *Shaper) Narrow() {
	s.write.most, s.cut.long, s.cut.piece = SmallEvent, SmallLine, SmallStep
}
