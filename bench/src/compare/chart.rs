//! Bars in SVG: requests a second, by workload and contender.

use std::fmt::Write;

use super::{measure::Workload, results::Results};
use crate::contender::Contender;

/// Pixels: where bars begin, and the length of the longest.
const LEFT: f64 = 150.0;
const LONGEST: f64 = 420.0;
const WIDTH: f64 = 720.0;
const BAR: f64 = 16.0;
const GAP: f64 = 4.0;
const TITLE: f64 = 30.0;

/// A chart of all workloads, each with a scale of its own.
pub(crate) fn svg(results: &Results) -> String {
    let mut bars = String::new();
    let mut top = 0.0;
    for workload in Workload::ALL {
        let rates: Vec<_> = Contender::ALL
            .into_iter()
            .filter_map(|contender| {
                Some((contender, results.of(workload, contender, |figures| figures.rate)?))
            })
            .collect();
        let most = rates.iter().map(|(_, rate)| rate.most).fold(0.0, f64::max);
        if most == 0.0 {
            continue;
        }
        top += TITLE;
        add(
            &mut bars,
            format_args!(r#"<text x="8" y="{:.0}" class="title">{}</text>"#, top - 8.0, workload.title()),
        );
        for (contender, rate) in rates {
            let [length, least, most] =
                [rate.median, rate.least, rate.most].map(|rate| rate / most * LONGEST);
            let (middle, text) = (top + BAR / 2.0, top + BAR - 4.0);
            add(
                &mut bars,
                format_args!(r#"<text x="{:.0}" y="{text:.0}" class="name">{contender}</text>"#, LEFT - 8.0),
            );
            add(
                &mut bars,
                format_args!(
                    r#"<rect x="{LEFT:.0}" y="{top:.0}" width="{length:.0}" height="{BAR:.0}" fill="{}"/>"#,
                    colour(contender)
                ),
            );
            add(
                &mut bars,
                format_args!(
                    r##"<path d="M{:.0} {middle:.0}H{:.0}" stroke="#444" stroke-width="2"/>"##,
                    LEFT + least,
                    LEFT + most
                ),
            );
            add(
                &mut bars,
                format_args!(r#"<text x="{:.0}" y="{text:.0}">{:.0}</text>"#, LEFT + most + 8.0, rate.median),
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

fn add(bars: &mut String, element: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _ = writeln!(bars, "{element}");
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
