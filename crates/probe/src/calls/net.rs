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
            dump_itab: 0,
            tls_conn: fields.optional("crypto/tls", "Conn", "conn"),
            conn_fd: fields.offset("net", "TCPConn", "conn.fd")?,
            fd_laddr: fields.offset("net", "netFD", "laddr")?,
            conn_rwc: fields.optional("net/http", "conn", "rwc"),
        })
    };
    let mut layout = read().unwrap_or_default();
    layout.dump_itab = itab("net/http/httputil", "*dumpConn");
    if !is_as_expected(fields).unwrap_or(false) {
        layout.tcp_itab = 0;
    }
    if layout.tls_conn == ABSENT {
        layout.tls_itab = 0;
    }
    layout
}

/// Whether both addresses lie side by side, and an address is an IP and a port: what is read at once.
fn is_as_expected(fields: &Fields) -> Result<bool, MissingField> {
    let (laddr, raddr) = (fields.offset("net", "netFD", "laddr")?, fields.offset("net", "netFD", "raddr")?);
    let (ip, port) = (fields.offset("net", "TCPAddr", "IP")?, fields.offset("net", "TCPAddr", "Port")?);
    Ok(raddr == laddr.saturating_add(16) && (ip, port) == (0, 24))
}
