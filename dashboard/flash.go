package dashboard

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
)

// flash is what came of an action, for the page that is shown next, and once.
type flash struct {
	Text   string `json:"text"`
	Failed bool   `json:"failed"` // not all that was asked for was done
}

const (
	flashCookie = "queuectl-flash"
	// maxFlash bounds a message, in bytes: a browser drops a cookie of more than 4096, and
	// the encoding makes it longer.
	maxFlash = 1000
)

// setFlash leaves a message for the next page.
func (d *Dashboard) setFlash(w http.ResponseWriter, f flash) {
	if len(f.Text) > maxFlash {
		f.Text = strings.ToValidUTF8(f.Text[:maxFlash], "") + "…"
	}
	data, err := json.Marshal(f)
	if err != nil {
		return
	}
	http.SetCookie(w, &http.Cookie{
		Name: flashCookie, Value: base64.RawURLEncoding.EncodeToString(data), Path: d.base + "/",
		MaxAge: 60, HttpOnly: true, SameSite: http.SameSiteStrictMode,
	})
}

// takeFlash is the message of the action before, and is nil if there is none. It must be
// called before the page is written.
func (d *Dashboard) takeFlash(w http.ResponseWriter, r *http.Request) *flash {
	c, err := r.Cookie(flashCookie)
	if err != nil {
		return nil
	}
	http.SetCookie(w, &http.Cookie{Name: flashCookie, Path: d.base + "/", MaxAge: -1, HttpOnly: true, SameSite: http.SameSiteStrictMode})
	data, err := base64.RawURLEncoding.DecodeString(c.Value)
	var f flash
	if err != nil || json.Unmarshal(data, &f) != nil || f.Text == "" {
		return nil
	}
	return &f
}
