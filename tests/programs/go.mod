module trigon.dev/tests/programs

go 1.21
