//go:build !linux

package fsq

// residentMemory would need a call for each system.
func residentMemory(int) *int64 { return nil }
