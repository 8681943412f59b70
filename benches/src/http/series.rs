//! The figures of one server over all rounds.

use std::time::Duration;

use crate::pump::Took;

pub(crate) struct Series {
    name: &'static str,
    micros: Vec<f64>,
    rate: Vec<f64>,
    p50: Vec<f64>,
    p99: Vec<f64>,
}

impl Series {
    pub(crate) fn new(name: &'static str) -> Self {
        Self { name, micros: Vec::new(), rate: Vec::new(), p50: Vec::new(), p99: Vec::new() }
    }

    pub(crate) fn add(&mut self, cpu: Duration, requests: u64, took: &Took) {
        self.micros.push(cpu.as_secs_f64() * 1e6 / requests as f64);
        self.rate.push(requests as f64 / took.time.as_secs_f64());
        self.p50.push(took.quantile(0.5).as_secs_f64() * 1e3);
        self.p99.push(took.quantile(0.99).as_secs_f64() * 1e3);
    }
}

fn sorted(values: &[f64]) -> Vec<f64> {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values
}

fn median(values: &[f64]) -> f64 {
    let values = sorted(values);
    let middle = values.len() / 2;
    if values.len() % 2 == 1 { values[middle] } else { (values[middle - 1] + values[middle]) / 2.0 }
}

/// The order statistics between which the median lies with 95 % confidence.
fn interval(values: &[f64]) -> (f64, f64) {
    let values = sorted(values);
    let count = values.len();
    let (mut low, mut chance, mut sum) = (0, 0.5_f64.powi(count as i32), 0.0);
    for place in 0..count / 2 {
        sum += chance;
        if 2.0 * sum > 0.05 {
            break;
        }
        low = place;
        chance *= (count - place) as f64 / (place + 1) as f64;
    }
    (values[low], values[count - 1 - low])
}

/// A row each; the first series is ours.
pub(crate) fn print(all: &[Series]) {
    println!("| server | CPU per request | ours : this, median (95 %) | requests/s | p50 | p99 |");
    println!("|---|---|---|---|---|---|");
    for series in all {
        let ratios: Vec<f64> = all[0].micros.iter().zip(&series.micros).map(|(ours, this)| ours / this).collect();
        let (low, high) = interval(&ratios);
        println!(
            "| {} | {:.2} µs | {:.3} ({low:.3} – {high:.3}) | {:.0} | {:.2} ms | {:.2} ms |",
            series.name,
            median(&series.micros),
            median(&ratios),
            median(&series.rate),
            median(&series.p50),
            median(&series.p99),
        );
    }
}
