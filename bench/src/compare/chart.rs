//! A bar chart in SVG: throughput by workload and contender.

use std::fmt::Write;

use super::{results::Results, workload::Workload};
use crate::contender::Contender;

/// In pixels: where bars begin, the longest bar, the width of the chart, and the heights of its lines.
const LEFT: f64 = 150.0;
const LONGEST: f64 = 420.0;
const WIDTH: f64 = 720.0;
const BAR: f64 = 16.0;
const GAP: f64 = 4.0;
const TITLE: f64 = 30.0;

/// A chart of all workloads, each with its own scale.
pub(crate) fn svg(results: &Results) -> String {
    let mut bars = String::new();
    let mut top = 0.0;
    for workload in Workload::all() {
        let rates: Vec<_> = Contender::all()
            .filter_map(|contender| Some((contender, results.figure(workload, contender, |f| f.rate)?)))
            .collect();
        let max = rates.iter().map(|(_, rate)| rate.max).fold(0.0, f64::max);
        if max == 0.0 {
            continue;
        }
        top += TITLE;
        let title = workload.title();
        // Writing to a string cannot fail.
        let _ = writeln!(bars, r#"<text x="8" y="{:.0}" class="title">{title}</text>"#, top - 8.0);
        for (contender, rate) in rates {
            let [length, from, to] = [rate.median, rate.min, rate.max].map(|rate| rate / max * LONGEST);
            let (from, to, middle, text) = (LEFT + from, LEFT + to, top + BAR / 2.0, top + BAR - 4.0);
            let (name, value, colour) = (LEFT - 8.0, to + 8.0, colour(contender));
            let _ = writeln!(
                bars,
                r##"<text x="{name:.0}" y="{text:.0}" class="name">{contender}</text>
<rect x="{LEFT:.0}" y="{top:.0}" width="{length:.0}" height="{BAR:.0}" fill="{colour}"/>
<path d="M{from:.0} {middle:.0}H{to:.0}" stroke="#444" stroke-width="2"/>
<text x="{value:.0}" y="{text:.0}">{:.0}</text>"##,
                rate.median
            );
            top += BAR + GAP;
        }
    }
    format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH:.0} {height:.0}" role="img" font-family="sans-serif" font-size="12">
<title>Requests a second, by workload and contender</title>
<style>text {{ fill: #222 }} .title {{ font-weight: bold }} .name {{ text-anchor: end }}</style>
<rect width="100%" height="100%" fill="#fff"/>
{bars}</svg>
"##,
        height = top + TITLE
    )
}

fn colour(contender: Contender) -> &'static str {
    match contender {
        Contender::Native => "#999999",
        Contender::Gin => "#56b4e9",
        Contender::WasmtimeServe => "#e69f00",
        Contender::Host => "#009e73",
        Contender::HostReuse => "#0072b2",
    }
}
