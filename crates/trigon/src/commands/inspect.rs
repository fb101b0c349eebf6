//! `trigon inspect`: an executable or a process as the agent sees it, without attaching anything.

use crate::cli::{self, Inspect, Output, Target};
use anyhow::{Context, Result};
use serde_json::{Value, json};
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use trigon_discover::{Host, Process, own_collectors, resource, sdk_signals};
use trigon_gobin::GoBinary;
use trigon_goruntime::{RuntimeLayout, SnapshotReader};
use trigon_probe::{Kernel, Part, Plan, copy_file};

/// Of what is not attached at once.
const WHEN_COPIED: &str = "when a request ends without a pattern, or with a subtree's";

/// What to look at.
#[derive(Debug)]
enum Subject {
    Process(Process),
    File(PathBuf),
}

/// Prints what would be observed; exit code 1 if nothing would.
///
/// # Errors
/// It is no Go program, or gone.
pub(crate) fn execute(args: &Inspect) -> Result<ExitCode> {
    let subject = match &args.target {
        Target::Process(pid) => Subject::Process(Process::read(*pid)?),
        Target::File(path) => Subject::File(path.clone()),
    };
    let (file, name) = match &subject {
        Subject::Process(process) => (process.open_executable()?, process.executable.clone()),
        Subject::File(path) => {
            (File::open(path).with_context(|| format!("cannot open {}", path.display()))?, path.clone())
        }
    };
    let copy = copy_file(&file).with_context(|| format!("cannot read {}", name.display()))?;
    let binary = GoBinary::parse(&copy);
    // What is wrong with the file comes before what that makes of the program in it.
    copy.failure().map_or(Ok(()), Err).with_context(|| name.display().to_string())?;
    let binary = binary.with_context(|| name.display().to_string())?;
    let plan = Plan::of(&binary, &Kernel::detect().policy(false));
    let report = report(&subject, &name, &binary, &plan);
    copy.check().with_context(|| name.display().to_string())?;
    match args.output {
        Output::Json => cli::answer_json(&report)?,
        Output::Text => {
            let mut text = Vec::new();
            print(&report, &mut text)?;
            cli::answer(&String::from_utf8_lossy(&text))?;
        }
    }
    Ok(cli::verdict(!plan.sites.is_empty()))
}

fn report(subject: &Subject, name: &Path, binary: &GoBinary<'_>, plan: &Plan) -> Value {
    let info = binary.build_info();
    let modules: Vec<_> = info.deps.iter().map(|m| json!({"path": m.path, "version": m.version})).collect();
    let mut report = json!({
        "executable": name.display().to_string(),
        "go_version": info.go_version_raw,
        "main_package": info.path,
        "modules": modules,
        "position_independent": binary.is_pie(),
        "stripped": binary.is_stripped(),
        "debug_information": binary.has_dwarf(),
    });
    let Some(fields) = report.as_object_mut() else { return report };
    if let Subject::Process(process) = subject {
        let resource = resource(process, info, &Host::default());
        fields.insert("pid".into(), json!(process.pid));
        fields.insert("service_name".into(), json!(resource.service_name()));
        let sdk = sdk_signals(binary).in_environment(&process.environment);
        fields.insert("sdk_exports".into(), json!({"spans": sdk.spans.names(), "metrics": sdk.metrics.names()}));
    }
    let layout = RuntimeLayout::resolve(binary, 0);
    fields.insert("runtime_unreadable".into(), json!(SnapshotReader::new(&layout).err().map(|why| why.to_string())));
    let own = own_collectors(binary);
    fields.insert("own_collectors".into(), json!({"client_golang": own.client_golang, "opentelemetry": own.otel}));
    let sites = plan.sites.iter().map(|site| {
        json!({
            "probe": site.probe.id,
            "function": site.function,
            "address": format!("{:#x}", site.site.vaddr),
            "file_offset": site.file_offset,
            "instruction": site.site.shape.to_string(),
            "cost": site.site.cost.to_string(),
            "hits": site.probe.hits,
            "attached": if Part::of(site.probe.role) == Part::Copies { WHEN_COPIED } else { "at once" },
        })
    });
    let refused = plan.refused.iter().map(|refused| {
        let routes = refused.probe.role.is_of_routes();
        json!({
            "probe": refused.probe.id,
            "reason": refused.reason,
            "requests_unseen": refused.loss && !routes,
            "routes_unseen": refused.loss && routes,
        })
    });
    let offsets = plan.fields.iter().map(|(field, result)| match result {
        Ok(info) => json!({"field": field, "offset": info.offset, "source": info.source.to_string()}),
        Err(reason) => json!({"field": field, "absent": reason.to_string()}),
    });
    fields.insert("probes".into(), sites.collect());
    fields.insert("not_probed".into(), refused.collect());
    fields.insert("absent".into(), json!(plan.absent));
    if let Err(reason) = &plan.http {
        fields.insert("requests_not_observed".into(), json!(reason.to_string()));
    }
    fields.insert("offsets".into(), offsets.collect());
    report
}

