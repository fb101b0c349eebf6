/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * A TCP connection by its two ends, read from Go's net.Conn. The client's end alone is no name: Linux gives the same
 * port towards different servers (138 of 1,000 ports of a loaded program had two connections). So a connection whose
 * server's address is translated on its way has another name at either end, and is not linked.
 */
#ifndef TRIGON_CONNECTION_H
#define TRIGON_CONNECTION_H

static __always_inline __u32 network_namespace(void)
{
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();

	return BPF_CORE_READ(task, nsproxy, net_ns, ns.inum);
}

/* The beginning of a net.TCPAddr: an IP of 4 or 16 bytes, and a port. User space has checked that it is laid out so. */
struct tcp_address {
	struct go_slice ip;
	__u64 port;
};

static __always_inline int read_address(struct connection_key *key, __u64 at)
{
	struct tcp_address address;
	__u32 v4;

	key->port = 0;
	if (read_user(&address, sizeof(address), at) || !address.port || address.port > 0xffff)
		return -1;
	if (address.ip.len == 16) {
		if (read_user(key->address, 16, address.ip.ptr))
			return -1;
	} else if (address.ip.len == 4) {
		if (read_user(&v4, 4, address.ip.ptr))
			return -1;
		key->address[0] = 0;
		key->address[1] = 0xffff0000ull | (__u64)v4 << 32;
	} else {
		return -1;
	}
	key->port = (__u16)address.port;
	key->pad = 0;
	key->netns = 0;
	if (key->address[0] == 0 && ((key->address[1] & 0xffffffffffull) == 0x7fffff0000ull || /* 127.0.0.0/8 */
				     key->address[1] == 0x0100000000000000ull))                /* ::1 */
		key->netns = network_namespace();
	return 0;
}

/* The ends of what is behind a net.Conn, which may be TLS over TCP: as the client has them, or as the server does.
 * Returns 1 if it is no such connection, -1 if it cannot be read. */
__noinline int read_connection(const struct call_layout *of, struct connection_key *key, __u64 type, __u64 data,
			       __u32 is_server)
{
	struct go_interface conn = {.type = type, .data = data}, ends[2];
	struct connection_key server;
	const struct net_layout *l;
	__u64 fd;

	if (!of || !key)
		return 1;
	l = &of->net;
	key->port = 0;
	if (!l->tcp_itab || !conn.type)
		return 1;
	if (conn.type == l->tls_itab && read_user(&conn, sizeof(conn), conn.data + l->tls_conn))
		return -1;
	if (conn.type != l->tcp_itab)
		return 1;
	/* laddr, raddr */
	if (read_user(&fd, sizeof(fd), conn.data + l->conn_fd) || read_user(ends, sizeof(ends), fd + l->fd_laddr))
		return -1;
	if (read_address(&server, ends[is_server ? 0 : 1].data) || read_address(key, ends[is_server ? 1 : 0].data)) {
		key->port = 0;
		return -1;
	}
	/* An address that is on both sides is of one namespace, and another namespace may have it, too. */
	if (key->address[0] == server.address[0] && key->address[1] == server.address[1])
		key->netns = network_namespace();
	key->server = mix(server.address[0] ^ mix(server.address[1] ^ mix(server.port)));
	return 0;
}

#endif
