module trigon.dev/tests/programs/server-xnet

go 1.21

require (
	golang.org/x/net v0.33.0
	trigon.dev/tests/programs v0.0.0
)

require golang.org/x/text v0.21.0 // indirect

replace trigon.dev/tests/programs => ../
