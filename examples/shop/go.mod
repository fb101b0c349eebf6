module trigon.dev/examples/shop

go 1.22
