package check

import (
	"encoding/json"
	"errors"
	"fmt"

	"perstack-shipper/shipper/cloudwatch"
	"perstack-shipper/shipper/journal"
	"perstack-shipper/shipper/quantity"
)

// littleRoom is how much free space is too little for long.
const littleRoom = 64 << 20

// journal reports on the journal folder.
func (c *checker) journal() {
	folder, err := journal.Open(c.JournalDir)
	if err != nil {
		c.unusable(err)
		return
	}
	disk, err := folder.Disk()
	if err != nil {
		c.unusable(err)
		return
	}
	c.disk(folder.Path(), disk)
	c.backlog(folder)
}

// unusable reports why the folder cannot be used.
func (c *checker) unusable(err error) {
	_, unwritable := errors.AsType[*journal.UnwritableError](err)
	switch {
	case errors.Is(err, journal.ErrFull):
		c.add("journal", Failed, err.Error(), "make room there, or give --journal-dir a folder on another disk")
	case unwritable && !c.JournalNamed:
		c.add("journal", Warning, err.Error()+": the input would be kept in memory, and a kill would lose it", "give --journal-dir a folder that can be written")
	default:
		c.add("journal", Failed, err.Error(), "give --journal-dir a folder that this user can write")
	}
}

// disk reports on the disk that holds the folder.
func (c *checker) disk(path string, d journal.Disk) {
	message := path + " can be written"
	if d.Type != "" {
		message += ", on " + d.Type
	}
	if d.FreeKnown {
		message += ", " + size(d.Free) + " free"
	}
	if d.Holes {
		message += ", with holes"
	} else {
		message += ", without holes: the output of exec frees its space only when the command has ended"
	}
	switch {
	case d.FreeKnown && d.Free < littleRoom:
		c.add("journal", Warning, message, "make room there: a full journal makes the agent wait")
	case c.Dies != nil && c.Dies(path):
		c.add("journal", Warning, message+"; it is on this container's own disk and dies with it", "mount a volume there")
	case d.Type == "tmpfs" || d.Type == "ramfs":
		c.add("journal", Warning, message+"; it is in memory and dies with the machine or the container", "give --journal-dir a folder on a disk")
	default:
		c.add("journal", OK, message, "")
	}
}

// backlog reports the inputs that wait in the folder.
func (c *checker) backlog(folder *journal.Folder) {
	left, err := folder.Leftover()
	if err != nil {
		c.add("backlog", Failed, err.Error(), "")
		return
	}
	var waiting, held, elsewhere, unread, bytes int64
	for _, l := range left {
		var about struct {
			Target cloudwatch.Target `json:"target"`
		}
		target := c.Client.Target()
		switch {
		case l.Holder != 0:
			held++
			continue
		case l.Err != nil || json.Unmarshal(l.About, &about) != nil:
			unread++
			continue
		case l.Unacked == 0 && l.Kind == journal.KindFile:
			continue
		case about.Target.Group != target.Group || about.Target.Region != target.Region || about.Target.Endpoint != target.Endpoint:
			elsewhere++
		}
		waiting++
		bytes += l.Unacked
	}
	message := "nothing waits"
	if waiting > 0 {
		message = fmt.Sprintf("%s (%s)", quantity.Count(waiting, "input of earlier processes waits", "inputs of earlier processes wait"), size(bytes))
	}
	if held > 0 {
		message += fmt.Sprintf("; %s being shipped", quantity.Count(held, "input is", "inputs are"))
	}
	switch {
	case unread > 0:
		c.add("backlog", Warning, fmt.Sprintf("%s; %s cannot be read", message, quantity.Count(unread, "input", "inputs")), "see `perstack-shipper resume`, which names them")
	case elsewhere > 0:
		c.add("backlog", Warning, fmt.Sprintf("%s, %d of them for another group, Region or endpoint", message, elsewhere),
			"`perstack-shipper resume` ships them where they were meant to go")
	case waiting > 0:
		c.add("backlog", OK, message+"; the next start ships "+quantity.Plural(waiting, "it", "them"), "")
	default:
		c.add("backlog", OK, message, "")
	}
}

// size formats a number of bytes for a person.
func size(n int64) string {
	unit, units := float64(n), []string{"bytes", "KiB", "MiB", "GiB", "TiB"}
	for unit >= 1024 && len(units) > 1 {
		unit, units = unit/1024, units[1:]
	}
	if units[0] == "bytes" {
		return fmt.Sprintf("%d bytes", n)
	}
	return fmt.Sprintf("%.1f %s", unit, units[0])
}
