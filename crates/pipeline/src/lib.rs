//! From the kernel's events and aggregates to spans and metrics.
//!
//! Deterministic: no clock, file, socket, thread or random number. Times and texts that lie elsewhere are arguments, so
//! that a recorded ring replays to the same spans and metrics in a unit test.

mod clock;
mod http_server;
mod losses;
mod processes;
mod route;
mod span;
mod table;

pub use clock::Clock;
pub use http_server::HttpServerMetrics;
pub use losses::Losses;
pub use processes::{ProcessInfo, Processes};
pub use route::{RouteName, RouteSource, Routes};
pub use span::server_span;
pub use table::{Row, Table};
