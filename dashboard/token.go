package dashboard

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"strings"
	"syscall"
)

const (
	// minToken is the length, in bytes, below which a token can be guessed.
	minToken = 16
	// maxTokenFile bounds what is read of the file of tokens, in bytes.
	maxTokenFile = 64 << 10
)

// ReadTokens reads a file of tokens: one to a line, perhaps with a name and a colon before
// it. Empty lines and those that begin with # do not count. It refuses a file that others
// may read or write, the error wraps ErrExposed then; and tokens that are too short.
func ReadTokens(path string) ([]Token, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read the tokens: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("read the tokens: %w", err)
	}
	if err := private(info); err != nil {
		return nil, fmt.Errorf("read the tokens in %s: %w", path, err)
	}
	data, err := io.ReadAll(io.LimitReader(f, maxTokenFile+1))
	if err != nil {
		return nil, fmt.Errorf("read the tokens: %w", err)
	}
	if len(data) > maxTokenFile {
		return nil, fmt.Errorf("read the tokens in %s: it is longer than %d bytes", path, maxTokenFile)
	}
	tokens, err := parseTokens(data)
	if err != nil {
		return nil, fmt.Errorf("read the tokens in %s: %w", path, err)
	}
	return tokens, nil
}

// ErrExposed says that others may read, or write, a file of tokens.
var ErrExposed = errors.New("others may read or write it")

// private refuses a file that other users can read or write. A group may read what is
// root's: so services are given secrets.
func private(info fs.FileInfo) error {
	mode := info.Mode()
	if !mode.IsRegular() {
		return nil // a pipe of the shell: nobody else has it
	}
	shared := fs.FileMode(0o077)
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		if st.Uid == 0 {
			shared = 0o037
		}
		if st.Uid != 0 && int(st.Uid) != os.Geteuid() {
			return fmt.Errorf("it belongs to another user: %w", ErrExposed)
		}
	}
	if mode.Perm()&shared != 0 {
		return fmt.Errorf("its mode is %04o: %w", mode.Perm(), ErrExposed)
	}
	return nil
}

func parseTokens(data []byte) (tokens []Token, err error) {
	lines := bufio.NewScanner(bytes.NewReader(data))
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		t := Token{Secret: line}
		if name, secret, named := strings.Cut(line, ":"); named {
			t = Token{strings.TrimSpace(name), strings.TrimSpace(secret)}
		}
		if err := t.Validate(); err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		tokens = append(tokens, t)
	}
	if len(tokens) == 0 && lines.Err() == nil {
		return nil, errors.New("there is no token in it")
	}
	return tokens, lines.Err()
}

// Validate refuses a secret that is short enough to be guessed.
func (t Token) Validate() error {
	if len(t.Secret) < minToken {
		return fmt.Errorf("a token must have %d characters or more", minToken)
	}
	return nil
}

func (d *Dashboard) usesTokens() bool { return len(d.opt.Tokens) > 0 }

// identify tells whose token, or session, a request has; known says that it has one, or
// needs none.
func (d *Dashboard) identify(r *http.Request, path string) (name string, known bool) {
	if !d.usesTokens() {
		return "", true
	}
	if t, ok := d.tokenOf(r.URL.Query().Get("token")); ok && navigates(r, path) {
		return t.Name, true
	}
	if kind, secret, ok := strings.Cut(r.Header.Get("Authorization"), " "); ok && strings.EqualFold(kind, "Bearer") {
		t, ok := d.tokenOf(strings.TrimSpace(secret))
		return t.Name, ok
	}
	if c, err := r.Cookie(d.cookie); err == nil {
		s, ok := d.sessionOf(c.Value)
		return s.token.Name, ok
	}
	return "", false
}

// tokenOf is the token with that secret. It takes as long for a wrong one as for a right one.
func (d *Dashboard) tokenOf(secret string) (found Token, ok bool) {
	given := sha256.Sum256([]byte(secret))
	for _, t := range d.opt.Tokens {
		want := sha256.Sum256([]byte(t.Secret))
		if subtle.ConstantTimeCompare(given[:], want[:]) == 1 {
			found, ok = t, true
		}
	}
	return found, ok
}

// askForToken answers who has given no token, or a wrong one.
func (d *Dashboard) askForToken(w http.ResponseWriter, r *http.Request, path string) {
	if reads(r) && d.wantsPage(r) && !strings.HasPrefix(path, "/api/") {
		q := r.URL.Query()
		wrong := q.Has("token")
		q.Del("token")
		next := url.URL{Path: r.URL.Path, RawQuery: q.Encode()}
		d.pageLogin(w, r, next.String(), wrong)
		return
	}
	w.Header().Set("WWW-Authenticate", `Bearer realm="queuectl"`)
	d.refuse(w, r, http.StatusUnauthorized, "this dashboard wants a token: Authorization: Bearer TOKEN")
}

// admit takes a token from the address of a page, and out of it.
func (d *Dashboard) admit(w http.ResponseWriter, r *http.Request, secret string) {
	q := r.URL.Query()
	q.Del("token")
	to := url.URL{Path: r.URL.Path, RawQuery: q.Encode()}
	if t, ok := d.tokenOf(secret); ok {
		http.SetCookie(w, d.sessionCookie(r, newSession(t, d.now().Add(sessionLasts)), sessionLasts))
	}
	http.Redirect(w, r, d.back(to.String()), http.StatusSeeOther)
}

// login takes the token from the form of pageLogin.
func (d *Dashboard) login(w http.ResponseWriter, r *http.Request) {
	next := d.back(r.PostFormValue("next"))
	t, ok := d.tokenOf(r.PostFormValue("token"))
	if !ok {
		d.opt.Log.Warn("a wrong token was given", "from", remoteHost(r))
		d.pageLogin(w, r, next, true)
		return
	}
	http.SetCookie(w, d.sessionCookie(r, newSession(t, d.now().Add(sessionLasts)), sessionLasts))
	http.Redirect(w, r, next, http.StatusSeeOther)
}

// back is where a form wants to lead: a page of this dashboard, or else its first one.
func (d *Dashboard) back(to string) string {
	u, err := url.Parse(to)
	if err != nil || u.IsAbs() || u.Host != "" || u.User != nil || !strings.HasPrefix(u.Path, d.base+"/") || strings.HasPrefix(u.Path, "//") || strings.Contains(to, `\`) {
		return d.url("/")
	}
	local := url.URL{Path: u.Path, RawPath: u.RawPath, RawQuery: u.RawQuery, Fragment: u.Fragment}
	return local.String()
}
