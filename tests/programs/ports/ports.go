// Package ports takes the local ports of connections from a range.
package ports

import (
	"fmt"
	"net"
	"syscall"
	"time"
)

// ipLocalPortRange is IP_LOCAL_PORT_RANGE, from Linux 6.3 on.
const ipLocalPortRange = 51

// Dialer takes local ports from a range LOW-HIGH; empty: from the system's. Small ranges make it sure that connections to
// different servers have the same client address, as now and then they have anyway.
func Dialer(timeout time.Duration, ports string) (*net.Dialer, error) {
	d := &net.Dialer{Timeout: timeout}
	if ports == "" {
		return d, nil
	}
	var low, high uint16
	if _, err := fmt.Sscanf(ports, "%d-%d", &low, &high); err != nil || low > high {
		return nil, fmt.Errorf("-ports %q: want LOW-HIGH", ports)
	}
	d.Control = func(_, _ string, conn syscall.RawConn) error {
		return conn.Control(func(fd uintptr) {
			// Older kernels refuse; then ports are shared only by chance.
			_ = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_IP, ipLocalPortRange, int(high)<<16|int(low))
		})
	}
	return d, nil
}
