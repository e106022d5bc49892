package spool

import (
	"reflect"
	"testing"
)

func TestParseMountinfo(t *testing.T) {
	t.Parallel()
	table := []byte(`26 1 254:0 / / rw,relatime - ext4 /dev/vda rw,discard
40 26 0:50 / /mnt/a\040b rw,nosuid shared:7 master:1 - nfs4 server:/x rw,soft,vers=4.2
41 26 0:50 / /mnt/c rw - nfs4 server:/x rw,hard
broken
`)
	nfs := Mount{Type: "nfs4", Source: "server:/x", Point: "/mnt/a b", Options: []string{"rw", "nosuid", "rw", "soft", "vers=4.2"}}
	last := Mount{Type: "nfs4", Source: "server:/x", Point: "/mnt/c", Options: []string{"rw", "rw", "hard"}}
	for _, c := range []struct {
		id, dev string
		want    Mount
	}{
		{"40", "0:50", nfs},
		{"40", "9:9", nfs}, // as on btrfs
		{"", "0:50", last},
		{"99", "254:0", Mount{}},
		{"", "9:9", Mount{}},
	} {
		if m := parseMountinfo(table, c.id, c.dev); !reflect.DeepEqual(m, c.want) {
			t.Errorf("%q %q: %+v, want %+v", c.id, c.dev, m, c.want)
		}
	}
	if m := mountOf(t.TempDir()); m.Type == "" || m.Size == 0 {
		t.Errorf("of this directory: %+v", m)
	}
}
