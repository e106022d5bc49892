package spool

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"time"
)

// pausedFile stops all workers of a spool from claiming while it is there.
const pausedFile = ctlDir + "/paused"

// Pause says why no jobs are taken, and until when. All fields are optional: a file
// that touch(1) made says nothing, and pauses all the same.
type Pause struct {
	Reason string    `json:"reason"`
	By     string    `json:"by"`
	At     time.Time `json:"at"`
	Until  time.Time `json:"until,omitzero"` // the zero time: until somebody resumes
}

// maxPauseBytes bounds what is read of it; the rest of a longer file is no reason.
const maxPauseBytes = 64 << 10

// Paused returns the pause that holds now; nil if there is none, or one that is over.
// What cannot be read is a pause without a reason: whoever made it meant one.
func (s *Spool) Paused() (*Pause, error) {
	in, err := s.ops.look(s.abs(ctlDir), "paused")
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look whether the queue is paused: %w", err)
	}
	var p Pause
	if data, err := s.readFile(pausedFile, maxPauseBytes); err == nil && json.Unmarshal(data, &p) != nil {
		p = Pause{}
	}
	if p.At.IsZero() {
		p.At = in.mtime.UTC()
	}
	if p.Until.IsZero() || s.Now().Before(p.Until) {
		return &p, nil
	}
	if in.mtime.Before(p.Until) {
		return nil, nil
	}
	// Somebody has touched it since it was over, who wants a new one.
	return &Pause{At: in.mtime.UTC()}, nil
}

// Pause stops all workers from claiming; what they run they finish. A pause replaces
// an earlier one.
func (s *Spool) Pause(p Pause) error {
	if p.At.IsZero() {
		p.At = Truncate(s.Now())
	}
	data, err := json.MarshalIndent(p, "", "  ")
	if err != nil {
		return fmt.Errorf("pause: %w", err)
	}
	tmp := tmpDir + "/" + s.host.newWID() + "!paused"
	if err := s.writeNew(tmp, append(data, '\n'), s.format.Group != ""); err != nil {
		return fmt.Errorf("pause: %w", err)
	}
	if err := s.move(tmp, pausedFile); err != nil {
		return fmt.Errorf("pause: %w", errors.Join(err, s.ops.unlink(s.abs(tmp))))
	}
	return s.Sync(ctlDir)
}

// Resume ends the pause, and reports whether there was one.
func (s *Spool) Resume() (was bool, err error) {
	err = s.ops.unlink(s.abs(pausedFile))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("resume: %w", err)
	}
	return true, s.Sync(ctlDir)
}
