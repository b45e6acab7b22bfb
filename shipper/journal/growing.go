package journal

import (
	"errors"
	"os"
)

type growing struct{ source }

func (j *Journal) PunchesHoles() bool    { return true }
func (j *Journal) attachOutput() error   { return errors.ErrUnsupported }
func (j *Journal) attachFollowed() error { return errors.ErrUnsupported }

func findFollowed(rec record) (*os.File, bool, error) { return nil, false, errors.ErrUnsupported }
