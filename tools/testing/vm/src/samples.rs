// SPDX-License-Identifier: GPL-2.0

//! Samples of measurements: collected, summed up, kept as JSON, compared.

use anyhow::{
    Context,
    Result, //
};
use serde_json::{
    json,
    Value, //
};
use std::fmt::Write;
use std::fs;
use std::path::Path;

/// All values of one metric in one case.
struct Metric {
    script: String,
    case: String,
    name: String,
    unit: String,
    values: Vec<f64>,
}

impl Metric {
    /// The median and, around it, the least and the greatest value.
    fn summary(&self) -> Option<(f64, f64, f64)> {
        let mut values = self.values.clone();
        values.sort_by(f64::total_cmp);
        let (least, greatest) = (*values.first()?, *values.last()?);
        let middle = values.len() / 2;
        let upper = *values.get(middle)?;
        let median = match values.len() % 2 {
            0 => (values.get(middle - 1)? + upper) / 2.0,
            _ => upper,
        };
        Some((median, least, greatest))
    }
}

/// Samples, in the order in which their cases came.
#[derive(Default)]
pub struct Samples {
    metrics: Vec<Metric>,
}

impl Samples {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.metrics.is_empty()
    }

    /// Adds a value.
    pub fn add(&mut self, script: &str, name: &str, unit: &str, value: f64, case: &str) {
        let found = self
            .metrics
            .iter_mut()
            .find(|metric| metric.script == script && metric.case == case && metric.name == name);
        match found {
            Some(metric) => metric.values.push(value),
            None => self.metrics.push(Metric {
                script: script.to_owned(),
                case: case.to_owned(),
                name: name.to_owned(),
                unit: unit.to_owned(),
                values: vec![value],
            }),
        }
    }

    /// Adds what a script has printed: `sample METRIC UNIT VALUE CASE`.
    ///
    /// # Errors
    ///
    /// If it is something else: the script complains.
    pub fn line(&mut self, script: &str, line: &str) -> Result<()> {
        let mut words = line.splitn(5, ' ');
        let mut word = || words.next().filter(|word| !word.is_empty());
        let parsed = (|| {
            (word()? == "sample").then_some(())?;
            Some((word()?, word()?, word()?.parse().ok()?, word()?))
        })();
        let (name, unit, value, case) = parsed.with_context(|| line.to_owned())?;
        self.add(script, name, unit, value, case);
        Ok(())
    }

    /// Reads what [`Samples::write`] wrote.
    ///
    /// # Errors
    ///
    /// If that is not what the file contains.
    pub fn read(path: &Path) -> Result<Samples> {
        let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
        let parsed = serde_json::from_str(&text).ok();
        let samples = parsed.and_then(|value| Self::from_json(&value));
        samples.with_context(|| format!("{} has no samples of make bench", path.display()))
    }

    /// Keeps the samples.
    ///
    /// # Errors
    ///
    /// If the file cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        let text = serde_json::to_string_pretty(&self.to_json())?;
        fs::write(path, text + "\n").with_context(|| path.display().to_string())
    }

    fn to_json(&self) -> Value {
        self.metrics
            .iter()
            .map(|metric| {
                let (median, least, greatest) = metric.summary().unwrap_or_default();
                json!({
                    "script": metric.script,
                    "case": metric.case,
                    "metric": metric.name,
                    "unit": metric.unit,
                    "values": metric.values,
                    "median": median,
                    "least": least,
                    "greatest": greatest,
                })
            })
            .collect()
    }

    fn from_json(value: &Value) -> Option<Samples> {
        let mut samples = Samples::default();
        for metric in value.as_array()? {
            let text = |key: &str| metric.get(key).and_then(Value::as_str);
            let (script, case) = (text("script")?, text("case")?);
            let (name, unit) = (text("metric")?, text("unit")?);
            for value in metric.get("values")?.as_array()? {
                samples.add(script, name, unit, value.as_f64()?, case);
            }
        }
        Some(samples)
    }

    fn median(&self, like: &Metric) -> Option<f64> {
        self.metrics
            .iter()
            .find(|metric| {
                metric.script == like.script && metric.case == like.case && metric.name == like.name
            })?
            .summary()
            .map(|(median, ..)| median)
    }

    /// A table of medians, and from least to greatest where these differ; with those of `before` and the change
    /// where there are any.
    pub fn table(&self, before: &Samples) -> String {
        let mut text = format!(
            "  {:<58}{:<15}{:>11}  {:<19}{:>4}  {}\n",
            "case", "metric", "median", "least to greatest", "n", "before"
        );
        let mut last = ("", "");
        for metric in &self.metrics {
            let Some((median, least, greatest)) = metric.summary() else {
                continue;
            };
            if metric.script != last.0 {
                let _ = writeln!(text, "{}", metric.script);
            }
            let case = match last == (metric.script.as_str(), metric.case.as_str()) {
                true => "",
                false => metric.case.as_str(),
            };
            last = (&metric.script, &metric.case);
            let unit = &metric.unit;
            let spread = match least == greatest {
                true => String::new(),
                false => format!("{} to {}", number(least, unit), number(greatest, unit)),
            };
            let change = before.median(metric).map(|earlier| {
                let change = (earlier != 0.0).then(|| (median / earlier - 1.0) * 100.0);
                let change = change.map(|change| format!(" {change:+.1} %"));
                format!("{}{}", number(earlier, unit), change.unwrap_or_default())
            });
            let line = format!(
                "  {case:<58}{:<15}{:>11}  {spread:<19}{:>4}  {}",
                metric.name,
                with_unit(median, unit),
                metric.values.len(),
                change.unwrap_or_default()
            );
            let _ = writeln!(text, "{}", line.trim_end());
        }
        text
    }
}

