// Does nothing: of the runtime and its packages only that is linked which every program has.
package main

import "time"

func main() {
	time.Sleep(time.Hour)
}
