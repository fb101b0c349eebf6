//! The build of an executable against what Go and git say.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::path::Path;
use std::process::Command;
use trigon_gobin::GoBinary;
use trigon_goruntime::Build;

fn run(folder: &Path, command: &str, arguments: &[&str]) -> String {
    let mut command = Command::new(command);
    command.current_dir(folder).args(arguments).env("GOFLAGS", "-buildvcs=true").env("TZ", "UTC");
    for person in ["AUTHOR", "COMMITTER"] {
        command.env(format!("GIT_{person}_NAME"), "a").env(format!("GIT_{person}_EMAIL"), "a@example.com");
    }
    let done = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(done.status.success(), "{command:?}: {}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).unwrap().trim().to_owned()
}

fn built(folder: &Path) -> Build {
    run(folder, "go", &["build", "-o", "out", "."]);
    let bytes = std::fs::read(folder.join("out")).unwrap();
    Build::of(GoBinary::parse(&bytes).unwrap().build_info())
}

#[test]
fn revision_and_changes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    std::fs::write(path.join("main.go"), "package main\n\nfunc main() {}\n").unwrap();
    std::fs::write(path.join("go.mod"), "module example.com/built\n\ngo 1.21\n").unwrap();
    std::fs::write(path.join(".gitignore"), "out\n").unwrap();
    run(path, "git", &["init", "--quiet"]);
    run(path, "git", &["add", "."]);
    run(path, "git", &["commit", "--quiet", "--message", "first"]);
    let build = built(path);
    assert_eq!(build.go_version, run(path, "go", &["env", "GOVERSION"]));
    assert_eq!((build.package.as_str(), build.module.as_str()), ("example.com/built", "example.com/built"));
    assert!(!build.version.is_empty());
    assert_eq!((build.vcs.as_deref(), build.modified), (Some("git"), Some(false)));
    assert_eq!(build.revision.unwrap(), run(path, "git", &["rev-parse", "HEAD"]));
    let time = run(path, "git", &["show", "--no-patch", "--format=%cd", "--date=format-local:%Y-%m-%dT%H:%M:%SZ"]);
    assert_eq!(build.revision_time.unwrap(), time);
    std::fs::write(path.join("main.go"), "package main\n\nfunc main() { println() }\n").unwrap();
    assert_eq!(built(path).modified, Some(true));
}
