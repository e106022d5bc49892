package fsq

import (
	"fmt"
	"math/big"
	"regexp"
	"strconv"
	"strings"
	"sync"
)

const wantSize = "a size such as 512KiB, 10MiB or 1048576 (bytes)"

// sizeShape bounds the digits, so that nobody's number is expensive to read.
var sizeShape = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^(\d{1,20}(?:\.\d{1,20})?) ?([a-z]*)$`) })

// ParseSize reads a number of bytes. K, M, G, T (also Ki, KiB …) are powers of
// 1024, KB, MB, GB, TB are powers of 1000, as coreutils has them; case does not
// matter; a bare number and B are bytes. Fractions are fine if whole bytes come
// out. Errors begin with "must be".
func ParseSize(s string) (int64, error) {
	bad := fmt.Errorf("must be %s, not %s", wantSize, quote(s))
	part := sizeShape().FindStringSubmatch(strings.ToLower(strings.TrimSpace(s)))
	if part == nil {
		return 0, bad
	}
	unit, ok := sizeUnit(part[2])
	if !ok {
		return 0, bad
	}
	number, ok := new(big.Rat).SetString(part[1])
	if !ok {
		return 0, bad
	}
	number.Mul(number, new(big.Rat).SetInt64(unit))
	if !number.IsInt() {
		return 0, fmt.Errorf("must be a whole number of bytes, not %s", quote(s))
	}
	if !number.Num().IsInt64() {
		return 0, fmt.Errorf("must be less than 8 EiB, not %s", quote(s))
	}
	return number.Num().Int64(), nil
}

func sizeUnit(name string) (int64, bool) {
	if name == "" || name == "b" {
		return 1, true
	}
	power := strings.IndexByte("kmgt", name[0]) + 1
	base := int64(1024)
	switch name[1:] {
	case "", "i", "ib":
	case "b":
		base = 1000
	default:
		return 0, false
	}
	unit := int64(1)
	for range power {
		unit *= base
	}
	return unit, power > 0
}

// FormatSize writes n exactly, in the largest unit in which it has at most one
// half ("10MiB", "1.5KiB", "1000"). ParseSize is its inverse, but for negative n.
func FormatSize(n int64) string {
	for _, unit := range []struct {
		size int64
		name string
	}{{1 << 40, "TiB"}, {1 << 30, "GiB"}, {1 << 20, "MiB"}, {1 << 10, "KiB"}} {
		if n < unit.size || n%(unit.size/2) != 0 {
			continue
		}
		s := strconv.FormatInt(n/unit.size, 10)
		if n%unit.size != 0 {
			s += ".5"
		}
		return s + unit.name
	}
	return strconv.FormatInt(n, 10)
}
