//go:build !linux

package fsq

import "time"

func bootTime() time.Duration { return time.Since(processStart) }

var processStart = time.Now()
