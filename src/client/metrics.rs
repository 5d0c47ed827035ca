//! Parses the output of `/metrics`: single scrapes, and the difference between two.

use std::collections::BTreeMap;

/// A line of a scrape: a value with its labels.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    pub labels: BTreeMap<String, String>,
    pub value: f64,
}

/// All metrics of one scrape, by name.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Scrape(BTreeMap<String, Vec<Sample>>);

impl Scrape {
    /// Parses the text format of Prometheus and OpenMetrics. Skips malformed lines.
    pub fn parse(text: &str) -> Self {
        let mut scrape = Self::default();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            if let Some((name, sample)) = parse_line(line) {
                scrape.0.entry(name.to_owned()).or_default().push(sample);
            }
        }
        scrape
    }

    pub fn samples(&self, name: &str) -> &[Sample] {
        self.0.get(name).map(Vec::as_slice).unwrap_or_default()
    }

    /// Returns the sum of all samples of a name that have these labels; 0 if there are none.
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.samples(name).iter().filter(|sample| sample.has(labels)).map(|sample| sample.value).sum()
    }

    /// Estimates a quantile of a histogram's observations since `before`, in the unit of the
    /// histogram. `quantile` is between 0 and 1; the value is interpolated within its bucket.
    /// `None` without observations since `before`.
    pub fn quantile(&self, name: &str, before: &Self, quantile: f64) -> Option<f64> {
        let name = format!("{name}_bucket");
        let mut buckets: Vec<(f64, f64)> = Vec::new();
        for sample in self.samples(&name) {
            let Some(bound) = sample.labels.get("le").and_then(|le| parse_number(le)) else { continue };
            match buckets.iter_mut().find(|(known, _)| *known == bound) {
                Some((_, count)) => *count += sample.value,
                None => buckets.push((bound, sample.value)),
            }
        }
        for sample in before.samples(&name) {
            let bound = sample.labels.get("le").and_then(|le| parse_number(le));
            if let Some((_, count)) = buckets.iter_mut().find(|(known, _)| Some(*known) == bound) {
                *count -= sample.value;
            }
        }
        buckets.sort_by(|(one, _), (other, _)| one.total_cmp(other));
        let total = buckets.last().map(|(_, count)| *count).filter(|count| *count > 0.0)?;
        let wanted = total * quantile;
        let (mut below_bound, mut below_count) = (0.0, 0.0);
        for (bound, count) in buckets {
            if count >= wanted && count > below_count {
                // A value above the last finite bound is reported as that bound.
                let share = (wanted - below_count) / (count - below_count);
                return Some(if bound.is_finite() {
                    below_bound + (bound - below_bound) * share
                } else {
                    below_bound
                });
            }
            (below_bound, below_count) = (bound, count);
        }
        None
    }
}

impl Sample {
    pub fn has(&self, labels: &[(&str, &str)]) -> bool {
        labels.iter().all(|(key, value)| self.label(key) == *value)
    }

    /// Returns the value of a label; empty without that label.
    pub fn label(&self, key: &str) -> &str {
        self.labels.get(key).map(String::as_str).unwrap_or_default()
    }
}

/// Parses `name{key="value",…} number`. Ignores a timestamp or an exemplar after the number.
fn parse_line(line: &str) -> Option<(&str, Sample)> {
    let end = line.find(['{', ' '])?;
    let (name, rest) = line.split_at_checked(end)?;
    let mut labels = BTreeMap::new();
    let mut rest = rest;
    if let Some(mut inner) = rest.strip_prefix('{') {
        while !inner.starts_with('}') {
            let (key, after) = inner.trim_start_matches(',').split_once("=\"")?;
            let (value, after) = unquote(after)?;
            labels.insert(key.to_owned(), value);
            inner = after;
        }
        rest = inner.get(1..)?;
    }
    let value = parse_number(rest.split_whitespace().next()?)?;
    Some((name, Sample { labels, value }))
}

/// Returns the unescaped text up to the closing quote, and the rest of the line after it.
fn unquote(text: &str) -> Option<(String, &str)> {
    let (mut value, mut escaped) = (String::new(), false);
    for (at, c) in text.char_indices() {
        match c {
            'n' if escaped => value.push('\n'),
            _ if escaped => value.push(c),
            '\\' => {
                escaped = true;
                continue;
            }
            '"' => return Some((value, text.get(at + 1..)?)),
            _ => value.push(c),
        }
        escaped = false;
    }
    None
}

fn parse_number(text: &str) -> Option<f64> {
    match text {
        "+Inf" => Some(f64::INFINITY),
        other => other.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scrape_parses_lines_with_their_labels() {
        let text = "# HELP x Of y.\nx{a=\"1\",b=\"say \\\"\\\\n\\\"\\n\"} 2.5\nx{a=\"2\",b=\"\"} 1e3 17\nplain 7\nbroken{a=\"1 3\n";
        let scrape = Scrape::parse(text);
        assert_eq!(scrape.sum("x", &[]), 1002.5);
        assert_eq!(scrape.sum("x", &[("a", "1")]), 2.5);
        assert_eq!(scrape.samples("x")[0].label("b"), "say \"\\n\"\n");
        assert_eq!((scrape.sum("plain", &[]), scrape.sum("absent", &[])), (7.0, 0.0));
    }

    #[test]
    fn quantile_counts_only_observations_between_two_scrapes() {
        let text = |counts: [u64; 3]| {
            let [one, two, all] = counts;
            Scrape::parse(&format!(
                "t_bucket{{le=\"1.0\"}} {one}\nt_bucket{{le=\"3.0\"}} {two}\nt_bucket{{le=\"+Inf\"}} {all}\n"
            ))
        };
        let (before, after) = (text([100, 100, 100]), text([100, 110, 111]));
        let at = |quantile| after.quantile("t", &before, quantile);
        assert_eq!(at(0.5), Some(1.0 + 2.0 * 0.55));
        assert_eq!(at(0.999), Some(3.0), "beyond the last bound");
        assert_eq!(before.quantile("t", &before, 0.5), None);
    }
}
