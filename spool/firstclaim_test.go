package spool

import (
	"testing"
	"time"
)

// A job that brings its machine down runs out of attempts, though its first claim is not
// synced before it runs: the next SyncClaims sees to it that it counts.
func TestFirstClaimsCountFromTheirSyncOn(t *testing.T) {
	t.Parallel()
	for _, kind := range []durability{journal, btree} {
		for _, synced := range []bool{false, true} {
			f := newSimFS(kind, "/sim", time.Now)
			_, err := initialise("/sim/spool", "", f.ops())
			mustDo(t, err)
			s, err := open("/sim/spool", f.ops())
			mustDo(t, err)
			s.network, s.host.BootID = false, "boot-1"
			it := item(s, "job-1")
			mustDo(t, s.Put(it))
			l := mustRegister(t, s)
			f.commit(len(f.records))
			_, err = l.Claim(it.Name)
			mustDo(t, err)
			if synced {
				mustDo(t, l.SyncClaims())
			}
			f.cut(0)

			s.host.BootID = "boot-2"
			_, err = s.Recover()
			mustDo(t, err)
			if e := only(t, s); synced != (e.State == Processing && e.Attempt == 1) {
				t.Errorf("mode %d, synced %v: it is %s", kind, synced, e.Path)
			}
		}
	}
}
