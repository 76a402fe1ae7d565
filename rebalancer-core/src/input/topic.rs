//! The one spelling of a topic.

use alloc::string::String;

/// The topic with underscores instead of dots, the only spelling that all sources can be converted to. Kafka
/// clients before 4.1 write `a_b` for `a.b`, exporters write `a.b`, and Kafka refuses both in one cluster.
///
/// ```
/// assert_eq!(rebalancer_core::one_spelling("orders.eu"), "orders_eu");
/// ```
pub fn one_spelling(topic: &str) -> String {
    topic.replace('.', "_")
}
