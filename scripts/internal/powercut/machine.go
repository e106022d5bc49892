package main

import "time"

// machine is a computer whose power can be cut: processes of their own on a disk of
// their own, with the boot id of a fresh boot. See machine_linux.go.
type machine struct {
	fs    string // ext4, xfs or btrfs
	image string // the disk
	boot  string // boot id
	role  string // load or verify
	args  []string
	log   string // where its stderr goes
}

// life is how long a machine may run before its power is cut. After 30 s kernels
// begin to write back what nobody asked them to: what is not synced must not be saved
// by that.
const life = 20 * time.Second

// mountOptions hold write-back off: no commit by time, and on ext4 no flush of a file
// that replaces another. xfs writes its log every 30 s, which is longer than a life.
var mountOptions = map[string]string{
	"ext4":  "loop,commit=300,noauto_da_alloc",
	"xfs":   "loop",
	"btrfs": "loop,commit=300",
}
