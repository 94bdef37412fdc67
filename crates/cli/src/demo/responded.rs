//! With root: ticks of the house format answered with orders by `tickwire respond`, measured by
//! `tickwire latency --tick-to-trade`, which looks at each field of each order.

use super::command::{Running, tickwire};
use super::screen::Screen;
use crate::units::grouped;
use serde_json::Value;
use std::path::{Path, PathBuf};
use tickwire_lab::{Lab, LabConfig};

/// Ticks a second.
const RATE_PPS: u64 = 2_000;
/// For so many seconds at most.
const SECONDS_MAX: u64 = 2;
const TICK_PORT: u16 = 8_080;
const ORDER_PORT: u16 = 9_999;

/// What is shown.
struct Responded {
    /// The responder's own account.
    summary: Value,
    /// What the other end said: counts, then a plot.
    measured: String,
}

/// Runs it and shows what came of it. The demo goes on when it cannot.
pub fn run(seconds: u64, screen: &mut Screen) {
    let count = seconds.min(SECONDS_MAX) * RATE_PPS;
    let (ticks, rate) = (grouped(count), grouped(RATE_PPS));
    screen.gap();
    screen.say_of("respond", &format!("{ticks} ticks below 100.00, {rate} a second: buy"), "");
    let folder = std::env::temp_dir().join(format!("tickwire-demo-respond-{}", std::process::id()));
    let responded = std::fs::create_dir(&folder).map_err(|error| error.to_string());
    let responded = responded.and_then(|()| respond(count, &folder));
    // What stays of it does no harm.
    let _ = std::fs::remove_dir_all(&folder);
    match responded {
        Ok(responded) => show(&responded, screen),
        Err(why) => screen.say_of("", &format!("not available: {why}"), "33"),
    }
}

fn respond(count: u64, folder: &Path) -> Result<Responded, String> {
    let failed = |error: &dyn std::fmt::Display| error.to_string();
    let lab = Lab::veth(LabConfig { ipv6: false, ..LabConfig::default() });
    let lab = lab.map_err(|error| failed(&error))?;
    let feed = format!("{}:{TICK_PORT}", lab.right.ipv4());
    let orders = format!("{}:{ORDER_PORT}", lab.left.ipv4());
    let config = write_config(folder, &feed, &orders).map_err(|error| failed(&error))?;
    let mut command = tickwire(&["respond", "-i", lab.right.name(), "--summary", "json"])?;
    command.arg("--config").arg(config);
    let child = lab.right.spawn(command).map_err(|error| failed(&error))?;
    let running = Running::start(child, "ready")?;
    let (count, rate) = (count.to_string(), RATE_PPS.to_string());
    let measure = ["latency", "--tick-to-trade", "--functional", "--to", &feed, "--subscriber"];
    let measure = [&measure[..], &[&orders, "--rate", &rate, "-c", &count]].concat();
    let child = lab.left.spawn(tickwire(&measure)?).map_err(|error| failed(&error))?;
    let output = child.wait_with_output().map_err(|error| failed(&error))?;
    let measured = String::from_utf8_lossy(&output.stderr).into_owned();
    if !output.status.success() {
        return Err(measured.lines().last().unwrap_or("it says nothing").to_owned());
    }
    Ok(Responded { summary: running.stop()?, measured })
}

/// The rule of the documented run, with limits that let all of it pass.
fn write_config(folder: &Path, feed: &str, orders: &str) -> std::io::Result<PathBuf> {
    let (path, state) = (folder.join("config.toml"), folder.join("state"));
    let text = format!(
        "state = {:?}\n\
         feed = [{{ name = \"ticks\", protocol = \"nanonet\", listen = \"{feed}\" }}]\n\
         target = [{{ name = \"exchange\", format = \"nanonet\", address = \"{orders}\" }}]\n\
         instrument = [{{ symbol = \"AAPL\", tick = \"0.01\" }}]\n\
         limits = {{ orders_per_s = 10000, position = 1000000, feed_age_ms = 1000 }}\n\
         [[rule]]\n\
         name = \"below-100\"\n\
         feed = \"ticks\"\n\
         when = \"price < 100.00\"\n\
         order = {{ target = \"exchange\", side = \"buy\", quantity = \"100\", \
         price = \"price + 1 tick\" }}\n",
        state.to_string_lossy()
    );
    std::fs::write(&path, text)?;
    Ok(path)
}

fn show(responded: &Responded, screen: &mut Screen) {
    let number = |key: &str| responded.summary[key].as_u64().unwrap_or(0);
    let (ticks, orders) = (number("messages"), number("responses_sent"));
    let mode = responded.summary["port"].as_str().unwrap_or("-");
    let (verdict, colour) = match ticks == orders {
        true => ("each tick one order, each field as expected", "32"),
        false => ("not every tick had an order", "33"),
    };
    let text = format!("{} orders: {verdict} (mode {mode})", grouped(orders));
    screen.say_of("exchange", &text, colour);
    screen.gap();
    // The plot is what comes last.
    let lines: Vec<&str> = responded.measured.trim_end().lines().collect();
    let plot = lines.iter().rposition(|line| line.is_empty()).map_or(0, |at| at + 1);
    lines[plot..].iter().for_each(|line| screen.say(line));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_is_one() {
        let folder =
            std::env::temp_dir().join(format!("tickwire-demo-test-{}", std::process::id()));
        std::fs::create_dir(&folder).unwrap();
        let path = write_config(&folder, "10.0.0.2:8080", "10.0.0.1:9999").unwrap();
        let text = std::fs::read_to_string(path).unwrap();
        std::fs::remove_dir_all(folder).unwrap();
        let config = tickwire_respond::Config::parse(&text).unwrap();
        assert_eq!((config.rules.len(), config.targets.len()), (1, 1));
    }
}
