//! Every fault on every cloud, all at once.

use std::sync::Arc;

use futures::future::join_all;
use tokio::sync::Semaphore;

use super::pace::Pace;
use super::report::{self, Table};
use super::rows::{self, Row};
use super::scene::{Cast, Scene, Seen, elsewhere};
use crate::cloud::{Cloud, Estate, estate};
use crate::world::simulator;

/// Where the matrix is committed.
const REPORT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/faults.md");

/// Set, it is written there instead of compared.
const WRITE: &str = "LEASEHOLD_WRITE_REPORT";

#[tokio::test(flavor = "multi_thread")]
async fn p1_p3_p9_p10_no_fault_denies_lengthens_hangs_spreads_or_stays() {
    let rows: &'static [_] = Vec::leak(rows::all());
    let pace = Pace::take().await;
    // Two are set at a time, and while they are played, the next: all at once, they would test the machine.
    let setting = Arc::new(Semaphore::new(2));
    let mut scenes = Vec::new();
    // The last rows first, because one of them takes a minute more.
    for row in rows.iter().rev() {
        let simulator = Arc::new(simulator().await);
        let estates: Vec<Arc<dyn Estate>> = Cloud::ALL
            .map(|cloud| {
                let (cast, elsewhere) = (Cast::of(cloud), elsewhere(cloud));
                let names: Vec<_> = cast.names().into_iter().chain([&*elsewhere]).collect();
                estate(cloud, &simulator, &names)
            })
            .into();
        for cloud in Cloud::ALL {
            let (simulator, estates) = (Arc::clone(&simulator), estates.clone());
            let (setting, pace) = (Arc::clone(&setting), Arc::clone(&pace));
            scenes.push(tokio::spawn(async move {
                let permit = setting.acquire().await.unwrap();
                let scene = Scene::set(row, cloud, simulator, &estates, pace).await;
                drop(permit);
                scene.play().await
            }));
        }
    }
    let seen: Vec<Seen> = join_all(scenes).await.into_iter().map(Result::unwrap).collect();
    let tables: Vec<_> = Cloud::ALL.map(|cloud| (cloud, table(&seen, rows, cloud))).into();
    let committed = std::fs::read_to_string(REPORT).unwrap_or_default();
    if std::env::var_os(WRITE).is_some() {
        std::fs::write(REPORT, report::render(&tables, &committed)).unwrap();
    }
    let wrong: Vec<_> = seen
        .iter()
        .flat_map(|seen| seen.wrong.iter().map(move |wrong| format!("{}, {}: {wrong}", seen.row, seen.cloud)))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    if std::env::var_os(WRITE).is_none() {
        let now = report::render(&tables, &committed);
        let news: Vec<_> = now.lines().filter(|line| !committed.lines().any(|old| old == *line)).collect();
        assert!(now == committed, "{REPORT} says otherwise ({WRITE}=1 writes it):\n{}", news.join("\n"));
    }
}

/// The cells of one cloud in the order of `rows`.
fn table(seen: &[Seen], rows: &[Row], cloud: Cloud) -> Table {
    let cells = |row: &Row| seen.iter().find(|seen| seen.row == row.name && seen.cloud == cloud).unwrap();
    rows.iter().map(|row| (row.name, cells(row).cells.clone())).collect()
}
