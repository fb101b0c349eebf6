module trigon.dev/tests/programs/patterns

go 1.21

require (
	golang.org/x/sync v0.11.0
	trigon.dev/tests/programs v0.0.0
)

replace trigon.dev/tests/programs => ../
