package dashboard

import "net/http"

// metrics is a stand-in.
func (d *Dashboard) metrics(w http.ResponseWriter, r *http.Request) {
	http.Error(w, "there are no metrics yet", http.StatusNotImplemented)
}
