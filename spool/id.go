package spool

import (
	"crypto/rand"
	"encoding/binary"
	"strings"
	"sync"
	"time"
)

// crockford is the alphabet of a ULID, in lower case (github.com/ulid/spec).
const crockford = "0123456789abcdefghjkmnpqrstvwxyz"

const ulidLen = 26

var ulids struct {
	sync.Mutex
	ms     uint64
	hi, lo uint64 // 16 and 64 random bits
}

// NewID makes an id for a job whose user gave none: a ULID in lower case, 48 bits
// of the spool's time in milliseconds and 80 random ones. Within a process each is
// greater than the one before, so that jobs keep the order of their making.
func (s *Spool) NewID() string { return newULID(uint64(s.Now().UnixMilli())) }

func newULID(ms uint64) string {
	ulids.Lock()
	defer ulids.Unlock()
	if ms > ulids.ms {
		var b [10]byte
		_, _ = rand.Read(b[:]) // never fails, see its documentation
		ulids.ms = ms
		// The top bit stays clear, which leaves room to count up.
		ulids.hi = uint64(binary.BigEndian.Uint16(b[:2])) & 0x7fff
		ulids.lo = binary.BigEndian.Uint64(b[2:])
	} else if ulids.lo++; ulids.lo == 0 {
		ulids.hi++
	}
	return encodeULID(ulids.ms, ulids.hi, ulids.lo)
}

func encodeULID(ms, hi, lo uint64) string {
	var b [ulidLen]byte
	for i := 9; i >= 0; i-- {
		b[i] = crockford[ms&31]
		ms >>= 5
	}
	for i := ulidLen - 1; i >= 10; i-- {
		b[i] = crockford[lo&31]
		lo = lo>>5 | hi<<59
		hi >>= 5
	}
	return string(b[:])
}

// IDTime is when an id was made that nobody chose; ok is false for any other.
func IDTime(id string) (t time.Time, ok bool) { return ulidTime(id) }

// ulidTime is the time that a ULID of NewID carries; ok is false for any other id.
func ulidTime(id string) (t time.Time, ok bool) {
	if len(id) != ulidLen || id[0] > '7' {
		return time.Time{}, false
	}
	var ms int64
	for i := range ulidLen {
		v := strings.IndexByte(crockford, id[i])
		if v < 0 {
			return time.Time{}, false
		}
		if i < 10 {
			ms = ms<<5 | int64(v)
		}
	}
	return time.UnixMilli(ms).UTC(), true
}
