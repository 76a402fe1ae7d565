//! What is measured, and from where: the queries of each metric, and the sources that answer them.

mod alert_pattern;
mod at_most;
mod client;
mod containers;
pub mod detect;
mod exporter;
mod fresh;
mod group;
mod joint;
mod kafka;
pub(crate) mod kafka_direct;
mod lives;
mod matchers;
mod members;
mod missing;
mod offsets;
mod origin;
mod otel;
mod pods;
mod preset;
mod queries;
mod selectors;
mod settings;
mod source;
mod template;
mod topic;
mod veto;

pub use alert_pattern::{AlertPattern, InvalidPattern};
pub use at_most::AtMost;
pub(crate) use at_most::{AT_ONCE, in_threads};
pub use fresh::{UnknownAge, mark_stale};
pub(crate) use fresh::{are_fresh, question_name};
pub use group::{ALIKE_LABEL, CLIENT_LABEL, FactQueries, MEMBER_LABEL, PARTITION_LABELS, PROTOCOL_LABEL};
pub(crate) use joint::{
    ADDRESSES, OF_MEMBERS, Queries, ROW_LABEL, client_queries, container_queries, group_queries,
    member_queries, of_members, tagged,
};
pub use lives::LifeQueries;
pub use matchers::{InvalidMatchers, Matchers};
pub use origin::OriginQueries;
pub(crate) use pods::pattern_of;
pub use pods::{pod_pattern, pod_prefixes};
pub use queries::{QuerySet, is_kafka_metric, query_variable};
pub(crate) use queries::{kafka_metrics, of_preset};
pub use selectors::SourceSeries;
pub use settings::{KafkaPreset, QuerySettings, Reach, SettingError};
pub use source::MetricsSource;
pub(crate) use source::Relay;
pub use veto::VetoQuery;

pub use crate::prometheus::MetricQuery;

pub(crate) use group::{ASSIGNED, ASSIGNOR, KEEPS_IDENTITY, LOAD, MEMBERS, OWNERS};
pub(crate) use members::is_client_of;
pub(crate) use offsets::{COMMITTED, END, Few, LEAD, OWNED, OffsetQueries, Past, Place, REBALANCE, START};
pub(crate) use origin::{Family, FamilyQueries, METRIC_LABEL, MOST_LOOKED_AT, MOST_OF_SEVERAL};
pub(crate) use veto::VETO_ALERTS;
