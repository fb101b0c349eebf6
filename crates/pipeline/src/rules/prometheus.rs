//! The same rules in Prometheus's language, as `deploy/prometheus/go-runtime.rules.yaml`.

use super::judge::{Alert, GC_CPUS, Thresholds, VALUES};
use std::fmt::Write as _;

/// A rules file with these thresholds, for a Prometheus that scrapes agents.
pub fn rules_file(thresholds: &Thresholds) -> String {
    let mut file = String::from(
        "# The alerts on Go runtimes that the agent itself raises, in Prometheus's language, with the agent's default thresholds.\n\
         # Generated: UPDATE=1 cargo test -p trigon-pipeline the_rules_file\n\
         groups:\n  - name: trigon-go-runtime\n    rules:\n",
    );
    for alert in Alert::ALL {
        let _ = writeln!(file, "      - alert: {}", alert.name());
        let _ = writeln!(file, "        expr: >-");
        for line in expression(alert, thresholds).lines() {
            let _ = writeln!(file, "          {}", line.trim());
        }
        let _ = writeln!(file, "        labels:\n          severity: warning");
        let _ = writeln!(file, "        annotations:\n          summary: '{}'", summary(alert));
    }
    file
}

fn summary(alert: Alert) -> &'static str {
    match alert {
        Alert::GcCpu => {
            "{{ $labels.service_name }}: {{ $value | humanizePercentage }} of its CPU time is garbage collection"
        }
        Alert::MemoryLimit => "{{ $labels.service_name }}: {{ $value | humanizePercentage }} of GOMEMLIMIT is in use",
        Alert::GcPause => {
            "{{ $labels.service_name }}: 1 % of its GC pauses takes {{ $value | humanizeDuration }} or more"
        }
        Alert::SchedulerLatency => {
            "{{ $labels.service_name }}: 1 % of its goroutines waits {{ $value | humanizeDuration }} or more to be executed"
        }
        Alert::GoroutineGrowth => "{{ $labels.service_name }}: {{ $value }} goroutines, and ever more",
        Alert::GoroutineLeak => {
            "{{ $labels.service_name }}: goroutines that one place creates become ever more; the agent log has the place"
        }
        Alert::ThreadGrowth => "{{ $labels.service_name }}: {{ $value }} threads, and ever more",
        Alert::AllocationRate => {
            "{{ $labels.service_name }}: allocates {{ $value | humanize1024 }}B a second, far more than before"
        }
    }
}

fn expression(alert: Alert, thresholds: &Thresholds) -> String {
    let seconds = thresholds.window_ns / 1_000_000_000;
    let (window, half) = (format!("{seconds}s"), format!("{}s", seconds / 2));
    match alert {
        Alert::GcCpu => {
            let cpu = |what: &str| {
                format!("sum without (go_cpu_state) (rate(go_cpu_time_seconds_total{{go_cpu_state{what}}}[{window}]))")
            };
            let (gc, used) = (cpu("=\"gc\""), cpu("!=\"idle\""));
            format!("{gc} / {used} > {}\nand {gc} >= {GC_CPUS}", thresholds.gc_cpu_share)
        }
        Alert::MemoryLimit => format!(
            "min_over_time((sum without (go_memory_type) (go_memory_used_bytes) / go_memory_limit_bytes)[{window}:]) > {}",
            thresholds.memory_limit_share
        ),
        Alert::GcPause => p99("go_memory_gc_pause_duration_seconds", &window, thresholds.gc_pause_seconds),
        Alert::SchedulerLatency => p99("go_schedule_duration_seconds", &window, thresholds.scheduler_latency_seconds),
        Alert::GoroutineGrowth => growth("go_goroutine_count", &window, &half, thresholds.goroutines),
        // Where goroutines are created is no metric.
        Alert::GoroutineLeak => format!("trigon_alert_active{{alert=\"{}\"}} == 1", alert.name()),
        Alert::ThreadGrowth => growth("go_threads", &window, &half, thresholds.threads),
        Alert::AllocationRate => {
            let rate = format!("rate(go_memory_allocated_bytes_total[{window}])");
            let before = format!("rate(go_memory_allocated_bytes_total[{}s] offset {window})", 12 * seconds);
            format!(
                "{rate} > {} * {before}\nand {rate} > {}",
                thresholds.allocation_factor, thresholds.allocation_bytes_per_second
            )
        }
    }
}

fn p99(histogram: &str, window: &str, threshold: f64) -> String {
    format!(
        "histogram_quantile(0.99, rate({histogram}_bucket[{window}])) > {threshold}\n\
         and increase({histogram}_count[{window}]) >= {VALUES}"
    )
}

fn growth(gauge: &str, window: &str, half: &str, at_least: u64) -> String {
    format!(
        "{gauge} > {at_least}\n\
         and min_over_time({gauge}[{half}]) > max_over_time({gauge}[{half}] offset {half})\n\
         and {gauge} >= 1.1 * ({gauge} offset {window})"
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_rules_file_is_the_committed_one() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/prometheus/go-runtime.rules.yaml");
        let file = rules_file(&Thresholds::default());
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(path, &file).unwrap();
        }
        assert!(
            std::fs::read_to_string(path).unwrap() == file,
            "run: UPDATE=1 cargo test -p trigon-pipeline the_rules_file"
        );
    }
}
