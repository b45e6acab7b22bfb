package batch

// SmallBounds are the bounds that Narrow sets. The members of a part may take 14 KB, which must fit
// in addition to a piece of the line.
const (
	SmallEvent = 24 << 10
	SmallLine  = 96 << 10
	SmallStep  = 12 << 10
)

// Narrow makes a new Shaper cut lines at a fortieth of the real bounds, so that a test can cut more
// lines.
func (s *Shaper) Narrow() {
	s.write.most, s.cut.long, s.cut.piece = SmallEvent, SmallLine, SmallStep
}
