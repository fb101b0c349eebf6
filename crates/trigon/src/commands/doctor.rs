//! `trigon doctor`: what this machine allows, tried and not guessed, each failure with its remedy.

use crate::cli::{self, Doctor, Output};
use crate::config::{self, Config, Flags};
use anyhow::Result;
use serde::Serialize;
use std::process::ExitCode;
use trigon_probe::{Capabilities, FLOOR, Kernel, LoadError, Probes, RunStatistics, Settings, UprobeMulti};

/// One thing that was tried.
#[derive(Debug, Serialize)]
struct Check {
    name: &'static str,
    ok: bool,
    /// What was found.
    found: String,
    /// What it means for the agent, and what helps, where it is not ok.
    #[serde(skip_serializing_if = "Option::is_none")]
    remedy: Option<String>,
}

#[derive(Debug, Serialize)]
struct Report {
    ok: bool,
    checks: Vec<Check>,
}

fn check(name: &'static str, ok: bool, found: impl Into<String>, remedy: &str) -> Check {
    Check { name, ok, found: found.into(), remedy: (!ok).then(|| remedy.to_owned()) }
}

/// Tries everything and prints it.
///
/// # Errors
/// The answer could not be printed.
pub(crate) fn execute(args: &Doctor) -> Result<ExitCode> {
    let loaded = match config::load(args.config.as_deref(), std::env::vars_os(), &Flags::default()) {
        Ok(loaded) => loaded,
        Err(invalid) => {
            cli::tell(&invalid.to_string());
            return Ok(ExitCode::from(cli::EXIT_USAGE));
        }
    };
    let checks = examine(&loaded.config);
    let report = Report { ok: checks.iter().all(|check| check.ok), checks };
    match args.output {
        Output::Json => cli::answer_json(&report)?,
        Output::Text => cli::answer(&text(&report))?,
    }
    Ok(cli::verdict(report.ok))
}

fn examine(config: &Config) -> Vec<Check> {
    let kernel = Kernel::detect();
    let mut checks = vec![
        check(
            "kernel",
            kernel.version >= FLOOR,
            format!("{} (needed: {}.{} or later)", kernel.release, FLOOR.0, FLOOR.1),
            "boot a newer kernel",
        ),
        check(
            "kernel types (BTF)",
            kernel.btf,
            if kernel.btf { "/sys/kernel/btf/vmlinux" } else { "missing" },
            "use a kernel built with CONFIG_DEBUG_INFO_BTF=y, as all major distributions ship; no program loads without it",
        ),
        check(
            "PID namespace",
            kernel.initial_pid_namespace,
            if kernel.initial_pid_namespace { "the initial one" } else { "not the initial one" },
            "give the agent's container hostPID: true; otherwise process ids do not mean the same to it and to the kernel",
        ),
    ];
    let capabilities = Capabilities::effective();
    for (name, number, need) in [
        ("CAP_BPF", Capabilities::BPF, "load programs and maps"),
        ("CAP_PERFMON", Capabilities::PERFMON, "attach probes and read application memory"),
        ("CAP_SYS_PTRACE", Capabilities::SYS_PTRACE, "see other users' processes (/proc/PID/exe, environ)"),
    ] {
        let fine = capabilities.has(number);
        checks.push(check(
            name,
            fine,
            if fine { "there" } else { "missing" },
            &format!("needed to {need}: run as root, or grant {name}"),
        ));
    }
    checks.push(check(
        "lockdown",
        kernel.lockdown != "confidentiality",
        if kernel.lockdown.is_empty() { "none in this kernel" } else { kernel.lockdown.as_str() },
        "in confidentiality mode the kernel lets no program read memory: boot with lockdown=integrity or less",
    ));
    load(config, &mut checks);
    checks
}

/// Really loads and attaches.
fn load(config: &Config, checks: &mut Vec<Check>) {
    let settings = Settings {
        ring_bytes: config.kernel.ring_bytes,
        max_requests: config.kernel.max_requests,
        max_aggregates: config.metrics.max_aggregates,
        max_routes: config.kernel.max_routes,
        max_processes: config.kernel.max_processes,
        uprobe_multi: UprobeMulti::Auto,
        trace_seed: 1,
        scheduler: config.kernel.scheduler,
        service_graph: config.metrics.service_graph,
    };
    match Probes::load(&settings) {
        Ok(probes) => {
            checks.push(check("programs and tracepoints", true, "all loaded, tracepoints of processes attached", ""));
            let multi = probes.has_uprobe_multi();
            let found = if multi { "uprobe.multi" } else { "one by one (uprobe.multi needs 6.6)" };
            checks.push(check("attaching uprobes", true, found, ""));
            let mappings = probes.mappings(std::process::id());
            let seen = mappings.as_ref().is_ok_and(|mappings| !mappings.is_empty());
            checks.push(check(
                "files behind mappings (iter/task_vma)",
                seen,
                match &mappings {
                    Ok(found) if found.is_empty() => "none of this process".to_owned(),
                    Ok(_) => "read".to_owned(),
                    Err(error) => error.to_string(),
                },
                "needs 5.13 or later with BTF, and the machine's own PID namespace; without it no executable is told from \
                 another, and nothing is observed",
            ));
            let statistics = RunStatistics::enable();
            checks.push(check(
                "run statistics",
                statistics.is_ok(),
                if statistics.is_ok() { "available" } else { "refused" },
                "only kernel.run_statistics needs them",
            ));
            checks.push(check("map memory", true, format!("{} KiB before any request", probes.map_bytes() / 1024), ""));
        }
        Err(error) => {
            let remedy = match &error {
                LoadError::NoBtf => "see kernel types (BTF)",
                LoadError::Privileges => "run as root, or grant the capabilities above; unprivileged BPF is not enough",
                LoadError::Scheduler(_) => "set kernel.scheduler to false",
                LoadError::Refused { .. } => "the kernel's words are above; a security module may forbid bpf(2)",
            };
            checks.push(check("programs and tracepoints", false, error.to_string(), remedy));
        }
    }
}

fn text(report: &Report) -> String {
    let mut text = String::new();
    for Check { name, ok, found, remedy } in &report.checks {
        let mark = if *ok { "ok  " } else { "FAIL" };
        text.push_str(&format!("{mark}  {name:<40} {found}\n"));
        if let Some(remedy) = remedy {
            text.push_str(&format!("      {:<40} → {remedy}\n", ""));
        }
    }
    text.push_str(if report.ok {
        "\nTrigon can work here.\n"
    } else {
        "\nSomething is missing; each FAIL names its remedy.\n"
    });
    text
}
