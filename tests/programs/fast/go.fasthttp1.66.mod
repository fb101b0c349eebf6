module trigon.dev/tests/programs/fast

go 1.24.0

require github.com/valyala/fasthttp v1.66.0

require (
	github.com/andybalholm/brotli v1.2.2 // indirect
	github.com/klauspost/compress v1.19.1 // indirect
	github.com/valyala/bytebufferpool v1.0.0 // indirect
)
