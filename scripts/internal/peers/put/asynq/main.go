// Command put-asynq puts one job into a queue of asynq.
package main

import (
	"fmt"
	"os"

	"github.com/hibiken/asynq"
)

func main() {
	c := asynq.NewClient(asynq.RedisClientOpt{Network: "unix", Addr: os.Args[1]})
	if _, err := c.Enqueue(asynq.NewTask("job", []byte(os.Args[2]))); err != nil {
		fmt.Fprintln(os.Stderr, "put-asynq:", err)
		os.Exit(1)
	}
}
