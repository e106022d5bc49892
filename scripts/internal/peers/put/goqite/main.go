// Command put-goqite puts one job into a queue of goqite.
package main

import (
	"context"
	"database/sql"
	"fmt"
	"os"

	_ "github.com/mattn/go-sqlite3"
	"maragu.dev/goqite"
)

func main() {
	db, err := sql.Open("sqlite3", os.Args[1])
	if err == nil {
		db.SetMaxOpenConns(1)
		err = goqite.New(goqite.NewOpts{DB: db, Name: "jobs"}).Send(context.Background(), goqite.Message{Body: []byte(os.Args[2])})
	}
	// It is not closed: who closes the last connection also empties the journal.
	if err != nil {
		fmt.Fprintln(os.Stderr, "put-goqite:", err)
		os.Exit(1)
	}
}
