//! Compiles `bpf/trigon.bpf.c` and generates its skeleton.

use libbpf_cargo::SkeletonBuilder;
use std::env;
use std::path::PathBuf;
use std::process::Command;

/// Newest first: what Debian and Ubuntu call them. `CLANG` overrides.
const COMPILERS: [&str; 4] = ["clang-19", "clang-18", "clang-17", "clang"];

fn main() {
    let source = PathBuf::from("../../bpf");
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default()).join("trigon.skel.rs");
    println!("cargo::rerun-if-env-changed=CLANG");
    println!("cargo::rerun-if-changed={}", source.display());
    let works = |name: &String| Command::new(name).arg("--version").output().is_ok_and(|o| o.status.success());
    let named = env::var("CLANG").ok();
    let Some(clang) = named.into_iter().chain(COMPILERS.map(String::from)).find(works) else {
        println!("cargo::error=no clang found for the BPF programs: run `make deps`, or set CLANG");
        return;
    };
    let target = match env::var("CARGO_CFG_TARGET_ARCH").as_deref() {
        Ok("x86_64") => "-D__TARGET_ARCH_x86",
        Ok("aarch64") => "-D__TARGET_ARCH_arm64",
        _ => "-D__TARGET_ARCH_unknown",
    };
    let built = SkeletonBuilder::new()
        .source(source.join("trigon.bpf.c"))
        .clang(clang)
        .clang_args(["-mcpu=v3", "-Wall", "-Werror", target])
        .build_and_generate(&out);
    if let Err(error) = built {
        println!("cargo::error=the BPF programs do not build: {error:#}");
    }
}
