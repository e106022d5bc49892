//go:build !linux

package fsq

import (
	"errors"
	"os"
)

// openUnnamed does not exist here: every file has its name from the beginning.
func openUnnamed(string, os.FileMode) (*os.File, error) { return nil, errors.ErrUnsupported }

func nameFile(*os.File, string) error { return errors.ErrUnsupported }

func canName() bool { return false }
