package main

// candidates are queuectl and its peers, in the order of the table.
func candidates() []candidate {
	return []candidate{queuectl(), goqiteSQLite(), asynqRedis(), beanstalkdServer(), nqDirectory(), taskSpooler(), dirqDirectory()}
}
