//! Families of metrics that are collected at each scrape.

use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::exemplar::Exemplar;

/// Writes families of metrics.
pub struct Rows<'a>(pub DescriptorEncoder<'a>);

impl Rows<'_> {
    /// Writes a family of counters. Its name gets the suffix `_total`.
    pub fn counters<L: EncodeLabelSet>(
        &mut self,
        name: &str,
        help: &str,
        rows: impl IntoIterator<Item = (L, f64)>,
    ) -> std::fmt::Result {
        let mut family = self.0.encode_descriptor(name, &format!("{help}."), None, MetricType::Counter)?;
        for (labels, value) in rows {
            family.encode_family(&labels)?.encode_counter(&value, NO_EXEMPLAR)?;
        }
        Ok(())
    }

    pub fn gauges<L: EncodeLabelSet>(
        &mut self,
        name: &str,
        help: &str,
        rows: impl IntoIterator<Item = (L, f64)>,
    ) -> std::fmt::Result {
        let mut family = self.0.encode_descriptor(name, &format!("{help}."), None, MetricType::Gauge)?;
        for (labels, value) in rows {
            family.encode_family(&labels)?.encode_gauge(&value)?;
        }
        Ok(())
    }

    /// Writes a counter without labels.
    pub fn counter(&mut self, name: &str, help: &str, value: f64) -> std::fmt::Result {
        let mut only = self.0.encode_descriptor(name, &format!("{help}."), None, MetricType::Counter)?;
        only.encode_counter(&value, NO_EXEMPLAR)
    }

    /// Writes a gauge without labels.
    pub fn gauge(&mut self, name: &str, help: &str, value: f64) -> std::fmt::Result {
        let mut only = self.0.encode_descriptor(name, &format!("{help}."), None, MetricType::Gauge)?;
        only.encode_gauge(&value)
    }
}

const NO_EXEMPLAR: Option<&Exemplar<[(&str, &str); 0], f64>> = None;