fn print(report: &Value, out: &mut dyn Write) -> std::io::Result<()> {
    let text = |value: &Value, key: &str| match value.get(key) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Null) | None => String::new(),
        Some(other) => other.to_string(),
    };
    let list = |key: &str| report.get(key).and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let yes = |key: &str| report.get(key).and_then(Value::as_bool).unwrap_or(false);
    writeln!(out, "{}", text(report, "executable"))?;
    writeln!(out, "  built with    {} ({} modules)", text(report, "go_version"), list("modules").len())?;
    let forms = [("position_independent", "position-independent"), ("stripped", "stripped")];
    let mut form: Vec<_> = forms.into_iter().filter(|(key, _)| yes(key)).map(|(_, name)| name).collect();
    form.push(if yes("debug_information") { "with debug information" } else { "without debug information" });
    writeln!(out, "  form          {}", form.join(", "))?;
    if report.get("pid").is_some() {
        writeln!(out, "  process       {} as service {}", text(report, "pid"), text(report, "service_name"))?;
        let sdk = report.get("sdk_exports").cloned().unwrap_or_default();
        for signal in ["spans", "metrics"] {
            let of = sdk.get(signal).and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
            let of: Vec<_> = of.iter().filter_map(Value::as_str).collect();
            if !of.is_empty() {
                writeln!(out, "  own SDK       exports {signal} of {} itself: not told twice", of.join(", "))?;
            }
        }
    }
    let unreadable = report.get("runtime_unreadable").and_then(Value::as_str);
    writeln!(
        out,
        "  Go runtime    {}",
        unreadable.map_or_else(|| "readable".to_owned(), |why| format!("not readable: {why}"))
    )?;
    for (key, what) in [("client_golang", "go_* and process_*"), ("opentelemetry", "go.*")] {
        if report.pointer(&format!("/own_collectors/{key}")).and_then(Value::as_bool) == Some(true) {
            writeln!(out, "  own collector for {what}: not shown twice (runtime.own_collector)")?;
        }
    }
    let mut sources: Vec<_> =
        list("offsets").iter().map(|field| text(field, "source")).filter(|s| !s.is_empty()).collect();
    sources.sort_unstable();
    sources.dedup();
    writeln!(out, "  offsets from  {}", if sources.is_empty() { "nothing".to_owned() } else { sources.join(", ") })?;
    if let Some(reason) = report.get("not_observed") {
        return writeln!(out, "\nnot observed: {}", reason.as_str().unwrap_or_default());
    }
    writeln!(out, "\n{:<34} {:<10} {:<12} FUNCTION", "PROBE", "COST", "INSTRUCTION")?;
    for site in list("probes") {
        let (probe, cost) = (text(site, "probe"), text(site, "cost"));
        writeln!(
            out,
            "{probe:<34} {cost:<10} {:<12} {} @ {}",
            text(site, "instruction"),
            text(site, "function"),
            text(site, "address")
        )?;
        if text(site, "attached") == WHEN_COPIED {
            writeln!(out, "{:<34} attached {WHEN_COPIED}", "")?;
        }
    }
    for refused in list("not_probed") {
        let is = |key: &str| refused.get(key).and_then(Value::as_bool) == Some(true);
        let mark = match (is("requests_unseen"), is("routes_unseen")) {
            (true, _) => "REQUESTS UNSEEN",
            (_, true) => "ROUTES UNSEEN",
            _ => "not needed",
        };
        writeln!(out, "{:<34} {mark}: {}", text(refused, "probe"), text(refused, "reason"))?;
    }
    if let Some(reason) = report.get("requests_not_observed").and_then(Value::as_str) {
        writeln!(out, "requests are not observed: {reason}")?;
    }
    for absent in list("absent") {
        writeln!(out, "absent: {}", absent.as_str().unwrap_or_default())?;
    }
    Ok(())
}