/// Microseconds are shown as milliseconds.
fn number(value: f64, unit: &str) -> String {
    match unit {
        "us" => format!("{:.1}", value / 1000.0),
        _ => format!("{value:.0}"),
    }
}

fn with_unit(value: f64, unit: &str) -> String {
    let unit_shown = match unit {
        "us" => " ms",
        "-" => "",
        "B" => " B",
        _ => unit,
    };
    number(value, unit) + unit_shown
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(values: &[f64]) -> Samples {
        let mut samples = Samples::default();
        for value in values {
            samples.add("attest", "time", "us", *value, "first");
        }
        samples
    }

    #[test]
    fn median_of_an_even_number_is_between_two() {
        let samples = samples(&[4000.0, 1000.0, 2000.0, 9000.0]);
        assert_eq!(samples.metrics[0].summary(), Some((3000.0, 1000.0, 9000.0)));
    }

    #[test]
    fn median_of_an_odd_number_is_the_one_in_the_middle() {
        let samples = samples(&[9.0, 1.0, 5.0]);
        assert_eq!(samples.metrics[0].summary(), Some((5.0, 1.0, 9.0)));
    }

    #[test]
    fn lines_of_scripts_are_read() {
        let mut samples = Samples::default();
        samples
            .line("attest", "sample time us 1500 first, SPDM 1.3")
            .unwrap();
        let table = samples.table(&Samples::default());
        assert!(table.contains("first, SPDM 1.3"), "{table}");
        assert!(table.contains("1.5 ms"), "{table}");
        assert_eq!(samples.metrics[0].values, [1500.0]);
    }

    #[test]
    fn other_lines_are_complaints() {
        let mut samples = Samples::default();
        for line in [
            "",
            "sample",
            "sample time us",
            "sample time us many first",
            "sample time us 1",
            "the drive is not authenticated",
        ] {
            assert!(samples.line("attest", line).is_err(), "{line}");
        }
        assert!(samples.is_empty());
    }

    #[test]
    fn json_gives_the_same_samples() {
        let samples = samples(&[1.0, 2.5]);
        let again = Samples::from_json(&samples.to_json()).unwrap();
        assert_eq!(again.metrics[0].values, [1.0, 2.5]);
        assert_eq!(samples.to_json(), again.to_json());
    }

    #[test]
    fn what_was_before_is_compared() {
        let table = samples(&[3000.0]).table(&samples(&[2000.0]));
        assert!(table.contains("2.0 +50.0 %"), "{table}");
    }

    #[test]
    fn what_was_not_before_is_not() {
        let mut before = Samples::default();
        before.add("attest", "time", "us", 1.0, "again");
        let table = samples(&[3000.0]).table(&before);
        assert!(!table.contains('%'), "{table}");
    }
}
