package fsq

import (
	"bytes"
	"os"
	"strconv"
)

// residentMemory is the memory that a process of this host has in use, in bytes; nil if the
// kernel does not tell (hidepid, or the process is gone).
func residentMemory(pid int) *int64 {
	data, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/statm")
	if err != nil {
		return nil
	}
	fields := bytes.Fields(data)
	if len(fields) < 2 {
		return nil
	}
	pages, err := strconv.ParseInt(string(fields[1]), 10, 64)
	if err != nil {
		return nil
	}
	return ptr(pages * int64(os.Getpagesize()))
}
