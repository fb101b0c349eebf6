//! Databases themselves, from packages that `tests/backends/prepare.sh` unpacks; `make test-backends` is what needs them.

use crate::{golang, require_root, until};
use anyhow::{Context, Result, bail, ensure};
use rustix::fs::{Gid, Uid};
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(60);
/// `nobody` and its group of Debian and Ubuntu: PostgreSQL refuses to run as root.
const NOBODY: u32 = 65534;

/// A running database; it ends with this.
pub struct Backend {
    child: Child,
    folder: tempfile::TempDir,
    /// Where it listens.
    pub address: String,
}

impl Drop for Backend {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Where the packages are unpacked.
fn prepared() -> Result<PathBuf> {
    let to = golang::target().join("backends");
    let done = Command::new(golang::root().join("tests/backends/prepare.sh")).arg(&to).output()?;
    ensure!(done.status.success(), "prepare.sh failed: {}", String::from_utf8_lossy(&done.stderr));
    Ok(to)
}

/// A program of a package, with the package's own libraries.
fn program(package: &Path, name: &str) -> Command {
    let mut command = Command::new(package.join("programs").join(name));
    command.env("LD_LIBRARY_PATH", package.join("libraries")).stdin(Stdio::null()).stdout(Stdio::null());
    command
}

fn free_address() -> Result<String> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string())
}

fn start(mut command: Command, folder: tempfile::TempDir, address: String) -> Result<Backend> {
    let log = std::fs::File::create(folder.path().join("log"))?;
    let child = command.stderr(log).spawn().with_context(|| format!("cannot start {command:?}"))?;
    let mut backend = Backend { child, folder, address };
    until(PATIENCE, "the database listens", || {
        if let Some(status) = backend.child.try_wait()? {
            let log = std::fs::read_to_string(backend.folder.path().join("log")).unwrap_or_default();
            bail!("it ended with {status}: {log}");
        }
        Ok((TcpStream::connect(&backend.address).is_ok(), ()))
    })?;
    Ok(backend)
}

/// PostgreSQL with a user `test` who needs no password.
///
/// # Errors
/// It does not start.
pub fn postgresql() -> Result<Backend> {
    require_root()?;
    let package = prepared()?.join("postgres");
    let folder = tempfile::tempdir()?;
    rustix::fs::chown(folder.path(), Some(Uid::from_raw(NOBODY)), Some(Gid::from_raw(NOBODY)))?;
    let data = folder.path().join("data");
    let made = program(&package, "initdb")
        .args(["-U", "test", "-A", "trust", "--no-sync", "-D"])
        .arg(&data)
        .uid(NOBODY)
        .gid(NOBODY)
        .stderr(Stdio::piped())
        .output()?;
    ensure!(made.status.success(), "initdb failed: {}", String::from_utf8_lossy(&made.stderr));
    let address = free_address()?;
    let port = address.rsplit(':').next().context("no port")?;
    let mut command = program(&package, "postgres");
    // No socket in the file system, and no wait for the disk.
    command.arg("-D").arg(&data).args(["-h", "127.0.0.1", "-p", port, "-k", "", "-F"]).uid(NOBODY).gid(NOBODY);
    start(command, folder, address)
}

/// Redis, which keeps nothing.
///
/// # Errors
/// It does not start.
pub fn redis() -> Result<Backend> {
    let package = prepared()?.join("redis");
    let folder = tempfile::tempdir()?;
    let address = free_address()?;
    let port = address.rsplit(':').next().context("no port")?;
    let mut command = program(&package, "redis-server");
    command.args(["--bind", "127.0.0.1", "--port", port, "--save", "", "--dir"]).arg(folder.path());
    start(command, folder, address)
}
