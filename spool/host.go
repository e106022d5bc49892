package spool

import (
	"crypto/rand"
	"encoding/base32"
	"fmt"
	"os"
	"strings"
)

// Host tells one kernel, boot and process namespace from another.
type Host struct {
	Name   string // [a-z0-9-], at most 32 bytes
	BootID string // "" where the system has none
	PIDNS  string // the pid namespace: two containers of a host share the boot id but not their pids
}

func thisHost() Host {
	name, err := os.Hostname()
	if err != nil {
		name = ""
	}
	return Host{Name: HostName(name), BootID: bootID(), PIDNS: pidNamespace()}
}

// HostName makes a host's name fit a file name: web1.example.org is web1.
func HostName(s string) string {
	s, _, _ = strings.Cut(strings.ToLower(s), ".")
	b := []byte(s)
	for i, c := range b {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			b[i] = '-'
		}
	}
	s = strings.Trim(string(b[:min(len(b), 32)]), "-")
	if s == "" {
		return "host"
	}
	return s
}

// newWID makes the name of a worker incarnation, or of a writer in tmp/.
func (h Host) newWID() string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails, see its documentation
	random := strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(b[:]))
	return fmt.Sprintf("%s.%d.%s", h.Name, os.Getpid(), random)
}

// parseWID splits the name of a worker incarnation.
func parseWID(wid string) (host string, pid int, ok bool) {
	part := strings.Split(wid, ".")
	if len(part) != 3 || HostName(part[0]) != part[0] || len(part[2]) != 13 || strings.Trim(part[2], "abcdefghijklmnopqrstuvwxyz234567") != "" {
		return "", 0, false
	}
	pid, err := number(part[1], 1, 1<<30)
	return part[0], pid, err == nil
}
