package dashboard_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"

	"github.com/queuectl/queuectl/dashboard"
	"github.com/queuectl/queuectl/fsq"
)

// A program shows the queue that it works on below a path of its own site. Whoever reaches
// that path may change jobs: the program has to ask who they are, or say ReadOnly.
func Example() {
	dir, err := os.MkdirTemp("", "queue-")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	q, err := fsq.Open(filepath.Join(dir, "spool"), fsq.DefaultConfig())
	if err != nil {
		fmt.Println(err)
		return
	}
	if _, err := q.Enqueue(context.Background(), fsq.Job{ID: "a", Command: fsq.Command{Shell: "true"}}); err != nil {
		fmt.Println(err)
		return
	}

	d, err := dashboard.New(dashboard.Options{
		Dir: q.Root(), BasePath: "/queue", AllowHosts: []string{"www.example.org"}, ReadOnly: true,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer d.Close()
	site := http.NewServeMux()
	site.Handle("/queue/", d)

	w := httptest.NewRecorder()
	site.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "http://www.example.org/queue/", http.NoBody))
	fmt.Println(w.Code)
	w = httptest.NewRecorder()
	site.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "http://www.example.org/queue/api/v1/jobs/a/cancel", http.NoBody))
	fmt.Println(w.Code)
	// Output:
	// 200
	// 403
}
