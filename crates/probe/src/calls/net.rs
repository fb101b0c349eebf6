//! Connections of package `net`.

use crate::layout::{ABSENT, Fields, MissingField};
use crate::skeleton::types::net_layout;
use trigon_gobin::GoBinary;

/// What the addresses of a connection are read with; without TCP if it is not known.
pub(super) fn layout(binary: &GoBinary<'_>, fields: &Fields) -> net_layout {
    let itabs = binary.interface_tables("net", "Conn");
    let itab = |package: &str, name: &str| {
        itabs.iter().find(|itab| itab.package == package && itab.name == name).map_or(0, |itab| itab.vaddr)
    };
    let read = || {
        Ok::<_, MissingField>(net_layout {
            tcp_itab: itab("net", "*TCPConn"),
            tls_itab: itab("crypto/tls", "*Conn"),
            tls_conn: fields.optional("crypto/tls", "Conn", "conn"),
            conn_fd: fields.offset("net", "TCPConn", "conn.fd")?,
            fd_laddr: fields.offset("net", "netFD", "laddr")?,
            fd_raddr: fields.offset("net", "netFD", "raddr")?,
            addr_ip: fields.offset("net", "TCPAddr", "IP")?,
            addr_port: fields.offset("net", "TCPAddr", "Port")?,
            conn_rwc: fields.optional("net/http", "conn", "rwc"),
            pad: 0,
        })
    };
    let mut layout = read().unwrap_or_default();
    if layout.tls_conn == ABSENT {
        layout.tls_itab = 0;
    }
    layout
}
