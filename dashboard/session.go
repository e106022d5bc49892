package dashboard

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"net/http"
	"strings"
	"sync"
	"time"
)

const (
	// sessionLasts is how long a browser is known after it has given a token.
	sessionLasts = 30 * 24 * time.Hour
	// maxRevoked bounds how many sessions are remembered that were ended before their time,
	// some hundred bytes each: more than people log out in a month.
	maxRevoked = 10_000
	// sessionNonce tells apart the sessions of one token, in bytes: one is ended, and not
	// the others.
	sessionNonce = 8
)

// newSession is a cookie's value: until when it holds, a number of its own, and that
// somebody said so who has the token. The token itself is not in it, and another token ends
// it.
func newSession(t Token, until time.Time) string {
	v := binary.BigEndian.AppendUint64(nil, uint64(until.Unix()))
	nonce := make([]byte, sessionNonce)
	_, _ = rand.Read(nonce) // it never fails
	v = append(v, nonce...)
	return base64.RawURLEncoding.EncodeToString(append(v, seal(t, v)...))
}

func seal(t Token, v []byte) []byte {
	m := hmac.New(sha256.New, []byte("queuectl dashboard session\x00"+t.Secret))
	_, _ = m.Write(v) // it never fails
	return m.Sum(nil)
}

// session is a cookie that was taken.
type session struct {
	token Token
	until time.Time
	sum   [sha256.Size]byte // which one it is
}

// sessionOf is the session that a cookie's value is of; ok is false if it is none, or over.
func (d *Dashboard) sessionOf(value string) (found session, ok bool) {
	data, err := base64.RawURLEncoding.Strict().DecodeString(value)
	if err != nil || len(data) != 8+sessionNonce+sha256.Size {
		return found, false
	}
	v, sum := data[:8+sessionNonce], data[8+sessionNonce:]
	for _, t := range d.opt.Tokens {
		if hmac.Equal(sum, seal(t, v)) {
			found, ok = session{t, time.Unix(int64(binary.BigEndian.Uint64(data[:8])), 0), [sha256.Size]byte(sum)}, true
		}
	}
	return found, ok && d.now().Before(found.until) && !d.revoked.has(found)
}

// revocations are sessions that were ended before their time. The zero value is ready; it is
// safe for concurrent use. They are forgotten with the program: a cookie that somebody else
// has copied holds again then, until a new token ends it.
type revocations struct {
	mu    sync.Mutex
	until map[[sha256.Size]byte]time.Time
}

func (r *revocations) has(s session) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, has := r.until[s.sum]
	return has
}

func (r *revocations) add(s session, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.until == nil {
		r.until = map[[sha256.Size]byte]time.Time{}
	}
	if len(r.until) >= maxRevoked {
		first := s.sum
		for sum, until := range r.until {
			if !now.Before(until) {
				delete(r.until, sum)
			} else if first == s.sum || until.Before(r.until[first]) {
				first = sum
			}
		}
		if len(r.until) >= maxRevoked {
			delete(r.until, first)
		}
	}
	r.until[s.sum] = s.until
}

// cookieName tells apart the dashboards of one host, whatever their ports: a browser does
// not.
func cookieName(dir, base string) string {
	sum := sha256.Sum256([]byte(dir + "\x00" + base))
	return "queuectl-" + hex.EncodeToString(sum[:4])
}

func (d *Dashboard) sessionCookie(r *http.Request, value string, age time.Duration) *http.Cookie {
	return &http.Cookie{
		Name: d.cookie, Value: value, Path: d.base + "/", MaxAge: int(age / time.Second),
		HttpOnly: true, SameSite: http.SameSiteStrictMode,
		// A proxy says so itself; whoever else does only makes his own cookie stricter.
		Secure: r.TLS != nil || strings.EqualFold(r.Header.Get("X-Forwarded-Proto"), "https"),
	}
}

// logout ends the session, also for who has copied the cookie.
func (d *Dashboard) logout(w http.ResponseWriter, r *http.Request) {
	if c, err := r.Cookie(d.cookie); err == nil {
		if s, ok := d.sessionOf(c.Value); ok {
			d.revoked.add(s, d.now())
		}
	}
	http.SetCookie(w, d.sessionCookie(r, "", -time.Second))
	http.Redirect(w, r, d.url("/"), http.StatusSeeOther)
}
