//! Records of `github.com/twmb/franz-go`.

use crate::layout::{Fields, MissingField};
use crate::skeleton::types::franz_layout;
use crate::table::KGO;

const RECORD: [&str; 4] = ["Topic", "Partition", "Offset", "Headers"];
const FETCH: [(&str, &str); 6] = [
    ("FetchTopic", ""),
    ("FetchTopic", "Topic"),
    ("FetchTopic", "Partitions"),
    ("FetchPartition", ""),
    ("FetchPartition", "Partition"),
    ("FetchPartition", "Records"),
];

/// What they are read with. A program that only produces need not describe fetches.
pub(super) fn layout(fields: &Fields) -> franz_layout {
    let at = |ty, field| fields.optional(KGO, ty, field);
    let size = |ty| fields.get(KGO, ty, "").ok().and_then(|ty| u16::try_from(ty.size).ok()).unwrap_or_default();
    franz_layout {
        record_topic: at("Record", "Topic"),
        record_partition: at("Record", "Partition"),
        record_offset: at("Record", "Offset"),
        record_headers: at("Record", "Headers"),
        topic_size: size("FetchTopic"),
        topic: at("FetchTopic", "Topic"),
        topic_partitions: at("FetchTopic", "Partitions"),
        partition_size: size("FetchPartition"),
        partition: at("FetchPartition", "Partition"),
        partition_records: at("FetchPartition", "Records"),
        pad: [0; 2],
    }
}

/// What of a record is not known.
pub(super) fn missing_of_record(fields: &Fields) -> Result<(), MissingField> {
    RECORD.iter().try_for_each(|field| fields.offset(KGO, "Record", field).map(drop))
}

/// What of a fetch is not known.
pub(super) fn missing_of_fetch(fields: &Fields) -> Result<(), MissingField> {
    missing_of_record(fields)?;
    FETCH.iter().try_for_each(|(ty, field)| fields.offset(KGO, ty, field).map(drop))
}
