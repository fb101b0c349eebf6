//! The shop of the demo under load: each request to its front is one trace, through HTTP and gRPC to the database, to Redis
//! and to Kafka. `make test-backends` has the same on real servers.

use anyhow::Result;
use trigon_tests::shop::{agrees, build, stand_ins};

#[test]
fn each_request_to_the_shop_is_one_trace_to_the_database() -> Result<()> {
    trigon_tests::require_root()?;
    build()?;
    let folder = tempfile::tempdir()?;
    let (_service, stores) = stand_ins(folder.path())?;
    agrees(&stores, folder.path())
}
